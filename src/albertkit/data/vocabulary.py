"""What example making knows of a tokenizer: its pieces and special ids, and from them which pieces begin a word."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Vocabulary", "find_word_starts"]

_SPACE = "▁"
_GOOGLE_SINGLES = frozenset('!"#$%&()*+,-./:;?@[\\]^_`{|}~£€')
_GOOGLE_WORD_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz") | _GOOGLE_SINGLES
_UNSPACED_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


@dataclass(frozen=True)
class Vocabulary:
    """The pieces of a tokenizer and its special ids."""

    pieces: list[str]
    """Piece of every id."""
    cls_token_id: int
    """Id that begins an example."""
    sep_token_id: int
    """Id that ends a segment."""
    mask_token_id: int
    """Id that hides a predicted token."""
    pad_token_id: int
    """Id that fills a padded batch."""
    unk_token_id: int
    """Id of what the vocabulary cannot spell."""
    special_ids: list[int]
    """All special ids, which a random replacement leaves out unless asked."""

    @property
    def control_ids(self) -> list[int]:
        """Ids that have a meaning for the model and never stand in a text."""
        return [self.cls_token_id, self.sep_token_id, self.mask_token_id, self.pad_token_id]


def find_word_starts(pieces: Sequence[str], rule: Literal["unicode", "google"]) -> npt.NDArray[np.bool_]:
    """Tell of every piece whether it begins a word.

    Args:
        pieces: Piece of every id; a word separator is ``▁``. Where none has it, as in WordPiece, ``##`` goes on with a word.
        rule: ``google`` is ``_is_start_piece_sp`` of ``create_pretraining_data.py``; ``unicode`` holds for other scripts too: a
            piece goes on with the word before it when it begins with a letter or mark of a script that puts spaces between words.

    Returns:
        Booleans of shape [V].
    """
    starts_word: Callable[[str], bool] = _starts_word_google if rule == "google" else _starts_word_unicode
    if not any(piece.startswith(_SPACE) for piece in pieces):
        starts_word = _starts_word_bert
    return np.fromiter(map(starts_word, pieces), dtype=np.bool_, count=len(pieces))


def _starts_word_google(piece: str) -> bool:
    return piece.startswith((_SPACE, "<")) or piece in _GOOGLE_SINGLES or not _GOOGLE_WORD_CHARACTERS.issuperset(piece)


def _starts_word_bert(piece: str) -> bool:
    return not piece.startswith("##")


def _starts_word_unicode(piece: str) -> bool:
    first = piece[:1]
    if unicodedata.category(first or " ")[0] not in "LM":
        return True
    return unicodedata.name(first, "").startswith(_UNSPACED_SCRIPTS)
