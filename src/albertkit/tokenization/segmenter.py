"""Text without special tokens ↔ ids, by the ALBERT rules, many texts at a time."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import sentencepiece

from albertkit.errors import InputError, VocabularyError
from albertkit.tokenization.alignment import Spelling, follow_normalization, follow_sources, mark_spaces, place_pieces
from albertkit.tokenization.digit_comma import DigitCommas
from albertkit.tokenization.normalization import TextRules, check_text
from albertkit.tokenization.preparation import Prepared, prepare
from albertkit.tokenization.reference import WORD_START, Reference
from albertkit.tokenization.sentencepiece_file import PieceType, SentencePieceFile
from albertkit.tokenization.special_tokens import SPECIAL_TOKENS

__all__ = ["Segmenter"]

# Work goes through in portions of about so many characters: enough to share out what every call costs, few enough for a cache.
_PORTION = 1 << 19


class Segmenter:
    """Cuts texts into pieces and joins pieces again. Special tokens are the tokenizer's business: none is looked for here.

    Ids and offsets equal those of :class:`~albertkit.tokenization.reference.Reference`, which says the rule plainly.

    Args:
        file: The vocabulary.
        do_lower_case: Lower-case the text.
        remove_space: Strip white space at both ends and make one space of every run.
        keep_accents: Leave out NFKD and the dropping of combining marks.

    Raises:
        VocabularyError: If SentencePiece cannot load the vocabulary, or it has byte pieces, which ALBERT knows not.
    """

    special_tokens = SPECIAL_TOKENS

    def __init__(
        self, file: SentencePieceFile, *, do_lower_case: bool = True, remove_space: bool = True, keep_accents: bool = False
    ) -> None:
        if (file.types == PieceType.BYTE).any():
            raise VocabularyError("an ALBERT vocabulary has one unknown piece and no byte pieces", received="byte pieces")
        self.file = file
        self.rules = TextRules(do_lower_case, remove_space, keep_accents)
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.load_from_serialized_proto(file.to_bytes())
        except (RuntimeError, ValueError, IndexError) as error:
            raise VocabularyError("SentencePiece must be able to load the vocabulary", received=f"{error}") from None
        self._reference = Reference(self._processor, self.rules)
        self._commas = DigitCommas(self._processor, file.pieces)
        self._lone_id = int(self._processor.piece_to_id(WORD_START))
        # Where the comma itself is unknown, unknown text may end in one, and only the plain rule sees that.
        self._always_plainly = bool(self.piece_to_id(",") == self.unk_id or self._commas.misfits)

    @functools.cached_property
    def _spelling(self) -> Spelling:
        return Spelling(self.file.pieces)

    @property
    def vocab_size(self) -> int:
        """V: number of pieces."""
        return len(self.file.pieces)

    @property
    def piece_list(self) -> tuple[str, ...]:
        """Id → piece."""
        return self.file.pieces

    @property
    def unk_id(self) -> int:
        """Id of the unknown piece."""
        return int(self._processor.unk_id())

    def piece_to_id(self, piece: str) -> int:
        """The id of a piece, that of the unknown piece when it is absent."""
        return int(self._processor.piece_to_id(check_text(piece)))

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text.

        Raises:
            InputError: If a text is no string or no valid Unicode.
        """
        if self._always_plainly:
            return [self._reference.ids(text) for text in texts]
        result: list[list[int]] = []
        for portion in _portions(texts):
            lines = prepare(portion, self.rules).lines
            result += self._commas.cut(self._encode(lines, int))
        return result

    def ids_with_offsets(self, texts: Sequence[str]) -> list[tuple[list[int], np.ndarray]]:
        """The ids of each text with offsets, int64 [n, 2]: characters of the original text, end exclusive.

        White space before a word belongs to no token but a lone ``▁``; characters that normalisation drops belong to the token
        before them; a character that became several and is cut between tokens belongs to each.

        Raises:
            InputError: If a text is no string or no valid Unicode.
        """
        if self._always_plainly:
            return [self._reference.ids_with_offsets(text) for text in texts]
        result: list[tuple[list[int], np.ndarray]] = []
        for portion in _portions(texts):
            result += self._ids_with_offsets(prepare(portion, self.rules, with_sources=True))
        return result

    @staticmethod
    def begins_word(piece: str) -> bool:
        """Whether a piece begins a word."""
        return piece.startswith(WORD_START)

    def pieces(self, text: str) -> list[str]:
        """The pieces of one text; an unknown one as the characters it stands for."""
        return self._reference.pieces(text)

    def sample_ids(self, texts: Sequence[str], *, alpha: float, nbest_size: int = -1, seed: int | None = None) -> list[list[int]]:
        """The ids of each text, cut at random (subword regularisation, arXiv:1804.10959); digit-comma pieces are cut as ever.

        Args:
            texts: The texts.
            alpha: Smoothing: 0 draws evenly, larger values prefer likely cuts.
            nbest_size: Draw from so many best cuts; -1 from all.
            seed: Of SentencePiece's generator, which is one for the whole process; ``None`` leaves it as it is.

        Raises:
            InputError: If ``nbest_size`` or ``alpha`` leaves nothing to draw.
        """
        if nbest_size in (0, 1):
            raise InputError("nbest_size must be at least 2, or -1 for every cut", received=f"nbest_size={nbest_size}")
        if seed is not None:
            sentencepiece.set_random_generator_seed(seed)
        result: list[list[int]] = []
        for portion in _portions(texts):
            # One at a time: a list would start a thread, and with it the generator's sequence anew.
            result += self._commas.cut(
                [
                    self._processor.encode(line, enable_sampling=True, alpha=alpha, nbest_size=nbest_size)
                    for line in prepare(portion, self.rules).lines
                ]
            )
        return result

    def decode(self, ids: Sequence[int]) -> str:
        """Join pieces to text, as SentencePiece does: ``▁`` becomes a space, none at the start.

        Raises:
            InputError: If an id is outside the vocabulary.
        """
        try:
            return str(self._processor.decode([int(index) for index in ids]))
        except (IndexError, OverflowError, TypeError):
            raise InputError(f"every id must be from 0 to {self.vocab_size - 1}", received=f"{list(ids)!r:.80}") from None

    # ------------------------------------------------------------------ portions

    def _encode(self, lines: list[str], return_type: Any) -> list[Any]:
        """SentencePiece's answer for each line, on one thread."""
        if len(lines) == 1:  # a list would start that thread, which takes longer than a sentence does
            return [self._processor.encode(lines[0], out_type=return_type)]
        answers: list[Any] = self._processor.encode(lines, out_type=return_type, num_threads=1)
        return answers

    def _ids_with_offsets(self, prepared: Prepared) -> list[tuple[list[int], np.ndarray]]:
        lines = prepared.lines
        arrays = self._encode(lines, "numpy")
        ids, bounds = np.concatenate(arrays), np.cumsum([0, *map(len, arrays)])
        lengths = self._commas.lengths[ids]
        bent = self._measure_unknown(lines, ids, bounds, lengths)
        bent += self._spelling.find_differing(lines, ids, bounds, lengths, self.unk_id)
        numbers, counts = self._commas.number(ids)
        if counts is not None:
            lengths = np.where(numbers == self.unk_id, np.repeat(lengths, counts), self._commas.lengths[numbers])
            bounds = np.concatenate(([0], np.cumsum(counts)))[bounds]
        places = place_pieces(lengths, self._commas.leads[numbers], bounds)
        offsets = np.maximum(places - 1, 0)  # right where the normalised form is the prepared text after one ▁
        edges = bounds.tolist()
        for index in bent:
            inside = slice(edges[index], edges[index + 1])
            _, origins = self._processor.normalize(lines[index], with_offsets=True)
            offsets[inside] = follow_normalization(places[inside], numbers[inside] == self._lone_id, np.array(origins))
        for index, sources in enumerate(prepared.sources):
            if sources is not None:
                inside = slice(edges[index], edges[index + 1])
                offsets[inside] = follow_sources(offsets[inside], sources)
        row = self._commas.ids[numbers].tolist()
        return [(row[start:stop], offsets[start:stop]) for start, stop in itertools.pairwise(edges)]

    def _measure_unknown(self, lines: list[str], ids: np.ndarray, bounds: np.ndarray, lengths: np.ndarray) -> list[int]:
        """Put the lengths of unknown pieces, which ids do not tell, into ``lengths``; say which of their texts are bent."""
        unknown = np.flatnonzero(ids == self.unk_id)
        rows = np.unique(np.searchsorted(bounds, unknown, side="right") - 1).tolist()
        bent = []
        found: list[list[str]] = self._encode([lines[row] for row in rows], str) if rows else []
        for row, pieces in zip(rows, found, strict=True):
            lengths[bounds[row] : bounds[row + 1]] = [len(piece) for piece in pieces]
            if "".join(pieces) != mark_spaces(lines[row]):
                bent.append(row)
        return bent


def _portions(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut the list of texts into portions of ``_PORTION`` characters or a little more."""
    if isinstance(texts, str):
        raise InputError("texts must be a list of strings", received="one string", fix="put it in a list")
    start = size = 0
    for index, text in enumerate(texts):
        size += len(text if isinstance(text, str) else check_text(text))
        if size >= _PORTION:
            yield texts[start : index + 1]
            start, size = index + 1, 0
    if start < len(texts):
        yield texts[start:]
