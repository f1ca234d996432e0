"""Texts to ids where added tokens stand for themselves and the segmenter does the rest, many texts at a time."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np

from albertkit.tokenization.segmenter import Segmenter
from albertkit.tokenization.special_tokens import AddedTokens, Section
from albertkit.tokenization.wordpiece import WordPieceSegmenter

__all__ = ["Sampling", "TextEncoder", "Tokens"]


@dataclass(frozen=True)
class Sampling:
    """How to cut texts at random (subword regularisation, arXiv:1804.10959).

    Attributes:
        nbest_size: Draw from so many best cuts; negative: from all.
        alpha: Smoothing; 0 draws evenly.
    """

    nbest_size: int = -1
    alpha: float = 0.1


@dataclass(frozen=True)
class Tokens:
    """The tokens of one text, with where they come from.

    Attributes:
        ids: Ids of the tokens.
        offsets: int64 ``[n, 2]``: first and last + 1 character of the original text that each token comes from.
        sizes: Numbers of tokens of the parts that the text was encoded in: added tokens, what is between them, or words.
    """

    ids: list[int]
    offsets: np.ndarray
    sizes: tuple[int, ...]

    @classmethod
    def join(cls, parts: Sequence[Tokens]) -> Tokens:
        """Parts of one text end to end."""
        return cls(
            list(chain.from_iterable(part.ids for part in parts)),
            np.concatenate([part.offsets for part in parts]) if parts else np.zeros((0, 2), np.int64),
            tuple(len(part.ids) for part in parts),
        )


class TextEncoder:
    """Encodes whole texts.

    Args:
        segmenter: For text between added tokens.
        added: The added tokens.
        sampling: Cut at random instead of in the best way.
    """

    def __init__(self, segmenter: Segmenter | WordPieceSegmenter, added: AddedTokens, sampling: Sampling | None = None) -> None:
        self.segmenter = segmenter
        self.added = added
        self.sampling = sampling

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text.

        Raises:
            InputError: If a text is not valid Unicode.
        """
        holding = self.added.find(texts)
        if not holding:
            return self._segment(texts)
        plain, cuts = self._cut(texts, holding)
        encoded = self._segment(plain)
        rest = iter(encoded[len(texts) :])
        for index, sections in cuts.items():
            encoded[index] = list(chain.from_iterable(_ids_of(section, rest) for section in sections))
        return encoded[: len(texts)]

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text with offsets; never sampled.

        Raises:
            InputError: If a text is not valid Unicode.
        """
        plain, cuts = self._cut(texts, self.added.find(texts))
        encoded = [Tokens(ids, offsets, (len(ids),)) for ids, offsets in self.segmenter.ids_with_offsets(plain)]
        rest = iter(encoded[len(texts) :])
        for index, sections in cuts.items():
            encoded[index] = Tokens.join([_tokens_of(section, rest) for section in sections])
        return encoded[: len(texts)]

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text as strings; what is unknown as it stands in the prepared text, unless sampled."""
        if self.sampling is not None:
            return [self.segmenter.piece_list[index] for index in self.ids([text])[0]]
        found: list[str] = []
        for section in self.added.cut(text):
            if section.token_id is None:
                found.extend(self.segmenter.pieces(text[section.start : section.stop]))
            else:
                found.append(self.added.by_id[section.token_id].content)
        return found

    def _segment(self, texts: Sequence[str]) -> list[list[int]]:
        if self.sampling is None:
            return self.segmenter.ids(texts)
        return self.segmenter.sample_ids(texts, alpha=self.sampling.alpha, nbest_size=self.sampling.nbest_size)

    def _cut(self, texts: Sequence[str], holding: Sequence[int]) -> tuple[list[str], dict[int, list[Section]]]:
        """The texts, emptied where they hold added tokens, then the sections between these; and the cuts by text."""
        cuts = {index: self.added.cut(texts[index]) for index in holding}
        plain = list(texts)
        for index, sections in cuts.items():
            plain[index] = ""
            plain.extend(texts[index][section.start : section.stop] for section in sections if section.token_id is None)
        return plain, cuts

    @functools.cached_property
    def _starts_word(self) -> np.ndarray:
        """int64 ``[V + 1]``: 1 for pieces that begin a word, and for every id beyond the vocabulary."""
        return np.array([*map(self.segmenter.begins_word, self.segmenter.piece_list), True], np.int64)

    def words(self, tokens: Tokens) -> np.ndarray:
        """Word of each token, int64 ``[n]`` from 0: a word starts at every piece that begins one and at every part."""
        starts = self._starts_word[np.minimum(np.array(tokens.ids, np.int64), self.segmenter.vocab_size)]
        starts[[start for start in accumulate(tokens.sizes, initial=0) if start < len(starts)]] = 1
        return np.cumsum(starts) - 1


def _ids_of(section: Section, segmented: Iterator[list[int]]) -> list[int]:
    """Ids of a section; a section of text takes the next of ``segmented``."""
    return next(segmented) if section.token_id is None else [section.token_id]


def _tokens_of(section: Section, segmented: Iterator[Tokens]) -> Tokens:
    if section.token_id is not None:
        return Tokens([section.token_id], np.array([[section.start, section.stop]]), (1,))
    inner = next(segmented)
    return Tokens(inner.ids, inner.offsets + section.start, inner.sizes)
