"""Text without special tokens ↔ ids of a WordPiece vocabulary, on the ``tokenizers`` package."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from albertkit.errors import InputError
from albertkit.optional import require
from albertkit.tokenization.normalization import check_text
from albertkit.tokenization.special_tokens import WORDPIECE_SPECIAL_TOKENS
from albertkit.tokenization.wordpiece_file import CONTINUATION, WordPieceFile

__all__ = ["WordPieceSegmenter"]


class WordPieceSegmenter:
    """Does for Chinese ALBERT's vocabulary what :class:`~albertkit.tokenization.segmenter.Segmenter` does for SentencePiece's.

    Args:
        file: The vocabulary.
        do_lower_case: Lower-case the text.
        remove_space: ``True``: white space never reaches a piece.
        keep_accents: Leave accents alone.

    Raises:
        MissingExtraError: If the ``tokenizers`` package is not installed.
        InputError: If white space is to be kept.
    """

    special_tokens = WORDPIECE_SPECIAL_TOKENS

    def __init__(
        self, file: WordPieceFile, *, do_lower_case: bool = True, remove_space: bool = True, keep_accents: bool = False
    ) -> None:
        if not remove_space:
            raise InputError("a WordPiece vocabulary has no white space to keep", received="remove_space=False")
        rules = file.to_json(do_lower_case=do_lower_case, keep_accents=keep_accents)
        package = require("tokenizers", "A WordPiece vocabulary")
        self._tokenizer = package.Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": []} | rules))
        self.file = file
        self.unk_id = file.pieces.index(file.unk_token)

    @property
    def vocab_size(self) -> int:
        """V: number of pieces."""
        return len(self.file.pieces)

    @property
    def piece_list(self) -> tuple[str, ...]:
        """Id → piece."""
        return self.file.pieces

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text.

        Raises:
            InputError: If a text is no string or no valid Unicode.
        """
        return [encoding.ids for encoding in self._encode(texts)]

    def ids_with_offsets(self, texts: Sequence[str]) -> list[tuple[list[int], np.ndarray]]:
        """The ids of each text with offsets, int64 [n, 2]: characters of the original text, end exclusive.

        Raises:
            InputError: If a text is no string or no valid Unicode.
        """
        return [(encoding.ids, np.array(encoding.offsets, np.int64).reshape(-1, 2)) for encoding in self._encode(texts)]

    def pieces(self, text: str) -> list[str]:
        """The pieces of one text, the unknown one for a word that they do not spell."""
        tokens: list[str] = self._encode([text])[0].tokens
        return tokens

    def sample_ids(self, texts: Sequence[str], *, alpha: float, nbest_size: int = -1) -> list[list[int]]:
        """Refuse: WordPiece knows one way to cut a word.

        Raises:
            InputError: Always.
        """
        received = f"a WordPiece vocabulary with enable_sampling, alpha={alpha} and nbest_size={nbest_size}"
        raise InputError("only a SentencePiece vocabulary cuts texts at random", received=received)

    @staticmethod
    def begins_word(piece: str) -> bool:
        """Whether a piece begins a word."""
        return not piece.startswith(CONTINUATION)

    def _encode(self, texts: Sequence[str]) -> list[Any]:
        try:
            encodings: list[Any] = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        except TypeError:  # what the package says of a text that is no valid Unicode
            for text in texts:
                check_text(text)
            raise
        return encodings
