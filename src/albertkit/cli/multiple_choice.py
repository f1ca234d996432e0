"""Choose the best ending or answer: each choice with its probability."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from albertkit.cli.display import clip, table
from albertkit.cli.task_command import Record, TaskCommand, add_task_arguments, run_task

__all__ = ["COMMAND", "add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("--prompt", metavar="TEXT", help="what the choices follow, or the text a question is about")
    parser.add_argument("--question", metavar="QUESTION", help="what the choices answer; at a _ in it they fill the blank (RACE)")
    parser.add_argument("--top-k", type=int, metavar="K", help="choices of an answer, best first (default: all)")
    parser.add_argument("--truncation", action="store_true", help="cut the prompt to what the model can read")
    add_task_arguments(parser, COMMAND, "the choices")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    return run_task(COMMAND, arguments)


def _show(record: Record, answers: list[dict[str, Any]]) -> str:
    """The prompt and the question, then a row per choice, best first."""
    texts = [record[name] for name in ("prompt", "question") if name in record]
    return "\n".join([*map(clip, texts), *table([(row["choice"], row["score"]) for row in answers])])


def _cells(answers: list[dict[str, Any]]) -> list[Any]:
    return [[row[name] for row in answers] for name in ("choice", "index", "score")]


COMMAND = TaskCommand(
    task="multiple-choice",
    inputs="prompt, choices and, if wanted, question",
    options=("top_k", "truncation"),
    show=_show,
    columns=("choice", "index", "score"),
    cells=_cells,
    line=lambda record, answers: str(answers[0]["choice"]),
    text_field="choices",
    given=("prompt", "question"),
    gather=lambda texts: {"choices": texts},
)
"""The task, as :mod:`albertkit.cli.task_command` runs it."""
