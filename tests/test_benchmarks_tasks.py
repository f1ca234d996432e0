"""The benchmarks of fine-tuning to scores: their commands, their tables, and one case of the second on a few sentences."""

from __future__ import annotations

import argparse
import json
import lzma
from pathlib import Path

import pytest

from albertkit.cli.main import make_parser
from benchmarks import __main__ as command
from benchmarks import tasks, trainer


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder like that of the real data, with four sentences."""
    folder = tmp_path / "data" / "glue" / "SST-2"
    folder.mkdir(parents=True)
    lines = ["sentence\tlabel", "a good film\t1", "a dull one\t0", "well made\t1", "not well made\t0"]
    for split in ("train", "dev"):
        (folder / f"{split}.tsv.xz").write_bytes(lzma.compress("\n".join(lines).encode() + b"\n"))
    return tmp_path / "data"


def test_every_run_is_a_command_that_finetune_understands() -> None:
    arguments = argparse.Namespace(seeds=tasks.SEEDS, dtype="bfloat16")
    for run in tasks.RUNS:
        words = tasks.make_words(run, arguments, "DATA", "RUNS")
        given = make_parser(words[0]).parse_words(words[1:])
        assert given.task == run.task
    assert tasks.quote("[0, 1]") == '"[0, 1]"'


def test_a_row_has_the_median_and_spread_of_the_seeds() -> None:
    seeds = {
        str(seed): {"scores": {"values": {"f1": value, "accuracy": 0.5}}, "examples": {"train": 1200, "eval": 80, "test": 0}}
        for seed, value in enumerate((0.3, 0.1, 0.2))
    }
    row = tasks.describe_run("WNUT-17", {"primary": "f1", "baseline": None, "seeds": seeds})
    assert row == "| WNUT-17 | f1 | **0.2** (0.1–0.3) | — | 1,200 / 80 | accuracy 0.5 |"


def test_splits_that_are_made_keep_articles_apart(tmp_path: Path) -> None:
    (tmp_path / "squad").mkdir()
    (tmp_path / "race").mkdir()
    content = {"version": "v2.0", "data": [{"title": f"{number}"} for number in range(16)]}
    (tmp_path / "squad" / "cs224n-dev-v2.0.json.xz").write_bytes(lzma.compress(json.dumps(content).encode()))
    for split in ("train", "dev"):
        (tmp_path / "race" / f"{split}-middle.jsonl.xz").write_bytes(lzma.compress(b"{}\n" * 500))
    tasks.prepare(tmp_path, tmp_path / "work")
    read = {name: json.loads((tmp_path / "work" / f"squad-{name}.json").read_text())["data"] for name in ("train", "eval")}
    assert [article["title"] for article in read["eval"]] == ["0", "4", "8", "12"]
    assert len(read["train"]) == 12
    assert len((tmp_path / "work" / "race-dev.jsonl").read_text().splitlines()) == tasks.RACE_PASSAGES["dev"]


def test_both_are_left_out_without_data(tmp_path: Path, data: Path) -> None:
    arguments = argparse.Namespace(data=tmp_path, results=tmp_path)
    assert "needs GLUE" in command.plan("tasks", arguments)
    arguments.data = data
    assert command.plan("trainer", arguments) == ["--data", str(data), "--results", str(tmp_path)]


@pytest.mark.slow
def test_both_sides_train_and_are_scored(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = trainer.CASES["sst-2"]
    job = trainer.Job("", "sst-2", 0, str(tmp_path), "albert-mini-en", str(data), "float32", 1)
    monkeypatch.setitem(trainer.CASES, "sst-2", trainer.Case(case.title, case.train, case.eval, case.rate, 4, 2))
    answers = {}
    for method in trainer.METHODS:
        job.method = method
        answers[method] = trainer.build(job)({})
    ours, theirs = answers.values()
    assert ours["scores"].keys() == theirs["scores"].keys() == {"accuracy"}
    lines = trainer.make_tables({("sst-2", "float32"): {method: [answer] * 2 for method, answer in answers.items()}})
    assert sum(line.startswith("| SST-2") for line in lines) == 4  # two methods, two bars
