"""The guides are true: their commands parse, their links and recipe keys exist, and their tables say what the code does."""

from __future__ import annotations

import dataclasses
import importlib
import re
import shlex
from argparse import ArgumentParser
from pathlib import Path

import pytest
import yaml

from albertkit.cli.main import COMMANDS
from albertkit.data.options import ExampleOptions
from albertkit.training.recipe import StageRecipe, list_keys

DOCS = Path(__file__).parents[1] / "docs"
GUIDES = [DOCS / "pretraining.md", DOCS / "korean.md"]
all_guides = pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)


@all_guides
def test_commands_parse(path: Path) -> None:
    lines = [
        line
        for block in re.findall(r"```bash\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
        for line in block.splitlines()
    ]
    commands = [shlex.split(line, comments=True) for line in lines if "albertkit " in line and not line.startswith("pip ")]
    assert commands
    for words in commands:
        name, *arguments = words[words.index("albertkit") + 1 :]
        assert name in COMMANDS
        parser = ArgumentParser(prog=name, allow_abbrev=False)
        importlib.import_module(f"albertkit.cli.{name.replace('-', '_')}").add_arguments(parser)
        parser.parse_args(arguments)  # exits where it cannot


@all_guides
def test_links_and_recipe_keys_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert target.startswith("http") or (DOCS / target).exists(), target
    sections = {key.partition(".")[0] for key in list_keys() if "." in key}
    named = re.findall(rf"`(?:--)?((?:{'|'.join(sections)})\.\w+)(?!\w*/)", text)
    assert [key for key in named if key not in list_keys()] == []


def test_every_option_stands_in_the_table_with_both_presets() -> None:
    text = GUIDES[0].read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \|", text, re.MULTILINE)
    shown = {name: (yaml.safe_load(paper), yaml.safe_load(google)) for name, paper, google in rows}
    paper, google = dataclasses.asdict(ExampleOptions.paper()), dataclasses.asdict(ExampleOptions.google())
    assert shown == {name: (paper[name], google[name]) for name in paper}


def test_yaml_examples_are_what_they_say() -> None:
    blocks = [
        yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", GUIDES[0].read_text(encoding="utf-8"), re.DOTALL)
    ]
    (examples,) = [block["examples"] for block in blocks if "examples" in block]
    assert examples == {"preset": "google"}
    (schedule,) = [block["schedule"] for block in blocks if "schedule" in block]
    stages = [StageRecipe(**stage) for stage in schedule["stages"]]
    assert stages[-1].apply(ExampleOptions(max_seq_length=128)).max_seq_length == 512
