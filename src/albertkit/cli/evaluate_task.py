"""The part of ``albertkit evaluate`` that scores a fine-tuned model on the examples of its task."""

from __future__ import annotations

import json
import sys
import time
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from albertkit.cli.model_arguments import add_engine_arguments, add_source_arguments
from albertkit.hub import Source

if TYPE_CHECKING:
    from albertkit.config import AlbertConfig
    from albertkit.tasks.base import Scores, Task

__all__ = ["TASK_FLAGS", "add_task_arguments", "run_task"]

TASK_FLAGS: dict[str, Any] = {
    "task": None, "columns": [], "revision": None, "allow_pickle": False, "engine": "auto", "device": None, "dtype": None,
    "token_budget": 4096,
}  # fmt: skip
"""What says something of a task alone, with its defaults."""

_MANY = 4096  # examples that are worth the start of a process for each core


def add_task_arguments(parser: ArgumentParser) -> None:
    """Add ``--data`` and what belongs to it."""
    group = parser.add_argument_group("task", "score a fine-tuned model on examples")
    group.add_argument("--data", metavar="FILE", help="examples: a file of the task, a table, or datasets:NAME[/CONFIG]@SPLIT")
    group.add_argument("--task", metavar="TASK", help="sst-2, squad-v2, token-classification … (default: what the model says)")
    group.add_argument(
        "--columns", nargs="+", default=[], metavar="FIELD=COLUMN", help="columns of a table: text=review label=stars …"
    )
    add_source_arguments(group)
    add_engine_arguments(group)
    group.add_argument(
        "--output", metavar="FOLDER", help="write predictions, errors and results; with a recipe its output, where the model is"
    )


def run_task(arguments: Namespace) -> int:
    """Score, or only answer where right answers are not known, and return the command's exit status."""
    from albertkit.config import AlbertConfig
    from albertkit.data.workers import count_cores
    from albertkit.errors import InputError
    from albertkit.evaluation import predict, write_report
    from albertkit.inference import load_engine
    from albertkit.tasks.features import make_features
    from albertkit.tasks.registry import find_file

    source = Source(arguments.model, arguments.revision, allow_pickle=arguments.allow_pickle)
    config = AlbertConfig.from_pretrained(source)
    task = _find_task(arguments, source, config)
    engine = load_engine(source, task.head, engine=arguments.engine, device=arguments.device, dtype=arguments.dtype)
    examples = task.read(find_file(task.name, arguments.data, "eval"))
    with _progress("examples") as show:
        workers = count_cores() if len(examples) > _MANY else 1
        features = make_features(task, examples, source, workers=workers, on_progress=show)
    if not features.targets and arguments.output is None:
        raise InputError(
            "without right answers there is nothing to score, but predictions to write",
            received=f"none in {arguments.data}",
            fix="name a folder for them with --output",
        )
    started = time.perf_counter()
    with _progress("rows") as show:
        outputs = predict(engine, task, features, token_budget=arguments.token_budget, on_progress=show)
    seconds = time.perf_counter() - started
    predictions = task.decode(examples, features, outputs)
    scores = task.score(examples, predictions) if features.targets else None
    found = {
        "model": arguments.model,
        "task": task.name,
        "data": arguments.data,
        "examples": len(examples),
        "scores": None if scores is None else asdict(scores),
        "counts": features.counts,
        "engine": engine.name,
        "seconds": seconds,
        "tokens_per_second": len(features.input_ids) / seconds,
    }
    if arguments.output is not None:
        write_report(arguments.output, task, examples, predictions, scores)
        _write(Path(arguments.output) / "results.json", found)
    print(json.dumps(found, indent=2, ensure_ascii=False) if arguments.json else _describe(found, scores, arguments.output))
    return 0


def _find_task(arguments: Namespace, source: Source, config: AlbertConfig) -> Task[Any]:
    """The task that the command names, or else the one saved with the model, cut to the room the model has."""
    from albertkit.errors import InputError
    from albertkit.tasks.registry import TASK_FILE, read_task

    columns = _read_columns(arguments.columns)
    if arguments.task is not None:
        task = _open_task(arguments.task, source, config, columns)
    else:
        saved = read_task(source)
        if saved is None:
            received = f"{arguments.model}, which has no {TASK_FILE}"
            raise InputError("it must be known what a model was fine-tuned for", received=received, fix="name it with --task")
        task = replace(saved, columns=columns) if columns else saved
    return replace(task, max_seq_length=min(task.max_seq_length, config.max_position_embeddings))


def _open_task(name: str, source: Source, config: AlbertConfig, columns: Mapping[str, str]) -> Task[Any]:
    """The task that the command names, with the model's head for it, and its labels in the model's order."""
    from albertkit.checkpoints.huggingface import find_heads
    from albertkit.tasks.registry import open_task

    task = open_task(name, columns=columns)
    if task.head == "question_answering" and "answerability" in find_heads(source):
        return open_task(name, columns=columns, with_answerability=True)
    has_labels = task.head in ("sequence_classification", "token_classification") and task.problem_type != "regression"
    labels = tuple(label for _number, label in sorted((config.id2label or {}).items()))
    if has_labels and task.labels is None:
        return replace(task, labels=labels)
    ours = {label.casefold(): label for label in task.labels or ()}
    if has_labels and sorted(ours) == sorted(label.casefold() for label in labels):
        return replace(task, labels=tuple(ours[label.casefold()] for label in labels))
    if has_labels and len(task.labels or ()) == len(labels) and labels[0] != "LABEL_0":
        pairs = ", ".join(f"{theirs} as {ours}" for theirs, ours in zip(labels, task.labels or (), strict=True))
        warnings.warn(f"the model's labels are not those of {task.name}; taken by their numbers: {pairs}.", stacklevel=2)
    return task


def _read_columns(words: list[str]) -> dict[str, str]:
    """``text=review label=stars``."""
    from albertkit.errors import InputError

    for word in words:
        field, _, column = word.partition("=")
        if not field or not column:
            raise InputError("--columns takes FIELD=COLUMN", received=word, fix="write text=review, for example")
    return dict(word.split("=", 1) for word in words)


@contextmanager
def _progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A function that shows how many are done and of how many, on a terminal."""
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", disable=not sys.stderr.isatty(), leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _write(path: Path, found: Mapping[str, Any]) -> None:
    from albertkit.files import new_file

    with new_file(path) as temporary:
        temporary.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _describe(found: Mapping[str, Any], scores: Scores | None, output: str | None) -> str:
    """The table of scores, what happened to examples, the speed, and where to read on."""
    from albertkit.evaluation import format_scores
    from albertkit.optional import is_installed

    lines = [f"{found['model']} on {found['data']} ({found['task']})", ""]
    lines.append(f"{found['examples']:,} examples, without right answers" if scores is None else format_scores(scores))
    lines.append("")
    lines += [f"{name}: {number:,}" for name, number in found["counts"].items() if number]
    lines.append(f"{found['seconds']:.1f} s, {found['tokens_per_second']:,.0f} tokens/s ({found['engine']})")
    if output is not None:
        lines.append(f"predictions{'' if scores is None else ', errors'} and results are in {output}")
        if scores is not None and "confusion" in scores.details and not is_installed("matplotlib"):
            lines.append('no picture of the confusion, for which run: pip install "albertkit[train]"')
    return "\n".join(lines)
