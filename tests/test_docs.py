"""The README and the documentation are true: every block of code runs and shows what comes out, and every link leads somewhere.

Models of the hub are small random ones of the right kind, served by the local stub: their answers are compared in form, where
a page writes ``…``.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from pathlib import Path

import pytest
import yaml

import albertkit
from albertkit.cli.main import make_parser
from albertkit.data.options import ExampleOptions
from albertkit.pipelines import PIPELINES
from albertkit.pipelines.base import UNSET
from albertkit.training.recipe import StageRecipe

from .hub_stub import HubStub
from .page_runner import BLOCK, RECIPE_KEYS, Runner
from .published_models import MODELS, serve, write

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GUIDE = (DOCS / "pretraining.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
all_pages = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).with_suffix("").as_posix())

# Their commands train for long, or need what was trained; tests/test_korean.py walks through the same steps with less text.
PARSED_PAGES = {"pretraining.md", "korean.md"}


@all_pages
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*starts? at random")  # a head to be trained, which the page says
def test_every_block_runs(
    path: Path, hub_stub: HubStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = path.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert text.count("```") == 2 * len(blocks), "a block that no kind is given to, or that is indented"
    named = [name for name in MODELS if name.removeprefix("albert/") in text]
    serve(hub_stub, [name for name in named if "/" in name])
    for name in named:
        if "/" not in name:
            write(name, tmp_path / name)
    monkeypatch.setenv("HF_TOKEN", hub_stub.token)  # as after hf auth login
    monkeypatch.chdir(tmp_path)
    runner = Runner(monkeypatch, capsys, parse_only=path.name in PARSED_PAGES)
    for kind, title, code in blocks:
        runner.run(kind, title or None, code)
    runner.finish()


@all_pages
def test_links_and_recipe_keys_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert target.startswith("http") or (path.parent / target).exists(), target
    sections = {key.partition(".")[0] for key in RECIPE_KEYS if "." in key} - {"config"}  # config.json and others are no keys
    named = re.findall(rf"`(?:--)?((?:{'|'.join(sections)})\.(?!safetensors|ckpt|weights|onnx|pt2)\w+)(?!\w*/)", text)
    known = RECIPE_KEYS.keys() | {
        key.rpartition(".")[0] for key in RECIPE_KEYS
    }  # data.columns.text, of which the first two are found
    assert [key for key in named if key not in known] == []


def test_a_runner_sees_what_is_wrong(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    runner = Runner(monkeypatch, capsys, parse_only=False)
    runner.run("python", None, "x = [{'a': 0.123, 'b': 'c d'}, 2]\nx\n# [{'a': 0.12, …}, …]\nx[0]['b']  # 'c…'\n")
    for code in ("x[0]  # {'a': 0.12}", "x[0]['a']  # 0.14", "x\n# [{…}]", "x[1]  # '2'", "x[2]"):
        with pytest.raises((AssertionError, IndexError)):
            runner.run("python", None, code)
    runner.run("bash", None, 'albertkit tokenize "She sat." --json\n')
    with pytest.raises(AssertionError):
        runner.run("text", None, "She sat.\n")
    for kind, code in (("bash", "rm -r ."), ("text", "alone"), ("ruby", "puts 1"), ("", "x"), ("yaml", "colour: red")):
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            runner.run(kind, None, code)
    runner.run("bash", None, "albertkit tokenize --colour red\n")
    with pytest.raises(AssertionError, match="colour"):
        runner.finish()


@pytest.mark.parametrize("task", PIPELINES)
def test_every_task_has_a_page_with_every_option(task: str) -> None:
    text = (DOCS / "tasks" / f"{task}.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (?:`(--[\w-]+)`|–) \|", text, re.MULTILINE)
    options = dataclasses.fields(PIPELINES[task].options_class)
    stated = [(option.name, "not given" if option.default is UNSET else f"`{option.default!r}`") for option in options]
    assert [(name, default) for name, default, _flag in rows] == stated
    flags = {action.dest: action.option_strings for action in make_parser(task)._actions}
    assert [name for name, _default, flag in rows if flag not in flags.get(name, [""])] == []
    assert f"({task}.md)" in (DOCS / "tasks" / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("task", PIPELINES)
def test_the_messages_on_a_tasks_page_are_those_of_the_source(task: str) -> None:
    page = (DOCS / "tasks" / f"{task}.md").read_text(encoding="utf-8")
    table = re.search(r"\| message \| what to do \|\n.*\n((?:\|.*\n)+)", page)[1]
    parts = [part.strip() for row in table.splitlines() for part in row.split(" | ")[0].removeprefix("| ").split("…")]
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.py")).replace("{self.task}", task)
    assert [part for part in parts if part not in source] == []


def test_the_reference_lists_every_public_name() -> None:
    index = (DOCS / "reference" / "index.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \[?`(\w+)`", index, re.MULTILINE)) == sorted(albertkit.__all__)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdocs = pytest.importorskip("mkdocs.commands.build")
    from mkdocs.config import load_config

    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    with caplog.at_level(logging.WARNING, "mkdocs"):
        mkdocs.build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True))
    assert caplog.messages == []
    pages = "".join(page.read_text(encoding="utf-8") for page in (tmp_path / "reference").rglob("*.html"))
    homes = {albertkit._HOMES[name] for name in albertkit.__all__}  # what several names are called where it stands
    assert [home for home in homes if not re.search(rf'id="{re.escape(home[0])}(\.\w+)*\.{home[1]}"', pages)] == []
    assert not re.search(r"<p>[^<]*:(class|func|meth|data|attr|mod):", pages)
    assert "://fonts." not in pages


def test_every_option_of_pretraining_stands_in_the_table_with_both_presets() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \|", GUIDE, re.MULTILINE)
    shown = {name: (yaml.safe_load(paper), yaml.safe_load(google)) for name, paper, google in rows}
    paper, google = dataclasses.asdict(ExampleOptions.paper()), dataclasses.asdict(ExampleOptions.google())
    assert shown == {name: (paper[name], google[name]) for name in paper}


def test_yaml_examples_are_what_they_say() -> None:
    blocks = [yaml.safe_load(code) for kind, _, code in BLOCK.findall(GUIDE) if kind == "yaml"]
    (examples,) = [block["examples"] for block in blocks if "examples" in block]
    assert examples == {"preset": "google"}
    (schedule,) = [block["schedule"] for block in blocks if "schedule" in block]
    stages = [StageRecipe(**stage) for stage in schedule["stages"]]
    assert stages[-1].apply(ExampleOptions(max_seq_length=128)).max_seq_length == 512
