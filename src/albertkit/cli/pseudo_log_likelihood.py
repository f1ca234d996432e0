"""Score how likely texts are: each token masked once, the logarithms of their probabilities summed (arXiv:1910.14659)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from albertkit.cli.display import clip, table
from albertkit.cli.task_command import Record, TaskCommand, add_task_arguments, run_task

__all__ = ["COMMAND", "add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument(
        "--method",
        choices=("token", "word_l2r"),
        default="token",
        help="word_l2r: with a token mask those of its word to the right too (arXiv:2305.10588; default: %(default)s)",
    )
    parser.add_argument("--per-token", action="store_true", help="give the score of each token too")
    add_task_arguments(parser, COMMAND)


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    return run_task(COMMAND, arguments)


def _show(record: Record, answer: dict[str, Any]) -> str:
    """The text, its score, and the tokens' scores where they were asked for."""
    sums = f"  {answer['score']:.2f} for {answer['tokens']} tokens, perplexity {answer['perplexity']:,.2f}"
    rows = [(row["token"], row["score"]) for row in answer.get("token_scores", ())]
    return "\n".join([clip(record["text"]), sums, *table(rows, "8.2f", bars=False)])


COMMAND = TaskCommand(
    task="pseudo-log-likelihood",
    inputs="text",
    options=("method", "per_token"),
    show=_show,
    columns=("score", "tokens", "perplexity"),
    cells=lambda answer: [answer["score"], answer["tokens"], answer["perplexity"]],
    line=lambda record, answer: str(answer["score"]),
)
"""The task, as :mod:`albertkit.cli.task_command` runs it."""
