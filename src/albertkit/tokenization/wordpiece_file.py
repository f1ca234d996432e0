"""WordPiece vocabularies, which Chinese ALBERT has: reading and writing ``vocab.txt``, which holds a piece per line.

The rules around the pieces are BERT's (google-research/bert ``tokenization.py``): control characters are dropped, text is cut at
white space, at punctuation and around every Chinese character, and each word into the longest pieces from its start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from albertkit.errors import VocabularyError
from albertkit.tokenization.special_tokens import WORDPIECE_SPECIAL_TOKENS

__all__ = ["CONTINUATION", "WordPieceFile", "find_strip_accents"]

CONTINUATION = "##"
"""Begins the pieces that go on with a word."""

_RULES = {"continuing_subword_prefix": CONTINUATION, "max_input_chars_per_word": 100}


@dataclass(frozen=True)
class WordPieceFile:
    """A vocabulary: what a ``vocab.txt`` holds.

    Raises:
        VocabularyError: If a piece stands twice or is no valid Unicode, or the unknown one is missing.
    """

    filename: ClassVar[str] = "vocab.txt"
    """Its name in a checkpoint."""
    pieces: tuple[str, ...]
    """Id → piece, V of them; ``##`` marks those that go on with a word."""
    unk_token: str = WORDPIECE_SPECIAL_TOKENS["unk_token"]
    """What a word becomes that pieces do not spell."""
    tokenize_chinese_chars: bool = True
    """Every Chinese character is a word."""

    def __post_init__(self) -> None:
        if len(set(self.pieces)) != len(self.pieces):
            first: dict[str, int] = {}
            twice = next(index for index, piece in enumerate(self.pieces) if first.setdefault(piece, index) != index)
            received = f"{self.pieces[twice]!r} in lines {first[self.pieces[twice]] + 1} and {twice + 1}"
            raise VocabularyError("every piece must stand once in the vocabulary", received=received)
        if any("\ud800" <= character <= "\udfff" for character in set("".join(self.pieces))):
            raise VocabularyError("every piece must be valid Unicode", received="one with a lone surrogate")
        if self.unk_token not in self.pieces:
            raise VocabularyError(
                "a WordPiece vocabulary must have a piece for what it cannot spell", received=f"one without {self.unk_token}"
            )

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a ``vocab.txt``.

        Raises:
            VocabularyError: If the file is missing or is no such vocabulary; the sentence names the file.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise VocabularyError("a vocabulary must be a readable file", received=f"{path} ({error.strerror})") from None
        except UnicodeDecodeError:
            raise VocabularyError(
                "a WordPiece vocabulary is text in UTF-8, a piece per line",
                received=f"{path} with other bytes",
                fix="give a SentencePiece model the name spiece.model",
            ) from None
        try:
            return cls(tuple(text.removesuffix("\n").split("\n")))
        except VocabularyError as error:
            raise VocabularyError(f"{path} is no WordPiece vocabulary: {str(error).rstrip('.')}") from None

    @classmethod
    def from_json(cls, values: Mapping[str, Any], normalizer: Mapping[str, Any]) -> Self:
        """Read the model of a ``tokenizer.json``.

        Args:
            values: Its ``model``.
            normalizer: Its ``normalizer``.

        Raises:
            VocabularyError: If its rules are not BERT's.
            LookupError, TypeError, ValueError, AttributeError: If a field is missing or of another type.
        """
        rules = {name: values.get(name, rule) for name, rule in _RULES.items()}
        if rules != _RULES or normalizer["type"] != "BertNormalizer" or not normalizer["clean_text"]:
            received = f"{rules} and a {normalizer['type']}"
            raise VocabularyError("a WordPiece vocabulary of ALBERT follows BERT's rules", received=received)
        ids = {int(index): str(piece) for piece, index in values["vocab"].items()}
        pieces = tuple(ids[index] for index in range(len(values["vocab"])))
        return cls(pieces, str(values["unk_token"]), bool(normalizer["handle_chinese_chars"]))

    def to_bytes(self) -> bytes:
        """The content of ``vocab.txt``."""
        return "".join(f"{piece}\n" for piece in self.pieces).encode()

    def to_json(self, *, do_lower_case: bool, keep_accents: bool) -> dict[str, Any]:
        """The fields of a ``tokenizer.json`` that say how text is cut and joined.

        Args:
            do_lower_case: Lower-case the text.
            keep_accents: Leave accents alone.
        """
        return {
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": self.tokenize_chinese_chars,
                "strip_accents": find_strip_accents(do_lower_case, keep_accents),
                "lowercase": do_lower_case,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "decoder": {"type": "WordPiece", "prefix": CONTINUATION, "cleanup": True},
            "model": {
                "type": "WordPiece",
                "unk_token": self.unk_token,
                **_RULES,
                "vocab": {piece: index for index, piece in enumerate(self.pieces)},
            },
        }


def find_strip_accents(do_lower_case: bool, keep_accents: bool) -> bool | None:
    """BERT's setting: ``None`` where accents go exactly if capitals do, so that one rule still follows the other.

    Args:
        do_lower_case: Lower-case the text.
        keep_accents: Leave accents alone.
    """
    return None if keep_accents is not do_lower_case else not keep_accents
