"""Every task opens, keeps its fields in task.json, and finds its files in a folder."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.errors import CheckpointError, ConfigError, DataError
from albertkit.tasks.registry import FORMS, TASK_FILE, TASKS, find_file, open_task, read_task, write_task


@pytest.mark.parametrize("name", TASKS)
def test_every_task_opens_and_is_read_again(name, tmp_path):
    task = open_task(name, columns={"id": "number"} if name in FORMS else None, max_seq_length=300)
    assert (task.name, task.max_seq_length) == (name, 300)
    assert task.head in HEADS_OF_CLASS[task.architecture]
    assert task.metrics
    task = replace(task, labels=("a", "b"))
    write_task(task, tmp_path)
    assert read_task(tmp_path) == task


def test_options_of_question_answering():
    task = open_task("squad-v2", doc_stride=64, with_answerability=True)
    assert (task.doc_stride, task.head, task.max_seq_length) == (64, "answerability", 384)
    assert open_task("sst-2", doc_stride=64).max_seq_length == 512
    with pytest.raises(ConfigError, match="question answering; received sst-2"):
        open_task("sst-2", with_answerability=True)


def test_unknown_tasks_are_refused():
    with pytest.raises(ConfigError, match=r"task must be a known one; received 'sst2'; did you mean sst-2\?"):
        open_task("sst2")


def test_columns_of_a_field_that_the_task_has_not_are_refused():
    with pytest.raises(ConfigError, match="columns of sst-2 may be named for id, text, text_pair, label; received txt"):
        open_task("sst-2", columns={"txt": "review"})
    with pytest.raises(ConfigError, match="columns of race may be named for none; received context"):
        open_task("race", columns={"context": "c"})
    assert open_task("multiple-choice", columns={"choice12": "c"}).columns == {"choice12": "c"}


def test_a_model_without_a_task_has_none(tmp_path):
    assert read_task(tmp_path) is None


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000, '{"name": "nothing"}', '{"name": "rte", "colour": 1}', "{}"])
def test_a_damaged_task_is_named(tmp_path, content):
    (tmp_path / TASK_FILE).write_text(content)
    with pytest.raises(CheckpointError, match=r"must name a task and its fields; received .*task\.json"):
        read_task(tmp_path)


def test_task_files_can_be_read_by_people(tmp_path):
    write_task(open_task("rte"), tmp_path)
    saved = json.loads((tmp_path / TASK_FILE).read_text())
    assert saved["name"] == "rte"
    assert saved["labels"] == ["entailment", "not_entailment"]


@pytest.mark.parametrize(
    ("name", "split", "file"),
    [
        ("sst-2", "train", "train.tsv"), ("rte", "eval", "dev.tsv.xz"), ("mnli", "eval", "dev_matched.tsv"),
        ("mnli-mm", "eval", "dev_mismatched.tsv"), ("mnli", "train", "train.tsv"), ("mrpc", "test", "msr_paraphrase_test.txt"),
        ("squad", "train", "train-v1.1.json"), ("squad-v2", "eval", "dev-v2.0.json"), ("ax", "test", "diagnostic.tsv"),
        ("conll", "eval", "valid.txt"), ("wnut-17", "eval", "emerging.dev.conll"), ("swag", "eval", "val.csv"),
        ("text-classification", "test", "test.parquet"),
    ],
)  # fmt: skip
def test_a_folder_is_its_official_file(tmp_path, name, split, file):
    for there in ("README.md", "other.tsv", file):
        (tmp_path / there).touch()
    (tmp_path / "original").mkdir()
    assert find_file(name, tmp_path, split) == tmp_path / file
    assert find_file(name, tmp_path / "other.tsv", split) == tmp_path / "other.tsv"
    assert find_file(name, "datasets:a@b", split) == "datasets:a@b"


def test_glues_own_file_comes_before_its_source(tmp_path):
    for there in ("train.tsv", "msr_paraphrase_train.txt"):
        (tmp_path / there).touch()
    assert find_file("mrpc", tmp_path, "train") == tmp_path / "train.tsv"


def test_a_folder_without_the_file_or_with_two_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"one file for eval, named dev or .*; received none in"):
        find_file("rte", tmp_path, "eval")
    for there in ("dev.tsv", "dev.csv"):
        (tmp_path / there).touch()
    with pytest.raises(DataError, match=r"received dev\.tsv and dev\.csv in"):
        find_file("rte", tmp_path, "eval")
