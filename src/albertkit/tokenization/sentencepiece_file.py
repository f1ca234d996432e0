"""Reading and writing SentencePiece's ``.model`` file (a ModelProto), and reading a ``.vocab`` of pieces and scores."""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import sentencepiece

from albertkit import wire
from albertkit.errors import VocabularyError

__all__ = [
    "CONTROL_SYMBOLS",
    "USER_DEFINED_SYMBOLS",
    "NormalizerSpec",
    "PieceType",
    "SentencePieceFile",
    "read_vocab",
    "refuse_damage",
]

CONTROL_SYMBOLS = ("[CLS]", "[SEP]", "[MASK]")
"""Ids 2, 3, 4 of every ALBERT vocabulary; 0 is ``<pad>``, 1 ``<unk>`` (google-research/albert, README)."""
USER_DEFINED_SYMBOLS = ("(", ")", '"', "-", ".", "–", "£", "€")
"""Ids 5 to 12: pieces that are never split and never part of a longer piece."""

_LARGEST_FILE = 1 << 30
_FLOAT = struct.Struct("<f")
_LARGEST_VOCABULARY = 10_000_000
# Field numbers of sentencepiece_model.proto (github.com/google/sentencepiece).
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_PIECE, _SCORE, _TYPE = 1, 2, 3
_NAME, _CHARSMAP = 1, 2
_FLAGS = {3: "add_dummy_prefix", 4: "remove_extra_whitespaces", 5: "escape_whitespaces"}  # true unless the file says otherwise


@contextmanager
def refuse_damage() -> Iterator[None]:
    """Say in our own words that the wire format is broken."""
    try:
        yield
    except VocabularyError:
        raise
    except ValueError as error:
        rule = "a SentencePiece file must be a whole ModelProto"
        raise VocabularyError(rule, received=str(error), fix="fetch the file again") from None


class PieceType(IntEnum):
    """What a piece is, with the numbers of SentencePiece's file."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class NormalizerSpec:
    """How SentencePiece prepares text before cutting it: the file's own rules, which are always the ones used."""

    name: str
    """The rule's name, ``nmt_nfkc`` in ALBERT's files."""
    precompiled_charsmap: bytes
    """SentencePiece's compiled character map; a name alone does not fix it, as it grows with Unicode."""
    add_dummy_prefix: bool = True
    """Put a space before the text, so that a word reads the same at the start as inside."""
    remove_extra_whitespaces: bool = True
    """Drop spaces at both ends and collapse runs."""
    escape_whitespaces: bool = True
    """Write a space as ``▁``."""
    others: bytes = field(default=b"", repr=False)
    """Fields albertkit does not read, as they came."""

    @classmethod
    def named(cls, rule: str = "nmt_nfkc") -> Self:
        """The rule of this name in the installed SentencePiece (newer than the character map of 2019's files)."""
        data = sentencepiece.SentencePieceNormalizer(rule_name=rule).serialized_normalizer_spec()
        return cls._parse(data, 0, len(data))

    @classmethod
    def _parse(cls, data: bytes, start: int, end: int) -> Self:
        name, charsmap, others = "", b"", b""
        flags = dict.fromkeys(_FLAGS.values(), True)
        for number, _kind, begin, value, stop in wire.fields(data, start, end):
            if number == _NAME:
                name = _text(data[value:stop])
            elif number == _CHARSMAP:
                charsmap = data[value:stop]
            elif number in _FLAGS:
                flags[_FLAGS[number]] = bool(wire.integer(data, value))
            else:
                others += data[begin:stop]
        return cls(name, charsmap, **flags, others=others)

    def _serialize(self) -> bytes:
        return (
            wire.blob(_NAME, self.name.encode())
            + wire.blob(_CHARSMAP, self.precompiled_charsmap)
            + b"".join(wire.number(number, 0) for number in _FLAGS if not getattr(self, _FLAGS[number]))
            + self.others
        )


@dataclass(frozen=True, eq=False)
class SentencePieceFile:
    """A vocabulary: what a SentencePiece ``.model`` file holds.

    Raises:
        VocabularyError: If pieces, scores and types do not make a vocabulary that SentencePiece can load.
    """

    filename: ClassVar[str] = "spiece.model"
    """Its name in a checkpoint."""
    pieces: tuple[str, ...]
    """Id → piece, V of them; ``▁`` marks the start of a word."""
    scores: np.ndarray
    """Log probability of each piece, float32 [V]."""
    types: np.ndarray
    """:class:`PieceType` of each piece, uint8 [V]."""
    normalizer: NormalizerSpec
    """How text is prepared."""
    trainer: bytes = field(default=b"", repr=False)
    """The trainer's settings (a serialised TrainerSpec), as they came."""
    others: bytes = field(default=b"", repr=False)
    """Fields albertkit does not read, as they came."""
    _source: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        count = len(self.pieces)
        if not 1 <= count <= _LARGEST_VOCABULARY:
            raise VocabularyError(f"a vocabulary must hold 1 to {_LARGEST_VOCABULARY:,} pieces", received=f"{count:,}")
        if self.scores.shape != (count,) or self.types.shape != (count,):
            raise VocabularyError(
                "every piece needs one score and one type",
                received=f"{count} pieces, {self.scores.shape} scores and {self.types.shape} types",
            )
        if len(set(self.pieces)) != count:
            twice = next(piece for index, piece in enumerate(self.pieces) if piece in self.pieces[:index])
            raise VocabularyError("every piece must stand once in the vocabulary", received=f"{twice!r} twice")
        if "" in self.pieces:
            raise VocabularyError("a piece must not be empty", received=f"an empty piece at id {self.pieces.index('')}")
        unknown = np.flatnonzero(self.types == PieceType.UNKNOWN)
        if len(unknown) != 1:
            raise VocabularyError("a vocabulary must have exactly one unknown piece", received=f"{len(unknown)} of them")
        if not np.isfinite(self.scores).all():
            raise VocabularyError("every score must be a finite number", received=f"{self.scores[~np.isfinite(self.scores)][0]}")

    @classmethod
    @refuse_damage()
    def from_bytes(cls, data: bytes) -> Self:
        """Read a serialised ModelProto; :meth:`to_bytes` gives the same bytes back.

        Raises:
            VocabularyError: If the bytes are no SentencePiece model.
        """
        if len(data) > _LARGEST_FILE:
            raise VocabularyError(f"a vocabulary file may hold {_LARGEST_FILE:,} bytes at most", received=f"{len(data):,}")
        (pieces, scores, types), rest = _read_pieces(data)
        normalizer = NormalizerSpec("", b"")
        trainer = others = b""
        for number, kind, begin, value, stop in wire.fields(data, rest, len(data)):
            if number in (_TRAINER, _NORMALIZER, _PIECES) and kind != wire.LENGTH:
                raise VocabularyError(
                    "a SentencePiece file must be a whole ModelProto", received=f"wire type {kind}, byte {begin}"
                )
            if number == _PIECES:
                piece, score, piece_type = _read_piece(data, value, stop)
                pieces.append(piece)
                scores.append(score)
                types.append(piece_type)
            elif number == _TRAINER:
                trainer = data[value:stop]
            elif number == _NORMALIZER:
                normalizer = NormalizerSpec._parse(data, value, stop)
            else:
                others += data[begin:stop]
        arrays = np.array(scores, np.float32), np.array(types, np.uint8)
        return cls(tuple(pieces), *arrays, normalizer, trainer, others, _source=bytes(data))

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a ``.model`` file (``spiece.model``).

        Raises:
            VocabularyError: If the file is missing or is no SentencePiece model; the sentence names the file.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise VocabularyError("a vocabulary must be a readable file", received=f"{path} ({error.strerror})") from None
        try:
            return cls.from_bytes(data)
        except VocabularyError as error:
            raise VocabularyError(f"{path} is no SentencePiece vocabulary: {str(error).rstrip('.')}") from None

    def to_bytes(self) -> bytes:
        """The file's bytes: those it was read from, or newly written."""
        if self._source is not None:
            return self._source
        parts = [
            wire.blob(_PIECES, _write_piece(piece, score, piece_type))
            for piece, score, piece_type in zip(self.pieces, self.scores.tolist(), self.types.tolist(), strict=True)
        ]
        parts += [wire.blob(_TRAINER, self.trainer), wire.blob(_NORMALIZER, self.normalizer._serialize()), self.others]
        return b"".join(parts)

    def replace(self, **changes: object) -> Self:
        """A copy with other pieces, scores, types, normaliser or trainer settings."""
        return dataclasses.replace(self, **({"_source": None} | changes))  # type: ignore[arg-type]


def read_vocab(path: str | Path) -> SentencePieceFile:
    """Read a ``.vocab`` of ``piece<TAB>score`` lines, as SentencePiece prints beside a model.

    The file holds neither types nor a normaliser. Types go by ALBERT's ids: 0, 2, 3, 4 control, 1 unknown, 5 to 12
    user-defined where they are ALBERT's eight symbols, the rest normal; the normaliser is SentencePiece's ``nmt_nfkc``.

    Raises:
        VocabularyError: If the file is missing, or a line is no piece and score.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except OSError as error:
        raise VocabularyError("a vocabulary must be a readable file", received=f"{path} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise VocabularyError("a .vocab file must be UTF-8 text", received=f"{path}") from None
    pieces, scores = [], []
    for number, line in enumerate(lines, 1):
        piece, tab, score = line.rstrip("\r").rpartition("\t")
        try:
            scores.append(float(score))
        except ValueError:
            tab = ""
        if not tab or not math.isfinite(scores[-1]):
            raise VocabularyError(
                "every line of a .vocab must be piece<TAB>score", received=f"{path} line {number}: {line[:60]!r}"
            )
        pieces.append(piece)
    types = np.full(len(pieces), PieceType.NORMAL, np.uint8)
    types[[index for index in (0, 2, 3, 4) if index < len(pieces)]] = PieceType.CONTROL
    types[1:2] = PieceType.UNKNOWN
    for index, symbol in enumerate(USER_DEFINED_SYMBOLS, 5):
        if index < len(pieces) and pieces[index] == symbol:
            types[index] = PieceType.USER_DEFINED
    return SentencePieceFile(
        tuple(pieces), np.array(scores, np.float32), types, NormalizerSpec.named(), albert_trainer_spec(len(pieces))
    )


def albert_trainer_spec(vocab_size: int) -> bytes:
    """A TrainerSpec that says what other readers of the file ask for: a unigram model, its size and its special ids."""
    control = b"".join(wire.blob(30, symbol.encode()) for symbol in CONTROL_SYMBOLS)
    user_defined = b"".join(wire.blob(31, symbol.encode()) for symbol in USER_DEFINED_SYMBOLS)
    head = wire.number(3, 1) + wire.number(4, vocab_size)  # model_type UNIGRAM
    tail = wire.number(40, 1) + wire.number(41, -1) + wire.number(42, -1) + wire.number(43, 0)  # ids of unk, bos, eos, pad
    return head + control + user_defined + tail + wire.blob(45, b"<unk>") + wire.blob(48, b"<pad>")


def _read_pieces(data: bytes) -> tuple[tuple[list[str], list[float], list[int]], int]:
    """Read the pieces a file begins with, as SentencePiece writes them, many times faster than field by field.

    Returns:
        Pieces, scores and types, and where the first field is that is not of this form: ``0A size | 0A length text | 15 score |
        18 type``, the type left out when it is 1, sizes below 128.
    """
    edges, position, end = [0], 0, len(data)
    while position + 1 < end and data[position] == 0x0A and data[position + 1] < 0x80:
        position += 2 + data[position + 1]
        edges.append(position)
    starts, stops = np.array(edges[:-1], np.int64), np.array(edges[1:], np.int64)
    codes = np.frombuffer(data + bytes(256), np.uint8)  # the last record may claim more than there is
    scores = starts + 4 + codes[starts + 3]
    tail = stops - scores - 5
    typed = (tail == 2) & (codes[scores + 5] == 0x18) & (codes[scores + 6] >= 1) & (codes[scores + 6] <= 6)
    regular = (
        (codes[starts + 2] == 0x0A)
        & (codes[starts + 3] < 0x80)
        & (codes[scores] == 0x15)
        & ((tail == 0) | typed)
        & (stops <= end)
    )
    count = len(regular) if regular.all() else int(np.argmin(regular))
    values = codes[scores[:count, None] + np.arange(1, 5)].view("<f4")[:, 0].tolist()
    types = np.where(typed, codes[scores + 6], 1)[:count].tolist()
    spans = list(zip((starts[:count] + 4).tolist(), scores[:count].tolist(), strict=True))
    try:
        pieces = [data[start:stop].decode() for start, stop in spans]
    except UnicodeDecodeError:
        pieces = [_text(data[start:stop]) for start, stop in spans]  # says which one
    return (pieces, values, types), edges[count]


def _read_piece(data: bytes, start: int, end: int) -> tuple[str, float, int]:
    piece, score, piece_type = "", 0.0, int(PieceType.NORMAL)
    for number, _kind, _begin, value, stop in wire.fields(data, start, end):
        if number == _PIECE:
            piece = _text(data[value:stop])
        elif number == _SCORE and stop - value == 4:
            (score,) = _FLOAT.unpack_from(data, value)
        elif number == _TYPE:
            piece_type = wire.integer(data, value)
    if not 1 <= piece_type <= 6:
        raise VocabularyError("a piece's type must be 1 to 6", received=f"{piece_type} for {piece!r}")
    return piece, score, piece_type


def _write_piece(piece: str, score: float, piece_type: int) -> bytes:
    # A normal piece carries no type, as in SentencePiece's own files: it is the default.
    tail = b"" if piece_type == PieceType.NORMAL else wire.number(_TYPE, piece_type)
    return wire.blob(_PIECE, piece.encode()) + wire.fixed32(_SCORE, _FLOAT.pack(score)) + tail


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise VocabularyError("the text of a SentencePiece file must be UTF-8", received=f"{data[:40]!r}") from None
