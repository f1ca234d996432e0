"""Fill the [MASK] of a text, or of many: the most likely tokens with their probabilities."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from albertkit.cli.display import table
from albertkit.cli.task_command import Record, TaskCommand, add_task_arguments, run_task

__all__ = ["COMMAND", "add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("--top-k", type=int, default=5, metavar="K", help="answers per mask (default: %(default)s)")
    parser.add_argument("--targets", nargs="+", metavar="WORD", help="choose among these words only")
    parser.add_argument("--joint", action="store_true", help="fill the masks of a text together, not each on its own")
    parser.add_argument(
        "--answer-form",
        choices=("hub", "card"),
        default="hub",
        help="card: as older model cards show it, with special tokens (default: %(default)s)",
    )
    add_task_arguments(parser, COMMAND)


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    return run_task(COMMAND, arguments)


def _show(record: Record, answers: list[Any]) -> str:
    """The text, then a row per answer: token, probability, a bar."""
    masks = answers if isinstance(answers[0], list) else [answers]
    lines = [record["text"]]
    for number, rows in enumerate(masks, 1):
        if len(masks) > 1:
            lines.append(f"  [MASK] {number} of {len(masks)}")
        lines += table([(_tokens(row), row["score"]) for row in rows])
    return "\n".join(lines)


def _tokens(answer: dict[str, Any]) -> str:
    """What fills the mask, or together all masks; the piece of a bare space has no text of its own."""
    return " … ".join(token or "▁" for token in answer.get("token_strs", [answer.get("token_str")]))


def _best(answers: list[Any]) -> list[Any]:
    """The answers of the one mask; of several masks the best of each."""
    return [rows[0] for rows in answers] if isinstance(answers[0], list) else answers


def _cells(answers: list[Any]) -> list[Any]:
    best = _best(answers)
    return [[_tokens(row) for row in best], [row["score"] for row in best], [row["sequence"] for row in best]]


def _line(record: Record, answers: list[Any]) -> str:
    """The text as filled; with several masks their tokens."""
    return " ".join(map(_tokens, _best(answers))) if isinstance(answers[0], list) else str(answers[0]["sequence"])


COMMAND = TaskCommand(
    task="fill-mask",
    inputs="text",
    options=("top_k", "targets", "joint", "answer_form"),
    show=_show,
    columns=("token_str", "score", "sequence"),
    cells=_cells,
    line=_line,
)
"""The task, as :mod:`albertkit.cli.task_command` runs it."""
