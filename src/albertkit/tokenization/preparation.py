"""ALBERT's preparation of many texts at once: the strings of :meth:`TextRules.apply`, an order of magnitude sooner.

The texts are put end to end, and every character goes through a table from code point to replacement, which is filled as
characters turn up. Runs of white space, doubled quotes and replacements of several characters are rare: they are looked for
once for all texts, and cost something only where they are.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from albertkit.tokenization.normalization import TextRules, check_text, replace_character

__all__ = ["Prepared", "prepare"]

_FEW = 400  # characters up to which the plain rule is sooner done
_CODE_POINTS = 0x110000
_UNSEEN = 0xFFFFFFFF
_SPACE, _QUOTE = ord(" "), ord('"')
_DOUBLED_QUOTES = "``", "''"


@dataclass(frozen=True)
class Prepared:
    """Texts after ALBERT's preparation, and the way back to the originals."""

    lines: list[str]
    """The prepared texts."""
    sources: list[np.ndarray | None]
    """For each text, where each prepared character began in the original, and where the last one ended: int64 [length + 1],
    never falling; ``None`` when every character stands where it stood. Empty unless asked for."""


def prepare(texts: Sequence[str], rules: TextRules, *, with_sources: bool = False) -> Prepared:
    """Prepare texts by ``rules``; all at once, so that many short ones cost little more than one long one.

    Raises:
        InputError: If a text is no string or no valid Unicode.
    """
    try:
        codes = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    except (TypeError, UnicodeEncodeError):
        for text in texts:
            check_text(text)
        raise
    if len(codes) < _FEW and not with_sources:
        return Prepared([rules.apply(text) for text in texts], [])
    bounds = _bounds_of(texts)
    table = _table(rules)
    replaced = table.look_up(codes)
    odd = _find_odd(codes, replaced, bounds, collapse_spaces=rules.remove_space)
    replaced[replaced >= _CODE_POINTS] = _SPACE  # stands in odd texts only, whose lines are made below
    lines = _cut(replaced, bounds)
    sources: list[np.ndarray | None] = [None] * len(lines)
    if odd:
        characters = _Characters([texts[index] for index in odd])
        characters.join_quotes()
        characters.replace(table, collapse_spaces=rules.remove_space)
        for index, line, source in zip(odd, characters.lines(), characters.sources(), strict=True):
            lines[index], sources[index] = line, source
    if table.holds_sigma:
        lines = [line.lower() if "Σ" in line else line for line in lines]
    return Prepared(lines, sources if with_sources else [])


def _bounds_of(texts: Sequence[str]) -> np.ndarray:
    bounds = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), out=bounds[1:])
    return bounds


def _cut(codes: np.ndarray, bounds: np.ndarray) -> list[str]:
    joined = codes.tobytes().decode("utf-32-le")
    edges = bounds.tolist()
    return [joined[start:stop] for start, stop in itertools.pairwise(edges)]


def _find_odd(codes: np.ndarray, replaced: np.ndarray, bounds: np.ndarray, *, collapse_spaces: bool) -> list[int]:
    """The texts where more happens than one character for another: neighbours matter, or lengths change."""
    if not len(codes):
        return []
    odd = replaced >= _CODE_POINTS
    same = codes[1:] == codes[:-1]
    for quote in _DOUBLED_QUOTES:
        odd[1:] |= same & (codes[1:] == ord(quote[0]))
    if collapse_spaces:
        spaces = replaced == _SPACE
        odd[1:] |= spaces[1:] & spaces[:-1]
        filled = bounds[:-1] < bounds[1:]
        first, last = bounds[:-1][filled], bounds[1:][filled] - 1
        odd[first] |= spaces[first]
        odd[last] |= spaces[last]
    texts: list[int] = np.unique(np.searchsorted(bounds, np.flatnonzero(odd), side="right") - 1).tolist()
    return texts


class _Characters:
    """The code points of texts, end to end, while characters are dropped and multiplied."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.codes = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
        self.bounds = self._first_bounds = _bounds_of(texts)
        self._stops = self.bounds[1:].copy()  # where each text ends in the original, white space at its end left out
        self._origins = np.arange(len(self.codes))  # where in the original each code point began

    def join_quotes(self) -> None:
        """Make ``"`` of `` and of '', from left to right."""
        same = self.codes[1:] == self.codes[:-1]
        same[self.bounds[(self.bounds > 0) & (self.bounds < len(self.codes))] - 1] = False
        pairs = same & np.isin(self.codes[1:], [ord(quote[0]) for quote in _DOUBLED_QUOTES])
        codes, keep = self.codes.copy(), np.ones(len(self.codes), bool)
        last = -2
        for first in np.flatnonzero(pairs).tolist():
            if first != last + 1:  # else its first quote is the second of the pair before
                codes[first] = _QUOTE
                keep[first + 1] = False
                last = first
        self.codes = codes
        self._keep(keep)

    def replace(self, table: _Table, *, collapse_spaces: bool) -> None:
        """Put every code point through the table, after collapsing white space if asked to."""
        if collapse_spaces:
            self._collapse(table.is_space(self.codes))
        self.codes = table.look_up(self.codes)
        self._expand(table, np.flatnonzero(self.codes >= _CODE_POINTS))

    def lines(self) -> list[str]:
        """The texts as strings."""
        return _cut(self.codes, self.bounds)

    def sources(self) -> list[np.ndarray]:
        """See :attr:`Prepared.sources`."""
        edges = itertools.pairwise(self.bounds.tolist())
        ends = zip(self._first_bounds.tolist(), self._stops.tolist(), strict=False)
        return [np.append(self._origins[start:stop], end) - base for (start, stop), (base, end) in zip(edges, ends, strict=True)]

    def _collapse(self, spaces: np.ndarray) -> None:
        """Keep the first of every run of white space, none at the ends of a text."""
        before = np.zeros_like(spaces)
        before[1:] = spaces[:-1]
        before[self.bounds[self.bounds < len(spaces)]] = True
        keep = ~(spaces & before)
        spaces = spaces[keep]
        self._keep(keep)
        filled = np.flatnonzero(self.bounds[:-1] < self.bounds[1:])
        last = self.bounds[filled + 1] - 1
        trailing = spaces[last]
        self._stops[filled[trailing]] = self._origins[last[trailing]]
        keep = np.ones(len(spaces), bool)
        keep[last[trailing]] = False
        self._keep(keep)

    def _keep(self, keep: np.ndarray) -> None:
        self.codes = self.codes[keep]
        self._origins = self._origins[keep]
        self.bounds = np.concatenate(([0], np.cumsum(keep)))[self.bounds]

    def _expand(self, table: _Table, several: np.ndarray) -> None:
        """Write out the replacements that are not one character long."""
        pool, starts, lengths = table.replacements
        index = self.codes[several].astype(np.int64) - _CODE_POINTS
        counts = np.ones(len(self.codes), np.int64)
        counts[several] = lengths[index]
        ends = np.concatenate(([0], np.cumsum(counts)))
        self.codes = np.repeat(self.codes, counts)
        for step in range(int(lengths[index].max(initial=0))):
            longer = lengths[index] > step
            self.codes[ends[several[longer]] + step] = pool[starts[index[longer]] + step]
        self._origins = np.repeat(self._origins, counts)
        self.bounds = ends[self.bounds]


class _Table:
    """Code point → replacement under the rules, as far as characters have been seen.

    A code of ``_CODE_POINTS`` and above stands for a replacement that is not one character: number ``code - _CODE_POINTS``.
    """

    def __init__(self, rules: TextRules) -> None:
        self.rules = rules
        self.holds_sigma = False
        """Whether a capital sigma is among the replacements of a lower-casing table: see :func:`replace_character`."""
        self._codes = np.full(_CODE_POINTS, _UNSEEN, np.uint32)
        self._spaces = np.zeros(_CODE_POINTS, bool)
        self._texts: list[str] = []
        self._lock = threading.Lock()
        self.replacements = self._pool()
        self._learn(np.arange(128, dtype=np.uint32))

    def look_up(self, codes: np.ndarray) -> np.ndarray:
        """The replacement code of every code point, uint32."""
        replaced = np.take(self._codes, codes)
        if len(replaced) and replaced.max() == _UNSEEN:
            with self._lock:
                self._learn(np.unique(codes[replaced == _UNSEEN]))
            replaced = np.take(self._codes, codes)
        return replaced

    def is_space(self, codes: np.ndarray) -> np.ndarray:
        """Whether each code point, all looked up before, is white space."""
        return np.take(self._spaces, codes)

    def _learn(self, codes: np.ndarray) -> None:
        new = []
        for code in codes.tolist():
            character = chr(code)
            self._spaces[code] = character.isspace()
            replacement = " " if self.rules.remove_space and character.isspace() else replace_character(character, self.rules)
            self.holds_sigma |= self.rules.do_lower_case and "Σ" in replacement
            if len(replacement) == 1:
                new.append(ord(replacement))
            else:
                new.append(_CODE_POINTS + len(self._texts))
                self._texts.append(replacement)
        self.replacements = self._pool()  # before the codes that point into it can be seen by another thread
        self._codes[codes] = new

    def _pool(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The replacements end to end, where each starts, and how long it is."""
        pool = np.frombuffer("".join(self._texts).encode("utf-32-le"), np.uint32)
        lengths = np.array([len(text) for text in self._texts], np.int64)
        return pool, np.cumsum(lengths) - lengths, lengths


_table = functools.lru_cache(maxsize=8)(_Table)
