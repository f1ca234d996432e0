"""Say whether two texts stand in the right order, or how well the sentences of a document follow one another."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from albertkit.cli.display import clip, table
from albertkit.cli.task_command import Record, TaskCommand, add_task_arguments, run_task

__all__ = ["COMMAND", "add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    add_task_arguments(parser, COMMAND, "two texts, or more for the coherence of a document")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    return run_task(COMMAND, arguments)


def _gather(texts: list[str]) -> dict[str, Any]:
    """Two texts are a pair, any other number a document."""
    return {"text": texts[0], "text_pair": texts[1]} if len(texts) == 2 else {"sentences": texts}


def _show(record: Record, answer: dict[str, Any]) -> str:
    """The order of two texts; of a document each pair's probability to be in order, and their mean."""
    if "label" in answer:
        rows = [(answer["label"], answer["score"])]
        return "\n".join([clip(record["text"]), clip(record["text_pair"]), *table(rows)])
    sentences = [f"{number}. {sentence}" for number, sentence in enumerate(record["sentences"], 1)]
    pairs = [(f"{number}, {number + 1}", score) for number, score in enumerate(answer["scores"], 1)]
    return "\n".join([*map(clip, sentences), *table([*pairs, ("coherence", answer["coherence"])])])


COMMAND = TaskCommand(
    task="sentence-order",
    inputs="text and text_pair, or sentences",
    options=(),
    show=_show,
    columns=("label", "score", "coherence", "scores"),
    cells=lambda answer: [answer.get(name) for name in ("label", "score", "coherence", "scores")],
    line=lambda record, answer: str(answer.get("label", answer.get("coherence"))),
    text_field="sentences",
    gather=_gather,
)
"""The task, as :mod:`albertkit.cli.task_command` runs it."""
