"""A vocabulary of 101 pieces, as large as the tiny model's: ALBERT's special ids, letters, digits, a few words."""

from __future__ import annotations

import numpy as np

from albertkit.tokenization.sentencepiece_file import (
    CONTROL_SYMBOLS,
    USER_DEFINED_SYMBOLS,
    NormalizerSpec,
    PieceType,
    SentencePieceFile,
    albert_trainer_spec,
)

__all__ = ["tiny_vocabulary"]

_WORDS = (  # noqa: SIM905
    "▁ ▁the , s ▁a ▁of ▁and ▁to ▁in ing ed ▁is ▁was er ▁on ▁an at or ▁it ▁model ▁paris ▁france ▁capital ▁cat ▁dog ▁sat ▁he ▁she "
    "▁1 ▁19 92 000 ▁1, ▁1992, /12, 2, / ' ? ! : ; ▁new ▁york ▁for ▁with ▁by ▁that ▁this 日 本"
).split()
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789éß"


def tiny_vocabulary() -> SentencePieceFile:
    """The vocabulary of :func:`~albertkit.testing.tiny_config`: small enough to read, with every kind of piece.

    Ids 0 to 12 are ALBERT's, ``▁1,`` and ``/12,`` are pieces whose comma is cut off, a word beats its letters.
    """
    pieces = ("<pad>", "<unk>", *CONTROL_SYMBOLS, *USER_DEFINED_SYMBOLS, *_WORDS, *_LETTERS)
    pieces = tuple(dict.fromkeys(pieces))
    types = np.full(len(pieces), PieceType.NORMAL, np.uint8)
    types[[0, 2, 3, 4]] = PieceType.CONTROL
    types[1] = PieceType.UNKNOWN
    types[5:13] = PieceType.USER_DEFINED
    scores = np.where(types == PieceType.NORMAL, -2.0 - 0.05 * np.arange(len(pieces)), 0.0).astype(np.float32)
    return SentencePieceFile(pieces, scores, types, NormalizerSpec.named(), albert_trainer_spec(len(pieces)))
