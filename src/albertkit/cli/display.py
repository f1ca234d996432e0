"""What commands show to people: aligned tables with bars, and spans marked in a text."""

from __future__ import annotations

import os
import sys
import zlib
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from unicodedata import combining, east_asian_width

__all__ = ["bar", "clip", "mark", "pad", "table", "width"]

_BAR = 24  # characters of a bar that stands for 1
_LABEL = 60  # columns of a label, at most
_COLOURS = (31, 32, 33, 34, 35, 36)  # ANSI foreground colours


def width(text: str) -> int:
    """Columns that a terminal gives to a text: two for a wide character, none for one that combines."""
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def pad(text: str, columns: int) -> str:
    """The text with spaces up to a width."""
    return text + " " * (columns - width(text))


def clip(text: str, columns: int = _LABEL) -> str:
    """The text on one line and no wider than ``columns``."""
    text = " ".join(text.split())
    used = list(accumulate(map(width, text)))
    if not used or used[-1] <= columns:
        return text
    return text[: bisect_left(used, columns)] + "…"


def bar(share: float) -> str:
    """A bar that shows a share between 0 and 1; never empty."""
    return "█" * round(share * _BAR) or "▏"


def table(rows: Sequence[tuple[str, float]], form: str = "6.1%", *, bars: bool = True) -> list[str]:
    """Lines of label, value and bar.

    Args:
        rows: Labels and values.
        form: How a value is written.
        bars: Draw them, which says something of values from 0 to 1 only.
    """
    labels = [clip(label) for label, _ in rows]
    columns = max(map(width, labels), default=0)
    lines = []
    for label, (_, value) in zip(labels, rows, strict=True):
        lines.append(f"  {pad(label, columns)}  {value:{form}}" + (f"  {bar(value)}" if bars else ""))
    return lines


def mark(text: str, spans: Sequence[tuple[int, int, str]]) -> str:
    """A text with spans marked: in colour on a terminal, else ``[Paris LOC]``.

    Args:
        text: Any text.
        spans: Start and end of each in the text, and its label, which may be empty; those that overlap an earlier one are
            left out.
    """
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")  # https://no-color.org
    parts: list[str] = []
    place = 0
    for start, stop, label in sorted(spans):
        if start < place:
            continue
        tail = f" {label}" if label else ""
        code = _COLOURS[zlib.crc32(label.encode()) % len(_COLOURS)]
        marked = f"\033[1;{code}m{text[start:stop]}\033[0;{code}m{tail}\033[0m" if colour else f"[{text[start:stop]}{tail}]"
        parts += [text[place:start], marked]
        place = stop
    return "".join([*parts, text[place:]])
