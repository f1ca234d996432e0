"""The README is true: its output is what the command prints, its Python runs, and its links and commands exist."""

from __future__ import annotations

import re
from pathlib import Path

from albertkit.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(marker: str) -> str:
    return re.search(rf"<!-- {marker} -->\n```\w*\n(.*?)```", README, re.DOTALL)[1]


def test_the_shown_output_is_what_the_first_command_prints(capsys):
    text = re.search(r'albertkit fill-mask "(.*?)"', README)[1]
    assert main(["fill-mask", text]) == 0
    printed = capsys.readouterr().out.splitlines()
    shown = block("output").splitlines()
    assert [line.split()[0] for line in shown] == [line.split()[0] for line in printed]  # tokens; a digit may differ by processor


def test_the_python_example_runs():
    namespace: dict[str, object] = {}
    for example in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(example, namespace)
    assert tuple(namespace["output"].last_hidden_state.shape)[:1] == (1,)


def test_links_and_commands_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
    for name in re.findall(r"^albertkit ([\w-]+)", README, re.MULTILINE):
        assert name in COMMANDS


def test_ci_runs_the_readmes_test_command():
    command = block("test").strip()
    assert command.startswith("python3 -m venv")
    assert command.endswith("-m pytest")
    assert "constraints/tests.txt" in command
    assert "<!-- test -->" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_tree_shows_every_part_of_the_package():
    source = ROOT / "src" / "albertkit"
    parts = {path.name for path in source.iterdir() if path.is_dir() and path.name != "__pycache__"}
    tree = README.split("## The tree")[1]
    assert [part for part in parts if f"  {part}/" not in tree] == []
