"""Classify texts, or pairs of them: labels with their probabilities."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from albertkit.cli.display import clip, table
from albertkit.cli.task_command import Record, TaskCommand, add_task_arguments, run_task

__all__ = ["COMMAND", "add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("--text-pair", metavar="TEXT", help="the second text of each pair")
    parser.add_argument("--top-k", type=int, metavar="K", help="labels of an answer, best first (default: all)")
    parser.add_argument(
        "--function-to-apply",
        choices=("softmax", "sigmoid", "none"),
        help="what makes probabilities of scores (default: as the model's configuration says)",
    )
    parser.add_argument("--truncation", action="store_true", help="cut what the model cannot read")
    add_task_arguments(parser, COMMAND)


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    return run_task(COMMAND, arguments)


def _show(record: Record, answers: list[dict[str, Any]]) -> str:
    """The text or the pair, then a row per label."""
    rows = [(row["label"], row["score"]) for row in answers]
    is_share = all(0 <= score <= 1 for _, score in rows)  # not so the scores of a regression
    return "\n".join([*map(clip, record.values()), *table(rows, "6.1%" if is_share else "8.3f", bars=is_share)])


def _cells(answers: list[dict[str, Any]]) -> list[Any]:
    return [[row["label"] for row in answers], [row["score"] for row in answers]]


COMMAND = TaskCommand(
    task="text-classification",
    inputs="text and, if wanted, text_pair",
    options=("top_k", "function_to_apply", "truncation"),
    show=_show,
    columns=("label", "score"),
    cells=_cells,
    line=lambda record, answers: str(answers[0]["label"]),
    given=("text_pair",),
)
"""The task, as :mod:`albertkit.cli.task_command` runs it."""
