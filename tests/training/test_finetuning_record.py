"""What a fine-tuning run leaves behind: the best model, scores that are true of it, answers, errors, a picture and a card."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albertkit.checkpoints.storage import read_tensors
from albertkit.pipelines import pipeline
from albertkit.tasks.base import Prediction, Scores
from albertkit.tasks.registry import read_task
from albertkit.training.distributed import Processes
from albertkit.training.finetuning import record
from albertkit.training.finetuning.examples import read_examples
from albertkit.training.finetuning.finetune import FinetuneOutcome, finetune
from albertkit.training.finetuning.recipe import read_recipe
from albertkit.training.finetuning.results import Results, describe_command
from albertkit.training.finetuning.run import FinetuneRun

Finetune = Callable[..., FinetuneOutcome]
TEXTS = [
    (f"the {animal} sat in {place}", animal) for animal in ("cat", "dog") for place in ("paris", "france", "new york", "the 1")
]


def write_table(path: Path, rows: Sequence[tuple[str, ...]]) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label")[: len(rows[0])], *rows])
    return str(path)


@pytest.fixture
def overrides(tiny_checkpoint: Path, tmp_path: Path) -> list[str]:
    """A recipe for the tiny model: eight texts to learn from, four to choose by, three evaluations."""
    train, held_out = write_table(tmp_path / "train.csv", TEXTS), write_table(tmp_path / "dev.csv", TEXTS[::2])
    return [
        "task=text-classification", f"model={tiny_checkpoint}", f"output={tmp_path / 'run'}", f"data.train={train}",
        f"data.eval={held_out}", "data.workers=1", "schedule.total_steps=6", "training.evaluate_every_steps=2",
        "training.examples_per_batch=4", "training.log_every_steps=1", "training.keep_checkpoints=9",
        "optimizer.learning_rate=0.01", "training.device=cpu",
    ]  # fmt: skip


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without matplotlib; drawing takes longer than the runs."""
    monkeypatch.setattr(record, "is_installed", lambda _: False)
    monkeypatch.setattr("albertkit.optional.is_installed", lambda _: False)


@pytest.fixture
def run(overrides: list[str]) -> Finetune:
    """A function that makes that run, with further changes."""
    return lambda *more, resume=False: finetune(read_recipe(None, [*overrides, *more]), resume=resume)


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def weights(directory: Path) -> dict[str, np.ndarray]:
    return dict(read_tensors(directory / "model.safetensors").tensors)


def same(first: Path, second: Path) -> bool:
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_scores_answers_and_errors_are_those_of_the_final_model(
    run: Finetune, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run()
    output = tmp_path / "run"
    assert outcome.directory == output / "final"
    answers = pipeline("text-classification", outcome.directory)([text for text, _ in TEXTS[::2]])
    predictions = read_lines(output / "predictions.jsonl")
    assert [one["label"] for one in predictions] == [one["label"] for one in answers]
    assert [one["score"] for one in predictions] == pytest.approx([one["score"] for one in answers], abs=1e-5)
    right = [label for _, label in TEXTS[::2]]
    results = Results.read(output)
    assert outcome.scores == results.scores
    accuracy = sum(one["label"] == label for one, label in zip(predictions, right, strict=True)) / len(right)
    assert results.scores.values["accuracy"] == accuracy
    assert results.scores.baseline == 0.5
    assert len(read_lines(output / "errors.jsonl")) == round((1 - accuracy) * len(right))
    assert results.examples == {"train": 8, "eval": 4, "test": 0}
    assert (results.steps, results.epochs, results.labels) == (6, 3.0, ["cat", "dog"])
    for name in ("curves.png", "confusion.png", "final/curves.png"):
        assert (output / name).read_bytes().startswith(b"\x89PNG"), name
    told = capsys.readouterr().err
    assert f"accuracy {accuracy:.4f} 0.5000" in " ".join(told.split())
    assert told.rstrip().endswith(results.command)
    task = read_task(outcome.directory)
    assert task is not None
    assert task.labels == ("cat", "dog")


@pytest.mark.usefixtures("no_pictures")
def test_the_best_model_is_kept_and_not_the_last(run: Finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = iter([0.5, 0.9, 0.7, 0.9])
    evaluate = record.evaluate_task

    def pretend(*arguments: Any) -> tuple[Scores, list[Prediction]]:
        scores, predictions = evaluate(*arguments)
        return replace(scores, values=scores.values | {"accuracy": next(given)}), predictions

    monkeypatch.setattr(record, "evaluate_task", pretend)
    outcome = run()
    state, output = outcome.state, tmp_path / "run"
    assert (state.best_score, state.best_step, state.evaluations_since_best) == (0.9, 4, 1)
    assert same(output / "best", output / "checkpoint-00000004")
    assert same(outcome.directory, output / "best")
    assert not same(outcome.directory, output / "checkpoint-00000006")
    log = read_lines(output / "log.jsonl")
    assert [(line["step"], line["accuracy"]) for line in log if line["event"] == "evaluation"] == [(2, 0.5), (4, 0.9), (6, 0.7)]
    assert [line["step"] for line in log if line["event"] == "checkpoint"] == [2, 4, 6]
    assert len([line for line in log if line["event"] == "train"]) == 6


@pytest.mark.usefixtures("no_pictures")
def test_a_test_set_is_scored_or_only_answered(run: Finetune, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = write_table(tmp_path / "test.csv", TEXTS[1:4])
    run(f"data.test={known}", f"output={tmp_path / 'known'}")
    found = Results.read(tmp_path / "known")
    assert found.test is not None
    assert (found.test.num_examples, found.examples["test"]) == (3, 3)
    assert found.counts["test"] == {"truncated": 0}
    told = " ".join(capsys.readouterr().err.partition("test set, which chose nothing:")[2].split())
    assert told.startswith(f"3 examples score baseline accuracy {found.test.values['accuracy']:.4f}")
    assert len(read_lines(tmp_path / "known" / "test" / "predictions.jsonl")) == 3
    assert (tmp_path / "known" / "test" / "errors.jsonl").exists()
    unknown = write_table(tmp_path / "unknown.csv", [(text,) for text, _ in TEXTS[1:4]])
    run(f"data.test={unknown}", f"output={tmp_path / 'unknown'}")
    assert Results.read(tmp_path / "unknown").test is None
    assert [path.name for path in (tmp_path / "unknown" / "test").iterdir()] == ["predictions.jsonl"]


@pytest.mark.usefixtures("no_pictures")
def test_a_finished_run_that_is_resumed_gives_the_same(run: Finetune, tmp_path: Path) -> None:
    first = run()
    before = Results.read(tmp_path / "run")
    again = run(resume=True)
    assert again.scores == first.scores
    assert replace(Results.read(tmp_path / "run"), peak_memory_bytes=before.peak_memory_bytes) == before


def test_other_processes_write_nothing(overrides: list[str], tmp_path: Path) -> None:
    recipe = read_recipe(None, overrides)
    main = Processes()
    examples = read_examples(recipe, world_size=1, is_main=False)
    run = FinetuneRun.load(recipe, examples, 0, tmp_path / "run", main, resume=False)
    before = sorted(tmp_path.rglob("*"))
    run.processes = replace(main, rank=1)
    with record.FinetuneRecord(run) as other, run.batches() as batches:
        other.add_step(run.take_step(next(batches)))
        assert other.test() is other.finish() is None
        other.save()
    assert sorted(tmp_path.rglob("*")) == before
    assert run.model.training


def test_the_command_makes_the_same_recipe_again(overrides: list[str]) -> None:
    more = [
        "data.columns={choice0: 'yes'}",
        "data.columns.text=#1 String",
        "data.cache='2026'",
        "lora={rank: 2}",
        "optimizer.betas=[0.8, 0.9]",
        "training.seeds=[1, 2]",
    ]
    recipe = read_recipe(None, [*overrides, *more])
    words = shlex.split(describe_command(recipe))
    assert words[:2] == ["albertkit", "finetune"]
    pairs = zip(words[2::2], words[3::2], strict=True)
    assert read_recipe(None, [f"{flag.removeprefix('--')}={value}" for flag, value in pairs]) == recipe
