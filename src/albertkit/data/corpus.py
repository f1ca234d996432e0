"""Raw text from files, a document at a time: plain text, JSON lines and Wikipedia, compressed or not, single files or folders."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from albertkit.data.readers import Reader, find_reader
from albertkit.errors import DataError

__all__ = ["MAX_LINE_BYTES", "Corpus", "list_files", "read_texts"]

MAX_LINE_BYTES = 256 * 2**20
"""The longest line that is read; memory stays bounded whatever the file holds."""

_FEW_BYTES = 64


def read_texts(paths: Sequence[str | Path]) -> Iterator[str]:
    """Read a corpus a paragraph at a time, blank ones left out.

    Args:
        paths: Files or folders, see :func:`list_files`.

    Raises:
        DataError: As :class:`Corpus`.
    """
    for document in Corpus(paths):
        yield from document


class Corpus:
    """The documents of files, each a list of paragraphs without white space around them; empty ones are left out.

    In plain text a line is a paragraph (or a sentence) and a blank line ends the document. In JSON lines every line is an
    object whose ``text`` holds one document, its paragraphs separated by newlines. WikiExtractor's files hold a document
    between ``<doc …>`` and ``</doc>``, or are JSON lines. Where a document has a title, a first paragraph that only repeats it
    is left out.

    Args:
        paths: Files or folders, see :func:`list_files`.

    Raises:
        DataError: If a path is missing or of an unknown kind; while reading, if a file is not UTF-8, not of its kind or damaged
            (file and line are named), or the whole corpus holds no text.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.files = list_files(paths)
        self.num_bytes = sum(path.stat().st_size for path in self.files)
        """Size of the files as they are, compressed or not."""
        self._bytes_done = 0
        self._file: BinaryIO | None = None

    @property
    def bytes_read(self) -> int:
        """How many of :attr:`num_bytes` have been read in the present pass."""
        return self._bytes_done + (self._file.tell() if self._file else 0)

    def __iter__(self) -> Iterator[list[str]]:
        self._bytes_done = 0
        is_empty = True
        for path in self.files:
            with closing(self._read_lines(path)) as lines:
                for document in _find_reader(path)(path, lines):
                    is_empty = False
                    yield document
        if is_empty:
            raise DataError("a corpus must hold text", received=f"only blank documents in {', '.join(map(str, self.files))}")

    def _read_lines(self, path: Path) -> Generator[tuple[int, str]]:
        """Decode a file line by line, so that an error can name the place."""
        with _open(path) as (file, content):
            self._file = file
            try:
                number = 0
                while line := content.readline(MAX_LINE_BYTES):
                    number += 1
                    yield number, _decode(line, path, number)
            finally:
                self._bytes_done += path.stat().st_size
                self._file = None


def list_files(paths: Sequence[str | Path]) -> list[Path]:
    """Find the files of a corpus: those named, and all in the folders named, recursively and in sorted order.

    Args:
        paths: Files that end in ``.txt`` or ``.jsonl``, or in nothing as those of WikiExtractor, each possibly followed by
            ``.gz``, ``.bz2`` or ``.xz``, and folders of such files (hidden files in them are left out).

    Raises:
        DataError: If a path does not exist, a file is of no such kind, or there is no file at all.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = (file for file in path.rglob("*") if file.is_file())
            files += sorted(file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts))
        elif path.is_file():
            files.append(path)
        else:
            raise DataError("a corpus must be files or folders that exist", received=str(path))
    for file in files:
        _find_reader(file)
    if not files:
        raise DataError("a corpus must hold at least one file", received=", ".join(map(str, paths)) or "no path")
    return files


def _endings(path: Path) -> tuple[str, str]:
    """``a.txt.gz`` → ``(".txt", ".gz")``; no compression is ``""``."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _OPENERS:
        return (suffixes[-2] if len(suffixes) > 1 else ""), suffixes[-1]
    return (suffixes[-1] if suffixes else ""), ""


def _find_reader(path: Path) -> Reader:
    ending = _endings(path)[0]
    reader = None
    if ending in ("", ".txt", ".jsonl"):
        with _open(path) as (_, content):
            reader = find_reader(ending, content.read(_FEW_BYTES))
    if reader is None:
        raise DataError(
            "a corpus file must end in .txt or .jsonl, possibly followed by .gz, .bz2 or .xz, or be one of WikiExtractor",
            received=str(path),
            fix="rename it, or name the files to read instead of their folder",
        )
    return reader


@contextmanager
def _open(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Give the file as it is, and what it holds once decompressed."""
    try:
        with path.open("rb") as file, _OPENERS[_endings(path)[1]](file) as content:
            yield file, content
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError("a corpus file must be readable and whole", received=f"{path} ({error})") from None


def _decode(line: bytes, path: Path, number: int) -> str:
    if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
        raise DataError(
            f"a line must be shorter than {MAX_LINE_BYTES:,} bytes", received=f"a longer one in {path}, line {number}"
        )
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            "a corpus must be UTF-8 text",
            received=f"the byte 0x{line[error.start]:02x} in {path}, line {number}, byte {error.start + 1} of the line",
            fix="convert the file, for example with iconv",
        ) from None


def _open_plain(file: BinaryIO) -> BinaryIO:
    return file


def _open_gzip(file: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file, "rb"))


def _open_bz2(file: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, bz2.open(file, "rb"))


def _open_xz(file: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, lzma.open(file, "rb"))


_OPENERS: dict[str, Callable[[BinaryIO], BinaryIO]] = {"": _open_plain, ".gz": _open_gzip, ".bz2": _open_bz2, ".xz": _open_xz}
"""Last ending → how to read what the bytes of a file hold."""
