"""Turn the texts of a recipe into pre-training data."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from albertkit.cli.recipe_arguments import add_recipe_arguments, read_recipe_arguments

if TYPE_CHECKING:
    from albertkit.data.prepare import Progress
    from albertkit.data.shards import Manifest

__all__ = ["add_arguments", "run"]

_LINE_SECONDS = {True: 0.2, False: 30.0}
"""Terminal or not → how often a line of progress is written."""

_UNKNOWN_SHOWN = 10
"""Unknown characters that are printed; the report has more."""


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    add_recipe_arguments(parser)


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    from albertkit.data.prepare import prepare
    from albertkit.data.report import PICTURE_FILE, read_report

    recipe = read_recipe_arguments(arguments).data
    line = _ProgressLine()
    try:
        manifest = prepare(recipe, progress=line.show)
    finally:
        line.end()
    print(_describe(manifest, read_report(recipe.output)))
    print(f"prepared for {manifest.vocab_size:,} pieces in {recipe.output}")
    if not (Path(recipe.output) / PICTURE_FILE).is_file():
        print('a picture of the corpus needs matplotlib: pip install "albertkit[train]"', file=sys.stderr)
    return 0


class _ProgressLine:
    """Share, speed and time left on standard error: one line over and over on a terminal, else one now and then; and the last."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._shown_at = time.monotonic()
        self._last: Progress | None = None
        self._is_open = False

    def show(self, progress: Progress) -> None:
        """Write a line if the last one is old enough."""
        self._last = progress
        if time.monotonic() - self._shown_at >= _LINE_SECONDS[self._is_terminal]:
            self._write(progress)

    def end(self) -> None:
        """Write how far it came, and leave a terminal's line behind."""
        if self._last is not None:
            self._write(self._last)
        if self._is_open:
            print(file=sys.stderr)

    def _write(self, progress: Progress) -> None:
        self._shown_at = time.monotonic()
        counts = progress.counts
        left = progress.seconds * (progress.bytes_total / progress.bytes_read - 1) if progress.bytes_read else 0.0
        text = (
            f"{progress.bytes_read / max(1, progress.bytes_total):4.0%} · {counts.documents:,} documents"
            f" · {counts.tokens / 1e6:,.1f} M tokens · {counts.bytes / 1e6 / max(1e-9, progress.seconds):.1f} MB/s of text"
            f" · {_duration(progress.seconds)}" + (f", {_duration(left)} left" if left >= 1 else "")
        )
        start, end = ("\r\033[K", "") if self._is_terminal else ("", "\n")
        print(f"{start}{text}", end=end, file=sys.stderr, flush=True)
        self._is_open = self._is_terminal


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds: ``0:01:30``."""
    return str(timedelta(seconds=round(seconds)))


def _describe(manifest: Manifest, report: dict[str, Any]) -> str:
    """Make the table, and a line each for lengths, what was left out and what is unknown."""
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
    for unit in ("sentence", "document"):
        lengths = report[f"tokens_per_{unit}"]["at_most"].items()
        lines.append(f"{'a ' + unit:16}has at most " + ", ".join(f"{length:,} tokens in {share}" for share, length in lengths))
    left_out = [*report["excluded_paragraphs"].items(), ("empty documents", report["empty_documents"])]
    lines.append(f"{'left out':16}" + ", ".join(f"{number:,} {kind}" for kind, number in left_out))
    unknown = [f"{one['character']} {one['number']:,}" for one in report["unknown_characters"][:_UNKNOWN_SHOWN]]
    lines.append(f"{'unknown':16}" + (", ".join(unknown) or "no character"))
    return "\n".join(lines)
