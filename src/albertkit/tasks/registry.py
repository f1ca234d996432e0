"""Tasks by name: the known ones, and the forms that one's own tables may have; and a task saved beside its model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

from albertkit import hub
from albertkit.errors import CheckpointError, ConfigError, DataError, suggest
from albertkit.files import new_file
from albertkit.hub import Name
from albertkit.tasks.base import Task
from albertkit.tasks.choice import ChoiceTask
from albertkit.tasks.glue import GLUE, GlueTask
from albertkit.tasks.question_answering import QuestionAnsweringTask
from albertkit.tasks.race import RaceTask, SwagTask
from albertkit.tasks.tables import HUB_PREFIX
from albertkit.tasks.tagging import TaggingTask
from albertkit.tasks.text import TextTask

__all__ = ["FORMS", "TASKS", "TASK_FILE", "find_file", "open_task", "read_task", "write_task"]

TASK_FILE = "task.json"
"""Beside a fine-tuned model: what it was trained for."""

AnyTask = Task[Any]

FORMS: dict[str, Callable[[str], AnyTask]] = {
    "text-classification": lambda name: TextTask(name=name),
    "text-regression": lambda name: TextTask(name=name, problem="regression"),
    "multi-label-classification": lambda name: TextTask(name=name, problem="multi_label_classification"),
    "token-classification": lambda name: TaggingTask(name=name),
    "multiple-choice": lambda name: ChoiceTask(name=name),
    "question-answering": lambda name: QuestionAnsweringTask(name=name),
}
"""Form of one's own table → how its task is made."""

TASKS: dict[str, Callable[[str], AnyTask]] = {
    **dict.fromkeys(GLUE, GlueTask.named),
    "squad": lambda name: QuestionAnsweringTask(name=name, may_be_impossible=False),
    "squad-v2": lambda name: QuestionAnsweringTask(name=name, may_be_impossible=True),
    **dict.fromkeys(("race", "race-middle", "race-high"), lambda name: RaceTask(name=name)),
    "swag": lambda name: SwagTask(name=name),
    **dict.fromkeys(("conll", "wnut-17"), lambda name: TaggingTask(name=name)),
    **FORMS,
}
"""Name of every task → how it is made."""

_FIELDS: tuple[tuple[type[AnyTask], str], ...] = (
    (TextTask, r"id|text|text_pair|label"),
    (TaggingTask, r"id|words|tags"),
    (RaceTask, r""),
    (SwagTask, r"id|context|question|ending\d|label"),
    (ChoiceTask, r"id|context|question|choices|choice\d+|label"),
    (QuestionAnsweringTask, r"id|question|context|answers|answer_start"),
)
"""What a task reads of a table, and may be told the column of."""

Split = Literal["train", "eval", "test"]

_STEMS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "in_domain_train", "msr_paraphrase_train", "wnut17train"),
    "eval": ("dev", "valid", "validation", "val", "in_domain_dev", "emerging.dev"),
    "test": ("test", "msr_paraphrase_test", "emerging.test"),
}
_STEMS_OF: dict[str, dict[Split, tuple[str, ...]]] = {
    "mnli": {"eval": ("dev_matched",), "test": ("test_matched",)},
    "mnli-mm": {"eval": ("dev_mismatched",), "test": ("test_mismatched",)},
    "ax": {"eval": ("diagnostic-full",), "test": ("diagnostic",)},
    "squad": {"train": ("train-v1.1",), "eval": ("dev-v1.1",)},
    "squad-v2": {"train": ("train-v2.0",), "eval": ("dev-v2.0",)},
    "race-middle": {"train": ("train-middle", "train"), "eval": ("dev-middle", "dev"), "test": ("test-middle", "test")},
    "race-high": {"train": ("train-high", "train"), "eval": ("dev-high", "dev"), "test": ("test-high", "test")},
}
"""Where the files of a split have names of their own."""

_KINDS = (".tsv", ".csv", ".jsonl", ".json", ".txt", ".conll", ".annotated")
_ENDINGS = (*map("".join, product(_KINDS, ("", ".xz", ".gz"))), ".parquet")


def open_task(
    name: str,
    *,
    columns: Mapping[str, str] | None = None,
    max_seq_length: int | None = None,
    doc_stride: int | None = None,
    with_answerability: bool = False,
) -> AnyTask:
    """Make a task.

    Args:
        name: A key of :data:`TASKS`.
        columns: Field → the column of one's own table, where it has another name.
        max_seq_length: Most tokens of a row; ``None``: the task's own.
        doc_stride: Of question answering: tokens that windows share; other tasks have none.
        with_answerability: Of question answering: Google's head of three parts.

    Raises:
        ConfigError: If there is no such task, or it cannot have what is asked for.
    """
    if name not in TASKS:
        fix = suggest(name, TASKS) or f"one's own table is one of {', '.join(FORMS)}"
        raise ConfigError("task must be a known one", received=repr(name), fix=fix)
    task = TASKS[name](name)
    changes: dict[str, Any] = {}
    if max_seq_length is not None:
        changes["max_seq_length"] = max_seq_length
    if isinstance(task, QuestionAnsweringTask):
        changes |= {"doc_stride": doc_stride, "with_answerability": with_answerability}
    elif with_answerability:
        raise ConfigError("answerability must be asked for with a task of question answering", received=name)
    if columns:
        pattern = next(pattern for kind, pattern in _FIELDS if isinstance(task, kind))
        unknown = [field for field in columns if not re.fullmatch(pattern, field)]
        if unknown:
            there = pattern.replace("\\d+", "0").replace("\\d", "0").replace("|", ", ") or "none"
            raise ConfigError(f"columns of {name} may be named for {there}", received=", ".join(unknown))
        changes["columns"] = dict(columns)
    return replace(task, **changes)


def find_file(name: str, source: str | Path, split: Split) -> str | Path:
    """The file of a split where ``source`` is a folder as it is published: ``train.tsv``, ``dev_matched.tsv``,
    ``train-v1.1.json``, RACE's folder ``dev`` …; any other source itself.

    Args:
        name: Of the task.
        source: A folder, a file or a data set of the hub.
        split: Which of its parts.

    Raises:
        DataError: If the folder has no such file, or several.
    """
    folder = Path(source)
    if str(source).startswith(HUB_PREFIX) or not folder.is_dir():
        return source
    is_race = name.startswith("race")
    endings = (*_ENDINGS, "") if is_race else _ENDINGS
    stems = _STEMS_OF.get(name, {}).get(split, _STEMS[split])
    there = [[path for ending in endings if (path := folder / f"{stem}{ending}").exists()] for stem in stems]
    found = next((paths for paths in there if paths), [])
    if not found and is_race and next(folder.rglob("*.txt"), None):
        return source  # the folder of a split, or of a school in it
    if len(found) != 1:
        received = " and ".join(path.name for path in found) or "none"
        rule = f"a folder must hold one file for {split}, named {' or '.join(stems)}"
        raise DataError(rule, received=f"{received} in {folder}", fix="name the file itself")
    return found[0]


def write_task(task: AnyTask, directory: str | Path) -> None:
    """Write :data:`TASK_FILE` beside a model.

    Args:
        task: With its labels.
        directory: The model's.
    """
    with new_file(Path(directory) / TASK_FILE) as path:
        path.write_text(json.dumps(asdict(task), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_task(name: Name) -> AnyTask | None:
    """The task that a model was trained for; ``None`` where nothing says so.

    Args:
        name: Of the model: a directory, an embedded model, a hub id, or a :class:`~albertkit.hub.Source`.

    Raises:
        CheckpointError: If the file cannot be read or names no known task.
    """
    files = hub.open_files(name)
    if not files.has(TASK_FILE):
        return None
    path = files.fetch(TASK_FILE)
    try:
        values = dict(json.loads(path.read_text(encoding="utf-8")))
        task = TASKS[values["name"]](values["name"])
        unknown = values.keys() - {field.name for field in fields(task)}
        if unknown:
            raise KeyError(*unknown)
        return replace(task, **dict(_settled(values)))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{TASK_FILE} must name a task and its fields", received=f"{path} ({reason})") from None


def _settled(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Fields as a task has them: JSON knows no tuples."""
    for name, value in values.items():
        yield name, tuple(value) if isinstance(value, list) else value
