"""ALBERT's digit-comma rule on arrays of ids: which pieces it cuts, and into what, worked out once for a vocabulary."""

from __future__ import annotations

import itertools

import numpy as np
from sentencepiece import SentencePieceProcessor

from albertkit.tokenization.reference import WORD_START, ends_digit_comma, find_id, resplit

__all__ = ["DigitCommas"]


class DigitCommas:
    """Cuts the comma off pieces such as ``▁1992,`` (see :func:`~albertkit.tokenization.reference.resplit`).

    Parts get numbers after the V pieces, so that a part knows its own length: that of its text, also where that text is no
    piece and its id therefore the unknown one.

    Args:
        processor: SentencePiece with the vocabulary loaded.
        pieces: Id → piece.
    """

    def __init__(self, processor: SentencePieceProcessor, pieces: tuple[str, ...]) -> None:
        texts = list(pieces)
        self._parts: dict[int, list[int]] = {}
        self._cut = np.zeros(len(pieces), bool)
        self._first = np.zeros(len(pieces), np.int64)
        self._count = np.ones(len(pieces), np.int64)
        self.misfits: list[int] = []
        """Pieces whose parts do not line up with them, character for character."""
        for index, piece in enumerate(pieces):
            if piece[-1] == "," and ends_digit_comma(piece):
                parts = resplit(processor, piece)
                self._cut[index], self._first[index], self._count[index] = True, len(texts), len(parts)
                self._parts[index] = [find_id(processor, part) for part in parts]
                texts += parts
                if sum(map(len, parts)) != len(piece):
                    self.misfits.append(index)
        self._pieces = frozenset(self._parts)
        self.ids = np.array([*range(len(pieces)), *itertools.chain.from_iterable(self._parts.values())], np.int32)
        """Number of a piece or part → id."""
        self.lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        """Number of a piece or part → characters in it."""
        self.leads = np.array([len(text) > 1 and text[0] == WORD_START for text in texts], np.int64)
        """Number of a piece or part → 1 if a ``▁`` leads it that is not all of it."""

    def cut(self, rows: list[list[int]]) -> list[list[int]]:
        """Cut the commas off in rows of ids, in place; gives the rows back."""
        pieces_in = self._pieces.intersection
        for row in rows:
            # Short pieces first: a part may itself be such a piece, and stays whole.
            for index in sorted(pieces_in(row), key=self.lengths.__getitem__):
                parts, position = self._parts[index], 0
                for _ in range(row.count(index)):
                    position = row.index(index, position)
                    row[position : position + 1] = parts
                    position += len(parts)
        return rows

    def number(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The same on ids end to end, for those who must know the length of every part.

        Returns:
            The numbers of pieces and parts, and how many came from each of ``ids`` (``None``: one from every).
        """
        hits = np.flatnonzero(self._cut[ids])
        if not len(hits):
            return ids, None
        counts = np.ones(len(ids), np.int64)
        counts[hits] = self._count[ids[hits]]
        ends = np.cumsum(counts)
        numbers = np.repeat(ids.astype(np.int64), counts)
        for step in range(int(counts[hits].max())):
            longer = hits[counts[hits] > step]
            numbers[ends[longer] - counts[longer] + step] = self._first[ids[longer]] + step
        return numbers, counts
