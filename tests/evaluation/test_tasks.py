"""Models on tasks: any engine, any batches, every head; and what is written of it."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from albertkit import optional
from albertkit.errors import CheckpointError, DataError
from albertkit.evaluation import draw_confusion, evaluate_task, format_scores, predict, write_report
from albertkit.inference import TokenBatch, load_engine
from albertkit.tasks.base import Scores
from albertkit.tasks.features import make_features
from albertkit.tasks.registry import open_task
from albertkit.testing import save_tiny_checkpoint, tiny_config

TEXTS = "text\tlabel\n" + "".join(f"{'the cat sat on ' * n}{'it' if n % 3 else 'paris'}\t{n % 2}\n" for n in range(1, 8))
TAGGED = (
    "the\tO\nparis\tB-LOC\n\n"
    + "".join(f"{word}\tO\n" for word in ("he", "is", "in", "new", "york", "with", "a", "cat"))
    + "\nshe\tO\n"
)
CHOICES = "context\tchoices\tlabel\nthe cat\tis a dog|sat on it\t1\nparis is in france that is\tthe capital|new\t0\n"
QUESTIONS = (
    "question\tcontext\tanswers\nthe capital of france?\tparis is the capital of france\tparis\n"
    f"the cat?\t{'he sat on it and ' * 4}the cat was in new york\tnew york\n"
)
KINDS: dict[str, tuple[str, str, str]] = {
    "sequence_classification": ("text-classification", "AlbertForSequenceClassification", TEXTS),
    "token_classification": ("token-classification", "AlbertForTokenClassification", TAGGED),
    "multiple_choice": ("multiple-choice", "AlbertForMultipleChoice", CHOICES),
    "question_answering": ("question-answering", "AlbertForQuestionAnswering", QUESTIONS),
    "answerability": ("question-answering", "AlbertForQuestionAnsweringWithAnswerability", QUESTIONS),
}
"""Head → task, class of the model, examples."""

DECISIONS = {"id", "label", "tags", "answer"}


@pytest.fixture(scope="module", params=KINDS)
def kind(request, tmp_path_factory):
    """A task with its model, its examples and their features."""
    name, architecture, text = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "dev.tsv").write_text(text, encoding="utf-8")
    task = open_task(name, max_seq_length=43, with_answerability=request.param == "answerability")
    examples = task.read(folder / "dev.tsv")
    task = task.with_labels_of(examples)
    config = tiny_config(id2label=dict(enumerate(task.labels))) if task.labels else tiny_config()
    model = save_tiny_checkpoint(folder / "model", architecture, config)
    return SimpleNamespace(task=task, model=model, examples=examples, features=make_features(task, examples, model))


def test_batches_change_nothing_and_come_back_in_order(kind):
    engine, seen = load_engine(kind.model, kind.task.head, engine="numpy"), []
    whole = predict(engine, kind.task, kind.features)
    alone = predict(engine, kind.task, kind.features, token_budget=1, on_progress=lambda *done: seen.append(done))
    rows = len(kind.features.boundaries) - 1
    assert rows > 1
    assert seen == [(number + 1, rows) for number in range(rows)]
    assert whole.keys() == alone.keys()
    for name in whole:
        assert len(whole[name]) in (rows, len(kind.features.input_ids))
        np.testing.assert_allclose(alone[name], whole[name], rtol=1e-5, atol=1e-5)
    last = slice(kind.features.boundaries[-2], kind.features.boundaries[-1])
    ids, types = kind.features.input_ids[last].astype(np.int64), kind.features.token_type_ids[last].astype(np.int64)
    batch = TokenBatch(ids, types, np.array([0, len(ids)]))
    if kind.task.head != "answerability":
        expected = engine.logits(kind.task.head, batch)
        np.testing.assert_allclose(whole["logits"][-len(expected) :], expected, rtol=1e-5, atol=1e-5)
    else:
        expected = engine.answer_spans(batch, kind.features.places["allowed"][last]).cls_logits
        np.testing.assert_allclose(whole["cls_logits"][-1:], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_every_engine_gives_the_same_scores(kind, engine):
    expected, predictions = evaluate_task(
        load_engine(kind.model, kind.task.head, engine="numpy"), kind.task, kind.examples, kind.features
    )
    found, others = evaluate_task(load_engine(kind.model, kind.task.head, engine=engine), kind.task, kind.examples, kind.features)
    assert found.values == pytest.approx(expected.values, abs=1e-4)
    for given, prediction in zip(others, predictions, strict=True):
        assert {name: given[name] for name in DECISIONS & prediction.keys()} == {
            name: prediction[name] for name in DECISIONS & prediction.keys()
        }
    assert found.num_examples == len(kind.examples) == len(predictions)


def test_a_report_holds_predictions_and_errors(kind, tmp_path):
    engine = load_engine(kind.model, kind.task.head, engine="numpy")
    scores, predictions = evaluate_task(engine, kind.task, kind.examples, kind.features)
    write_report(tmp_path / "scored", kind.task, kind.examples, predictions, scores)
    write_report(tmp_path / "blind", kind.task, kind.examples, predictions, None)
    written = [json.loads(line) for line in (tmp_path / "scored/predictions.jsonl").read_text().splitlines()]
    assert [record["id"] for record in written] == [example.id for example in kind.examples]
    errors = [json.loads(line) for line in (tmp_path / "scored/errors.jsonl").read_text().splitlines()]
    assert len(errors) == len(list(kind.task.errors(kind.examples, predictions)))
    assert (tmp_path / "scored/confusion.png").exists() == ("confusion" in scores.details)
    squad = {"predictions.json", "nbest_predictions.json", "null_odds.json"} if "answer" in predictions[0] else set()
    assert {path.name for path in (tmp_path / "blind").iterdir()} == {"predictions.jsonl"} | squad
    assert kind.task.metrics[0] in format_scores(scores)


def test_a_model_of_other_classes_is_refused(tmp_path):
    task = replace(open_task("sst-2"), max_seq_length=43)
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\nthe cat\t1\n")
    model = save_tiny_checkpoint(tmp_path / "model", "AlbertForSequenceClassification", tiny_config(num_labels=3))
    examples = task.read(tmp_path / "dev.tsv")
    features = make_features(task, examples, model)
    with pytest.raises(CheckpointError, match="must have 2 classes: 0, 1; received one of 3"):
        predict(load_engine(model, task.head), task, features)


def scores(**details: Any) -> Scores:
    return Scores({"accuracy": 0.9, "f1": 0.75}, "accuracy", 1200, 0.5, details)


def test_the_table_shows_the_baseline_beside_the_primary_score():
    lines = format_scores(scores(entities={"LOC": {"f1": 0.5, "precision": 0.25, "recall": 1.0, "number": 1234}})).splitlines()
    assert [line.split() for line in lines] == [
        ["1,200", "examples", "score", "baseline"],
        ["accuracy", "0.9000", "0.5000"],
        ["f1", "0.7500"],
        ["entities", "f1", "precision", "recall", "number"],
        ["LOC", "0.5000", "0.2500", "1.0000", "1,234"],
    ]
    assert "baseline" not in format_scores(replace(scores(), baseline=None))


def test_a_picture_of_the_confusion_needs_matplotlib_and_a_report_does_without(kind, tmp_path, monkeypatch):
    draw_confusion(scores(labels=["a", "b"], confusion=[[3, 1], [0, 0]]), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(optional, "is_installed", lambda module: False)
    found, predictions = evaluate_task(
        load_engine(kind.model, kind.task.head, engine="numpy"), kind.task, kind.examples, kind.features
    )
    write_report(tmp_path, kind.task, kind.examples, predictions, found)
    assert not (tmp_path / "confusion.png").exists()


def test_a_folder_that_cannot_be_written_is_named(kind, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="a report must be writable"):
        write_report(tmp_path / "file", kind.task, kind.examples, [], None)
