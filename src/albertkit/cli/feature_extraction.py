"""Turn texts into vectors: one of each token, or one of the whole text."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from albertkit.cli.display import clip
from albertkit.cli.task_command import Record, TaskCommand, add_task_arguments, run_task

__all__ = ["COMMAND", "add_arguments", "run"]

_SHOWN = 6  # numbers of a vector that people see


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument(
        "--pooling", choices=("cls", "mean", "max"), help="one vector of the whole text (default: one of each token)"
    )
    parser.add_argument("--normalize", action="store_true", help="scale vectors to length 1")
    parser.add_argument("--truncation", action="store_true", help="cut what the model cannot read")
    add_task_arguments(parser, COMMAND)


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    return run_task(COMMAND, arguments)


def _shape(answer: Any) -> list[int]:
    return [len(answer), *_shape(answer[0])] if isinstance(answer, list) else []


def _numbers(answer: Any) -> list[float]:
    return [number for part in answer for number in _numbers(part)] if isinstance(answer, list) else [answer]


def _show(record: Record, answer: Any) -> str:
    """The text, the shape of what came out, and the first numbers."""
    vector = answer
    while isinstance(vector[0], list):
        vector = vector[0]
    first = " ".join(f"{number:.4f}" for number in vector[:_SHOWN])
    return f"{clip(record['text'])}\n  {' × '.join(map(str, _shape(answer)))}: {first}{' …' * (len(vector) > _SHOWN)}"


COMMAND = TaskCommand(
    task="feature-extraction",
    inputs="text",
    options=("pooling", "normalize", "truncation"),
    show=_show,
    columns=("shape", "vector"),
    cells=lambda answer: [_shape(answer), _numbers(answer)],
    line=lambda record, answer: " ".join(map(str, _numbers(answer))),
)
"""The task, as :mod:`albertkit.cli.task_command` runs it."""
