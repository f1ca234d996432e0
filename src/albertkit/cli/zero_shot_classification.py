"""Classify texts by labels of your own, with a model of natural language inference."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from albertkit.cli.display import table
from albertkit.cli.task_command import Record, TaskCommand, add_task_arguments, run_task

__all__ = ["COMMAND", "add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument(
        "--candidate-labels",
        nargs="+",
        metavar="LABEL",
        help="the labels, apart or with commas between them; the texts stand before this flag or after the next",
    )
    parser.add_argument(
        "--hypothesis-template",
        default="This example is {}.",
        metavar="TEXT",
        help="the sentence a label is put into, at {} (default: %(default)s)",
    )
    parser.add_argument("--multi-label", action="store_true", help="several labels may be right: each is judged on its own")
    parser.add_argument("--truncation", action="store_true", help="cut what the model cannot read")
    add_task_arguments(parser, COMMAND)


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    if arguments.candidate_labels is not None:
        parts = (label.strip() for word in arguments.candidate_labels for label in word.split(","))
        arguments.candidate_labels = [label for label in parts if label]
    return run_task(COMMAND, arguments)


def _show(record: Record, answer: dict[str, Any]) -> str:
    """The text, then a row per label."""
    return "\n".join([record["text"], *table([*zip(answer["labels"], answer["scores"], strict=True)])])


COMMAND = TaskCommand(
    task="zero-shot-classification",
    inputs="text and, if wanted, candidate_labels",
    options=("candidate_labels", "hypothesis_template", "multi_label", "truncation"),
    show=_show,
    columns=("label", "score"),
    cells=lambda answer: [answer["labels"], answer["scores"]],
    line=lambda record, answer: str(answer["labels"][0]),
)
"""The task, as :mod:`albertkit.cli.task_command` runs it."""
