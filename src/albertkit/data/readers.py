"""From the lines of a file to documents: plain text, JSON lines, and what WikiExtractor makes of a Wikipedia dump."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from albertkit.errors import DataError

__all__ = ["MAX_DOCUMENT_CHARACTERS", "Lines", "Reader", "find_reader"]

MAX_DOCUMENT_CHARACTERS = 20_000_000
"""A plain-text document longer than this goes on as another document, so that a file without blank lines needs no more memory."""

Lines = Iterator[tuple[int, str]]
"""Line numbers from 1, and lines."""

Reader = Callable[[Path, Lines], Iterator[list[str]]]
"""From a file's name, for messages, and its lines to documents: paragraphs without white space around them; none is empty."""

_WIKI_TITLE = re.compile(r'\stitle="(.*?)"(?:\s+\w+="[^"]*")*\s*>$')
_LONGEST_WIKI_HEADER = 10_000


def find_reader(ending: str, beginning: bytes) -> Reader | None:
    """Tell how a file is to be read; ``None`` if it is of no known kind.

    Args:
        ending: Of its name: ``.txt``, ``.jsonl``, or nothing, as WikiExtractor names its files.
        beginning: Its first bytes.
    """
    beginning = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    if ending == ".jsonl":
        return _read_json_lines
    if ending in (".txt", "") and beginning.startswith(b"<doc "):
        return _read_wiki
    if ending == "" and beginning.startswith(b"{"):
        return _read_wiki_json_lines
    return _read_plain_text if ending == ".txt" else None


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
        paragraphs = [paragraph for piece in text.split("\n") if (paragraph := piece.strip())]
        if document := _without_title(paragraphs, entry.get("title")):
            yield document


def _read_wiki(path: Path, lines: Lines) -> Iterator[list[str]]:
    """Read ``<doc id= url= title=>``, lines of text, ``</doc>``; entities become the characters they stand for."""
    document: list[str] | None = None
    title, length = "", 0
    for number, line in lines:
        paragraph = line.strip()
        if document is None:
            if not paragraph:
                continue
            if not (paragraph.startswith("<doc ") and paragraph.endswith(">") and len(paragraph) <= _LONGEST_WIKI_HEADER):
                rule = "text that WikiExtractor took from a dump must stand between <doc …> and </doc>"
                raise DataError(rule, received=f"{path}, line {number}: {paragraph[:80]}")
            found = _WIKI_TITLE.search(paragraph)
            document, title, length = [], html.unescape(found[1]) if found else "", 0
            continue
        ends = paragraph == "</doc>"
        if not ends and (paragraph := html.unescape(paragraph).strip()):
            document.append(paragraph)
            length += len(paragraph)
        if ends or length >= MAX_DOCUMENT_CHARACTERS:
            if document := _without_title(document, title):
                yield document
            document, title, length = (None if ends else []), "", 0
    if document is not None:
        raise DataError("a file of WikiExtractor must end with </doc>", received=f"{path}, which breaks off")


def _read_wiki_json_lines(path: Path, lines: Lines) -> Iterator[list[str]]:
    """Read WikiExtractor's ``--json``, in which ``& < >`` are entities as in its other form."""
    for document in _read_json_lines(path, lines):
        if paragraphs := [plain for paragraph in document if (plain := html.unescape(paragraph).strip())]:
            yield paragraphs


def _without_title(paragraphs: list[str], title: object) -> list[str]:
    """Leave out a first paragraph that only repeats the title: it is a heading, no text."""
    return paragraphs[1:] if paragraphs and title and paragraphs[0] == title else paragraphs
