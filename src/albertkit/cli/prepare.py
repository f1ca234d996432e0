"""Turn the texts of a recipe into pre-training data."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from albertkit.cli.recipe_arguments import add_recipe_arguments, read_recipe_arguments

if TYPE_CHECKING:
    from albertkit.data.prepare import Progress
    from albertkit.data.shards import Manifest

__all__ = ["add_arguments", "run"]

_LINE_SECONDS = {True: 0.2, False: 30.0}
"""Terminal or not → how often a line of progress is written."""


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    add_recipe_arguments(parser)


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    from albertkit.data.prepare import prepare

    recipe = read_recipe_arguments(arguments).data
    line = _ProgressLine()
    try:
        manifest = prepare(recipe, progress=line.show)
    finally:
        line.end()
    print(_report(manifest, recipe.output))
    return 0


class _ProgressLine:
    """Documents, speed and tokens on standard error: one line over and over on a terminal, else one now and then."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._shown_at = time.monotonic()
        self._is_open = False

    def show(self, progress: Progress) -> None:
        """Write a line if the last one is old enough."""
        if time.monotonic() - self._shown_at < _LINE_SECONDS[self._is_terminal]:
            return
        self._shown_at = time.monotonic()
        counts = progress.counts
        text = (
            f"{counts.documents:,} documents · {counts.tokens / 1e6:.1f} M tokens · {counts.bytes / 1e6:.0f} MB of text"
            f" · {counts.bytes / 1e6 / progress.seconds:.1f} MB/s · {progress.seconds:.0f} s"
        )
        print(
            f"\r\033[K{text}" if self._is_terminal else text, end="" if self._is_terminal else "\n", file=sys.stderr, flush=True
        )
        self._is_open = self._is_terminal

    def end(self) -> None:
        """Leave a terminal's line behind."""
        if self._is_open:
            print(file=sys.stderr)


def _report(manifest: Manifest, output: str) -> str:
    lines = [f"{'':16}{'train':>16}{'held out':>16}"]
    train, held_out = manifest.counts["train"], manifest.counts["held_out"]
    for name, form, values in (
        ("documents", ",.0f", (train.documents, held_out.documents)),
        ("sentences", ",.0f", (train.sentences, held_out.sentences)),
        ("tokens", ",.0f", (train.tokens, held_out.tokens)),
        ("bytes of text", ",.0f", (train.bytes, held_out.bytes)),
        ("tokens/sentence", ".1f", (train.tokens_per_sentence, held_out.tokens_per_sentence)),
        ("tokens/document", ",.1f", (train.tokens_per_document, held_out.tokens_per_document)),
        ("unknown tokens", ".3%", (train.unknown_rate, held_out.unknown_rate)),
    ):
        lines.append(f"{name:16}{values[0]:>16{form}}{values[1]:>16{form}}")
    return "\n".join([*lines, f"prepared for {manifest.vocab_size:,} pieces in {output}"])
