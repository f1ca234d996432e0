"""From SentencePiece's pieces back to characters of the original text, for many texts at once.

Three steps lead from a text to pieces: ALBERT's preparation, SentencePiece's own normalisation, and the cutting. The pieces of a
text, put together, are its normalised form, so the running sum of their lengths says where each stands in it. Nearly always
that form is just ``▁`` and the prepared text with ``▁`` for spaces: then places and spans differ by that one. Where it is not,
SentencePiece is asked.
"""

from __future__ import annotations

import numpy as np

from albertkit.tokenization.reference import WORD_START

__all__ = ["Spelling", "follow_normalization", "follow_sources", "mark_spaces", "place_pieces"]


def mark_spaces(line: str) -> str:
    """What SentencePiece makes of a prepared text that it has nothing to change in: ``▁`` before it and for every space."""
    return (WORD_START + line).replace(" ", WORD_START) if line else ""


class Spelling:
    """The pieces of a vocabulary as code points, to see at once whether many texts are spelt as their pieces are.

    Args:
        pieces: Id → piece.
    """

    def __init__(self, pieces: tuple[str, ...]) -> None:
        self._pool = np.frombuffer("".join(pieces).encode("utf-32-le"), np.uint32)
        self._lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
        self._starts = np.cumsum(self._lengths) - self._lengths

    def find_differing(
        self, lines: list[str], ids: np.ndarray, bounds: np.ndarray, lengths: np.ndarray, unk_id: int
    ) -> list[int]:
        """The texts that SentencePiece changed in more than :func:`mark_spaces`; those with an unknown piece are left out.

        Args:
            lines: Prepared texts.
            ids: Of their pieces, end to end.
            bounds: Where each text's ids begin and end.
            lengths: Characters of each piece.
            unk_id: Of the unknown piece, which has no spelling.
        """
        ends = np.concatenate(([0], np.cumsum(lengths)))
        sizes = np.fromiter(map(len, lines), np.int64, len(lines))
        known = np.ones(len(lines), bool)
        known[np.searchsorted(bounds, np.flatnonzero(ids == unk_id), side="right") - 1] = False
        same_size = np.diff(ends[bounds]) == sizes + (sizes > 0)
        kept = np.flatnonzero(known & same_size).tolist()
        differing = np.flatnonzero(known & ~same_size).tolist()
        expected = [mark_spaces(lines[index]) for index in kept]
        spelt = self._spell(ids[np.repeat(known & same_size, np.diff(bounds))])
        if not np.array_equal(spelt, np.frombuffer("".join(expected).encode("utf-32-le"), np.uint32)):
            position = 0
            for index, line in zip(kept, expected, strict=True):
                codes = np.frombuffer(line.encode("utf-32-le"), np.uint32)
                if not np.array_equal(spelt[position : position + len(line)], codes):
                    differing.append(index)
                position += len(line)
        return differing

    def _spell(self, ids: np.ndarray) -> np.ndarray:
        """The code points of pieces, end to end."""
        lengths = self._lengths[ids]
        before = np.cumsum(lengths) - lengths
        codes: np.ndarray = self._pool[np.arange(lengths.sum()) + np.repeat(self._starts[ids] - before, lengths)]
        return codes


def place_pieces(lengths: np.ndarray, leads: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Where each piece stands in the normalised form of its text, the ``▁`` that leads a word left out.

    Args:
        lengths: Characters of each piece, all texts end to end.
        leads: 1 for a piece that begins with ``▁`` and goes on.
        bounds: Where each text's pieces begin and end, [texts + 1].

    Returns:
        int64 [pieces, 2].
    """
    ends = np.concatenate(([0], np.cumsum(lengths)))
    places = np.empty((len(lengths), 2), np.int64)
    base = np.repeat(ends[bounds[:-1]], np.diff(bounds))
    np.subtract(ends[:-1], base, out=places[:, 0])
    places[:, 0] += leads
    np.subtract(ends[1:], base, out=places[:, 1])
    return places


def follow_normalization(places: np.ndarray, lone: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """From places in the normalised form of one text to spans of the prepared text.

    Args:
        places: [pieces, 2].
        lone: Which pieces are a ``▁`` and nothing else, [pieces].
        starts: Where each normalised character began in the prepared text, and where the last one ended.

    Returns:
        [pieces, 2]; an empty span for a lone ``▁`` that stands for no character, as the one put before the text.
    """
    spans: np.ndarray = starts[places]
    # A character that became several may be cut between pieces: each then gets the whole character.
    spans[(spans[:, 0] == spans[:, 1]) & ~lone, 1] += 1
    return spans


def follow_sources(spans: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """From spans of one prepared text to spans of its original.

    Args:
        spans: Begin and end of each piece in the prepared text.
        sources: As in :class:`~albertkit.tokenization.preparation.Prepared`.
    """
    first, last = sources[spans[:, 0]], sources[np.maximum(spans[:, 1] - 1, 0)]
    after = sources[np.minimum(np.searchsorted(sources, last, side="right"), len(sources) - 1)]
    result: np.ndarray = np.stack([first, np.where(spans[:, 0] == spans[:, 1], first, after)], axis=1)
    return result
