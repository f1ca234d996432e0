"""Compare sentences with one: the cosine of their vectors."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace

from albertkit.cli.display import clip, table
from albertkit.cli.task_command import Record, TaskCommand, add_task_arguments, run_task

__all__ = ["COMMAND", "add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("--source-sentence", metavar="SENTENCE", help="what the sentences are compared with")
    parser.add_argument(
        "--pooling",
        choices=("cls", "mean", "max"),
        default=SUPPRESS,
        help="how tokens become one vector (default: as the model's files say, else mean)",
    )
    parser.add_argument("--truncation", action="store_true", help="cut what the model cannot read")
    add_task_arguments(parser, COMMAND, "the sentences")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    return run_task(COMMAND, arguments)


def _show(record: Record, answer: list[float]) -> str:
    """The source, then a row per sentence, in their order."""
    rows = [*zip(record["sentences"], answer, strict=True)]
    return "\n".join([clip(record["source_sentence"]), *table(rows, "7.4f")])


COMMAND = TaskCommand(
    task="sentence-similarity",
    inputs="source_sentence and sentences",
    options=("pooling", "truncation"),
    show=_show,
    columns=("score",),
    cells=lambda answer: [answer],
    line=lambda record, answer: " ".join(map(str, answer)),
    text_field="sentences",
    given=("source_sentence",),
    gather=lambda texts: {"sentences": texts},
)
"""The task, as :mod:`albertkit.cli.task_command` runs it."""
