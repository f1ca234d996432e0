"""The README shows the whole package, and CI runs its command. That its blocks run and its links lead somewhere: test_docs.py."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_the_readmes_test_command():
    command = re.search(r"<!-- test -->\n```bash\n(.*?)```", README, re.DOTALL)[1].strip()
    assert command.startswith("python3 -m venv")
    assert " && .venv/bin/python -m pytest" in command
    assert "constraints/tests.txt" in command
    assert "<!-- test -->" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_tree_shows_every_part_of_the_package():
    source = ROOT / "src" / "albertkit"
    parts = {path.name for path in source.iterdir() if path.is_dir() and path.name != "__pycache__"}
    tree = README.split("## The tree")[1]
    assert [part for part in parts if f"  {part}/" not in tree] == []
