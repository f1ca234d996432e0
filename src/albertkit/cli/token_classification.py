"""Classify the tokens of texts, such as names of people and places, and mark them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from albertkit.cli.display import mark
from albertkit.cli.task_command import Record, TaskCommand, add_task_arguments, run_task

__all__ = ["COMMAND", "add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument(
        "--aggregation-strategy",
        choices=("none", "simple", "first", "average", "max"),
        default="none",
        help="how tokens become entities; none: they stay tokens (default: %(default)s)",
    )
    parser.add_argument(
        "--ignore-labels", nargs="*", default=("O",), metavar="LABEL", help="labels that are no answer (default: O)"
    )
    parser.add_argument(
        "--stride", type=int, metavar="TOKENS", help="read a long text in windows that share so many tokens (default: refuse it)"
    )
    add_task_arguments(parser, COMMAND)


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    return run_task(COMMAND, arguments)


def _label(answer: dict[str, Any]) -> str:
    """The label, of a token or of an entity."""
    return str(answer.get("entity_group", answer.get("entity")))


def _mark(record: Record, answers: list[dict[str, Any]]) -> str:
    """The text with its entities marked."""
    return mark(record["text"], [(row["start"], row["end"], _label(row)) for row in answers])


def _cells(answers: list[dict[str, Any]]) -> list[Any]:
    return [[*map(_label, answers)], *([row[name] for row in answers] for name in ("word", "score", "start", "end"))]


COMMAND = TaskCommand(
    task="token-classification",
    inputs="text",
    options=("aggregation_strategy", "ignore_labels", "stride"),
    show=_mark,
    columns=("label", "word", "score", "start", "end"),
    cells=_cells,
    line=_mark,
)
"""The task, as :mod:`albertkit.cli.task_command` runs it."""
