"""What an evaluation leaves to read: a table of scores, predictions, errors, and the confusion of labels as a picture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from albertkit import optional
from albertkit.errors import DataError
from albertkit.files import new_file
from albertkit.tasks.answers import write_predictions
from albertkit.tasks.base import E, Prediction, Scores, Task

__all__ = ["CONFUSION_FILE", "ERRORS_FILE", "PREDICTIONS_FILE", "draw_confusion", "format_scores", "write_report"]

PREDICTIONS_FILE = "predictions.jsonl"
"""A prediction a line."""

ERRORS_FILE = "errors.jsonl"
"""A wrong answer a line, the worst first."""

CONFUSION_FILE = "confusion.png"
"""Right labels by those given."""

_MOST_NUMBERED = 20  # labels up to which a picture has room for numbers


def format_scores(scores: Scores) -> str:
    """Scores as a table: metric, value, and what giving always the commonest answer would have; of tagging also each type's.

    Args:
        scores: Of a task.
    """
    names = [*scores.values, *(f"  {name}" for name in scores.details.get("entities", {}))]
    columns = max(map(len, (*names, f"{scores.num_examples:,} examples"))) + 2
    has_baseline = scores.baseline is not None
    lines = [f"{f'{scores.num_examples:,} examples':{columns}}{'score':>10}" + has_baseline * f"{'baseline':>10}"]
    for name, value in scores.values.items():
        is_compared = has_baseline and name == scores.primary
        lines.append(f"{name:{columns}}{value:10.4f}" + (f"{scores.baseline:10.4f}" if is_compared else ""))
    if "entities" in scores.details:
        lines.append(f"{'entities':{columns}}" + "".join(f"{name:>10}" for name in ("f1", "precision", "recall", "number")))
        for name, found in scores.details["entities"].items():
            shares = "".join(f"{found[metric]:10.4f}" for metric in ("f1", "precision", "recall"))
            lines.append(f"{f'  {name}':{columns}}{shares}{found['number']:10,}")
    return "\n".join(lines)


def write_report(
    directory: str | Path, task: Task[E], examples: Sequence[E], predictions: Sequence[Prediction], scores: Scores | None
) -> None:
    """Write ``predictions.jsonl``, for questions also the files of SQuAD's evaluators; and where there are scores
    ``errors.jsonl`` and, if matplotlib is installed and there are labels, ``confusion.png``.

    Args:
        directory: Where to; made if need be. Files of these names are replaced, each as a whole.
        task: What was decided.
        examples: About which.
        predictions: One for each.
        scores: What they came to; ``None`` where right answers are not known.

    Raises:
        DataError: If a file cannot be written.
    """
    target = Path(directory)
    try:
        _write_lines(target / PREDICTIONS_FILE, predictions)
        if task.head in ("question_answering", "answerability"):
            write_predictions(predictions, target)
        if scores is not None:
            _write_lines(target / ERRORS_FILE, task.errors(examples, predictions))
            if "confusion" in scores.details and optional.is_installed("matplotlib"):
                draw_confusion(scores, target / CONFUSION_FILE)
    except OSError as error:
        raise DataError("a report must be writable", received=f"{target} ({error.strerror or error})") from None


def draw_confusion(scores: Scores, picture: Path) -> None:
    """Draw right labels by those given as a PNG: shares of each right label as colours, numbers of examples or words in them.

    Args:
        scores: With ``confusion`` and ``labels`` among the details.
        picture: File to write.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    labels = scores.details["labels"]
    counts = np.array(scores.details["confusion"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.55 * min(len(labels), 2 * _MOST_NUMBERED)
    figure = optional.require("matplotlib.figure", "A picture of the confusion").Figure((side, side), layout="constrained")
    panel = figure.subplots()
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    panel.set_xticks(range(len(labels)), labels, rotation=90)
    panel.set_yticks(range(len(labels)), labels)
    panel.set_xlabel("given")
    panel.set_ylabel("right")
    if len(labels) <= _MOST_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            panel.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=8)
    with new_file(picture) as path:
        figure.savefig(path, format="png", dpi=120)


def _write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    with new_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
