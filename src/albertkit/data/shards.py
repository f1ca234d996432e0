"""Prepared text on disk: memory-mapped token ids with sentence and document boundaries, and a manifest that vouches for them.

prepared/
  manifest.json                  format, tokenizer fingerprint, counts, SHA-256 of every file
  vocabulary.json                pieces and special ids
  tokenizer/                     the tokenizer's own files
  train-00000.tokens.npy         ids of all sentences end to end (uint16, or uint32 for more than 65,536 pieces)
  train-00000.sentences.npy      offsets into tokens at which sentences begin, and the end (uint32)
  train-00000.documents.npy      numbers of the sentences at which documents begin, and the end (uint32)
  held_out-00000.…               the same for documents kept from training
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from albertkit.data.vocabulary import Vocabulary
from albertkit.errors import DataError

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST_FILE",
    "SPLITS",
    "TOKENIZER_FOLDER",
    "VOCABULARY_FILE",
    "Counts",
    "Manifest",
    "Shard",
    "ShardEntry",
    "ShardWriter",
    "Split",
    "fingerprint",
    "open_shards",
    "read_manifest",
    "read_vocabulary",
]

FORMAT_VERSION = 1
"""Version of the folder's layout; another one is refused."""

MANIFEST_FILE = "manifest.json"
"""Written last; a folder without it is no prepared data."""

VOCABULARY_FILE = "vocabulary.json"
"""Holds a :class:`~albertkit.data.vocabulary.Vocabulary`."""

TOKENIZER_FOLDER = "tokenizer"
"""Holds a copy of the tokenizer's files."""

Split = Literal["train", "held_out"]
"""Documents to train on, or kept from training for evaluation."""

SPLITS: tuple[Split, ...] = ("train", "held_out")
"""Both splits."""

_SHARD_TOKENS = 2**25
_PARTS = ("tokens", "sentences", "documents")


@dataclass(frozen=True)
class Counts:
    """How much text there is."""

    documents: int = 0
    """Documents with at least one token."""
    sentences: int = 0
    """Sentences with at least one token."""
    tokens: int = 0
    """Tokens, without special ones."""
    unknown_tokens: int = 0
    """Tokens that are the unknown one."""
    bytes: int = 0
    """UTF-8 bytes of the sentences."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{name: count + getattr(other, name) for name, count in asdict(self).items()})

    @property
    def tokens_per_sentence(self) -> float:
        """Mean length of a sentence."""
        return self.tokens / self.sentences if self.sentences else 0.0

    @property
    def tokens_per_document(self) -> float:
        """Mean length of a document."""
        return self.tokens / self.documents if self.documents else 0.0

    @property
    def unknown_rate(self) -> float:
        """Share of tokens that are the unknown one."""
        return self.unknown_tokens / self.tokens if self.tokens else 0.0


@dataclass(frozen=True)
class ShardEntry:
    """What the manifest says of one shard."""

    split: Split
    """The split it belongs to."""
    name: str
    """Beginning of its file names."""
    documents: int
    """Number of documents."""
    sentences: int
    """Number of sentences."""
    tokens: int
    """Number of tokens."""
    sha256: dict[str, str]
    """File name → checksum."""


@dataclass(frozen=True)
class Manifest:
    """What a prepared folder holds."""

    tokenizer_fingerprint: str
    """SHA-256 of the tokenizer's model file."""
    vocab_size: int
    """Number of pieces."""
    counts: dict[str, Counts]
    """Split → amount of text."""
    shards: list[ShardEntry] = field(default_factory=list)
    """All shards, in order."""
    held_out: float = 0.0
    """The fraction or number of documents asked to be held out."""
    format_version: int = FORMAT_VERSION
    """Version of the folder's layout."""

    def write(self, directory: Path) -> None:
        """Write ``manifest.json``.

        Args:
            directory: The prepared folder.
        """
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
        (directory / MANIFEST_FILE).write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Shard:
    """Arrays of one shard, mapped from its files."""

    tokens: npt.NDArray[np.unsignedinteger[Any]]
    """Ids of all sentences end to end."""
    sentence_offsets: npt.NDArray[np.uint32]
    """Where in ``tokens`` sentences begin, and the end."""
    document_offsets: npt.NDArray[np.uint32]
    """Sentence numbers at which documents begin, and the end."""


class ShardWriter:
    """Collects the documents of one split and writes a shard whenever enough tokens have come together.

    Args:
        directory: Folder to write to.
        split: Beginning of the file names.
        vocab_size: Decides the width of an id.
        shard_tokens: Tokens at which a shard is written; a document is never divided.
    """

    def __init__(self, directory: Path, split: Split, vocab_size: int, *, shard_tokens: int = _SHARD_TOKENS) -> None:
        self.entries: list[ShardEntry] = []
        self._directory = directory
        self._split: Split = split
        self._dtype = np.dtype(np.uint16 if vocab_size <= 2**16 else np.uint32)
        self._shard_tokens = shard_tokens
        self._start()

    def _start(self) -> None:
        self._tokens: list[npt.NDArray[Any]] = []
        self._sentence_lengths: list[npt.NDArray[np.int64]] = []
        self._document_lengths: list[int] = []
        self._num_tokens = 0

    def add(self, tokens: npt.NDArray[np.integer[Any]], sentence_lengths: npt.NDArray[np.int64]) -> None:
        """Add a document.

        Args:
            tokens: Ids of its sentences end to end.
            sentence_lengths: Tokens of every sentence; at least one sentence, none of 0.
        """
        self._tokens.append(tokens.astype(self._dtype))
        self._sentence_lengths.append(sentence_lengths.copy())  # a view would keep the whole block that it is part of
        self._document_lengths.append(len(sentence_lengths))
        self._num_tokens += len(tokens)
        if self._num_tokens >= self._shard_tokens:
            self.flush()

    def flush(self) -> None:
        """Write what has come together, if anything, as a shard."""
        if not self._document_lengths:
            return
        name = f"{self._split}-{len(self.entries):05d}"
        arrays = (
            np.concatenate(self._tokens),
            _to_offsets(np.concatenate(self._sentence_lengths)),
            _to_offsets(np.array(self._document_lengths)),
        )
        sha256 = {}
        for part, array in zip(_PARTS, arrays, strict=True):
            path = self._directory / f"{name}.{part}.npy"
            np.save(path, array, allow_pickle=False)
            sha256[path.name] = _digest(path)
        self.entries.append(ShardEntry(self._split, name, len(arrays[2]) - 1, len(arrays[1]) - 1, len(arrays[0]), sha256))
        self._start()


def fingerprint(tokenizer_file: str | Path) -> str:
    """Compute the SHA-256 of a tokenizer's model file, by which prepared data know their vocabulary.

    Args:
        tokenizer_file: ``spiece.model``, or ``tokenizer.json`` where there is none.
    """
    return _digest(Path(tokenizer_file))


def read_manifest(directory: str | Path) -> Manifest:
    """Read the manifest of a prepared folder.

    Args:
        directory: The folder that ``albertkit prepare`` wrote.

    Raises:
        DataError: If it is missing, damaged, or of another format version.
    """
    path = Path(directory) / MANIFEST_FILE
    entries = _read_json(path, "prepared data must be a folder written by albertkit prepare")
    try:
        if entries["format_version"] != FORMAT_VERSION:
            raise DataError(
                f"prepared data must have format version {FORMAT_VERSION}",
                received=f"{entries['format_version']} in {path}",
                fix="run albertkit prepare again",
            )
        manifest = Manifest(**entries)
        return replace(
            manifest,
            counts={split: Counts(**counts) for split, counts in entries["counts"].items()},
            shards=[ShardEntry(**entry) for entry in entries["shards"]],
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise DataError("a manifest must have the fields of this format version", received=f"{path} ({error})") from None


def read_vocabulary(directory: str | Path) -> Vocabulary:
    """Read the vocabulary of a prepared folder.

    Args:
        directory: The folder that ``albertkit prepare`` wrote.

    Raises:
        DataError: If it is missing or damaged.
    """
    path = Path(directory) / VOCABULARY_FILE
    try:
        return Vocabulary(**_read_json(path, "prepared data must hold their vocabulary"))
    except TypeError as error:
        raise DataError("a vocabulary file must have the fields of this format version", received=f"{path} ({error})") from None


def open_shards(directory: str | Path, entries: Sequence[ShardEntry], *, verify: bool = True) -> list[Shard]:
    """Map shards into memory.

    Args:
        directory: The prepared folder.
        entries: The manifest's shards to open.
        verify: Whether to read every file once and compare its SHA-256 (about a second a gigabyte).

    Raises:
        DataError: If a file is missing, truncated or altered; it is named.
    """
    return [_open_shard(Path(directory), entry, verify) for entry in entries]


def _open_shard(directory: Path, entry: ShardEntry, verify: bool) -> Shard:
    arrays = []
    sizes = (entry.tokens, entry.sentences + 1, entry.documents + 1)
    for part, size in zip(_PARTS, sizes, strict=True):
        path = directory / f"{entry.name}.{part}.npy"
        try:
            array = np.lib.format.open_memmap(path, mode="r")
        except (OSError, ValueError) as error:
            raise _damaged(path, str(error)) from None
        if array.shape != (size,):
            raise _damaged(path, f"{array.shape[0] if array.ndim else 0:,} entries instead of {size:,}")
        if verify and _digest(path) != entry.sha256.get(path.name):
            raise _damaged(path, "its SHA-256 differs from the manifest's")
        arrays.append(np.asarray(array))  # still mapped, without the overhead of the memmap class
    return Shard(*arrays)


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(
        "a shard must be as albertkit prepare wrote it", received=f"{path} ({reason})", fix="run albertkit prepare again"
    )


def _to_offsets(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint32)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path, rule: str) -> dict[str, Any]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(rule, received=f"{path} ({error})") from None
    if not isinstance(entries, dict):
        raise DataError(rule, received=f"{path}, which is no JSON object")
    return entries
