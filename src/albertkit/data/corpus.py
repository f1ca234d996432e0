"""Raw text from files, a document at a time: plain text and JSON lines, compressed or not, single files or folders."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from albertkit.errors import DataError

__all__ = ["MAX_DOCUMENT_CHARACTERS", "MAX_LINE_BYTES", "list_files", "read_documents", "read_texts"]

MAX_LINE_BYTES = 256 * 2**20
"""The longest line that is read; memory stays bounded whatever the file holds."""

MAX_DOCUMENT_CHARACTERS = 20_000_000
"""A plain-text document longer than this goes on as another document, so that a file without blank lines needs no more memory."""

Lines = Iterator[tuple[int, str]]
"""Line numbers from 1, and lines without their ends."""


def read_texts(paths: Sequence[str | Path]) -> Iterator[str]:
    """Read a corpus a paragraph at a time, blank ones left out.

    Args:
        paths: Files or folders, see :func:`list_files`.

    Raises:
        DataError: As :func:`read_documents`.
    """
    for document in read_documents(paths):
        yield from document


def read_documents(paths: Sequence[str | Path]) -> Iterator[list[str]]:
    """Read a corpus a document at a time, each a list of paragraphs without white space around them; empty ones are left out.

    In plain text a line is a paragraph (or a sentence) and a blank line ends the document. In JSON lines every line is an
    object whose ``text`` holds one document, its paragraphs separated by newlines.

    Args:
        paths: Files or folders, see :func:`list_files`.

    Raises:
        DataError: If a path is missing or of an unknown kind, a file is not UTF-8, not JSON lines or damaged (file and line
            are named), or the whole corpus holds no text.
    """
    is_empty = True
    for path in list_files(paths):
        for document in _READERS[_endings(path)[0]](path, _read_lines(path)):
            is_empty = False
            yield document
    if is_empty:
        raise DataError("a corpus must hold text", received=f"only blank documents in {', '.join(map(str, paths))}")


def list_files(paths: Sequence[str | Path]) -> list[Path]:
    """Find the files of a corpus: those named, and all in the folders named, recursively and in sorted order.

    Args:
        paths: Files that end in ``.txt`` or ``.jsonl``, each possibly followed by ``.gz``, ``.bz2`` or ``.xz``, and folders of
            such files (hidden files in them are left out).

    Raises:
        DataError: If a path does not exist, a file has another ending, or there is no file at all.
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
        kind, compression = _endings(file)
        if kind not in _READERS or compression not in _OPENERS:
            endings = ", ".join(_READERS)
            raise DataError(
                f"a corpus file must end in {endings}, possibly followed by .gz, .bz2 or .xz",
                received=str(file),
                fix="rename it, or name the files to read instead of their folder",
            )
    if not files:
        raise DataError("a corpus must hold at least one file", received=", ".join(map(str, paths)) or "no path")
    return files


def _endings(path: Path) -> tuple[str, str]:
    """``a.txt.gz`` → ``(".txt", ".gz")``; no compression is ``""``."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _OPENERS:
        return (suffixes[-2] if len(suffixes) > 1 else ""), suffixes[-1]
    return (suffixes[-1] if suffixes else ""), ""


def _read_lines(path: Path) -> Lines:
    """Decode a file line by line, so that an error can name the place."""
    try:
        with _OPENERS[_endings(path)[1]](path) as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES):
                number += 1
                if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                    raise DataError(
                        f"a line must be shorter than {MAX_LINE_BYTES:,} bytes", received=f"a longer one in {path}, line {number}"
                    )
                try:
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    place = f"{path}, line {number}, byte {error.start + 1} of the line"
                    raise DataError(
                        "a corpus must be UTF-8 text",
                        received=f"the byte 0x{line[error.start]:02x} in {place}",
                        fix="convert the file, for example with iconv",
                    ) from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError("a corpus file must be readable and whole", received=f"{path} ({error})") from None


def _read_plain_text(path: Path, lines: Lines) -> Iterator[list[str]]:
    document: list[str] = []
    length = 0
    for _, line in lines:
        paragraph = line.strip()
        if paragraph:
            document.append(paragraph)
            length += len(paragraph)
        if document and (not paragraph or length >= MAX_DOCUMENT_CHARACTERS):
            yield document
            document, length = [], 0
    if document:
        yield document


def _read_json_lines(path: Path, lines: Lines) -> Iterator[list[str]]:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError("every line must be a JSON object", received=f"{path}, line {number} ({error})") from None
        text = entry.get("text") if isinstance(entry, dict) else None
        if not isinstance(text, str):
            raise DataError(
                'every JSON line must be an object with a string "text"',
                received=f"{path}, line {number}: {line.strip()[:80]}",
            )
        if "\\ud" in line:  # an escaped half of a surrogate pair is JSON, but no character
            text = text.encode("utf-8", "replace").decode("utf-8")
        document = [paragraph for piece in text.split("\n") if (paragraph := piece.strip())]
        if document:
            yield document


def _open_plain(path: Path) -> BinaryIO:
    return path.open("rb")


def _open_gzip(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb"))


def _open_bz2(path: Path) -> BinaryIO:
    return cast(BinaryIO, bz2.open(path, "rb"))


def _open_xz(path: Path) -> BinaryIO:
    return cast(BinaryIO, lzma.open(path, "rb"))


_OPENERS: dict[str, Callable[[Path], BinaryIO]] = {"": _open_plain, ".gz": _open_gzip, ".bz2": _open_bz2, ".xz": _open_xz}
"""Last ending → how to open the file for reading bytes."""

_READERS: dict[str, Callable[[Path, Lines], Iterator[list[str]]]] = {
    ".txt": _read_plain_text,
    ".jsonl": _read_json_lines,
}
"""Ending of the kind → how to cut a file's lines into documents."""
