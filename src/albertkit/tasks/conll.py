"""Sentences with a tag for each word: CoNLL-style files, and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albertkit.errors import DataError
from albertkit.tasks.base import Example
from albertkit.tasks.entities import OUTSIDE, PREFIXES
from albertkit.tasks.tables import HUB_PREFIX, TABLES, Row, check_examples, list_of, read_lines, read_rows

__all__ = ["TaggedExample", "read_sentences"]

_TAG = re.compile(rf"{OUTSIDE}|[{''.join(PREFIXES)}](-.+)?")
_DOCUMENT = "-DOCSTART-"
_WORD_COLUMNS = ("tokens",)
_TAG_COLUMNS = ("ner_tags", "labels")


@dataclass(frozen=True, kw_only=True)
class TaggedExample(Example):
    """A sentence."""

    words: tuple[str, ...]
    """At least one."""
    tags: tuple[str, ...] | None = None
    """One for each word; ``None`` if not known."""


def read_sentences(source: str | Path, columns: Mapping[str, str] | None = None) -> list[TaggedExample]:
    """Read a CoNLL-style file or a table.

    The former has a line for each word, and a blank one between sentences; columns stand between tabs or spaces, the word first
    and its tag last (a file of one column has no tags). Lines that begin with ``-DOCSTART-`` say nothing. A table
    (:func:`~albertkit.tasks.tables.read_rows`) has columns ``words`` and perhaps ``tags``: lists, JSON lists, or texts with
    spaces between; a ``.tsv`` is one if its first line names the column of words.

    Args:
        source: The file, or the name of a data set of the hub.
        columns: ``id``, ``words``, ``tags`` → the table's column for it, where it has another name.

    Raises:
        DataError: Names file, line and reason.
    """
    named = columns or {}
    if _is_table(source, named):
        examples = [_read_row(number, row, named) for number, row in enumerate(read_rows(source))]
    else:
        examples = list(_read_conll(Path(source)))
    check_examples(examples, source, lambda example: example.tags is not None)
    return examples


def _is_table(source: str | Path, columns: Mapping[str, str]) -> bool:
    name = str(source)
    if name.startswith(HUB_PREFIX):
        return True
    name = name.removesuffix(".xz").removesuffix(".gz")
    if not name.endswith(".tsv"):
        return name.endswith(TABLES)
    _number, first = next(read_lines(Path(source)), (1, ""))
    return not {columns.get("words", "words"), *_WORD_COLUMNS}.isdisjoint(first.split("\t"))


def _read_conll(path: Path) -> Iterator[TaggedExample]:
    words: list[str] = []
    tags: list[str] = []
    sentences = start = width = number = 0
    for number, line in read_lines(path):
        if not line.strip() or line.startswith(_DOCUMENT):
            if words:
                yield _sentence(sentences, path, start, words, tags)
                words, tags, sentences = [], [], sentences + 1
            continue
        cells = line.split("\t") if "\t" in line else [cell for cell in line.split(" ") if cell]
        place = f"{path}, line {number}"
        width = width or len(cells)
        if len(cells) != width:
            raise DataError("all lines must have equally many columns", received=f"{len(cells)} for {width} in {place}")
        if not cells[0].strip():
            raise DataError("a line must begin with a word", received=f"{line!r:.60} in {place}")
        start = start if words else number
        words.append(cells[0])
        if width > 1:
            tags.append(_check_tag(cells[-1], place))
    if words:
        yield _sentence(sentences, path, start, words, tags)


def _sentence(number: int, path: Path, line: int, words: list[str], tags: list[str]) -> TaggedExample:
    return TaggedExample(id=str(number), place=f"{path}, line {line}", words=tuple(words), tags=tuple(tags) if tags else None)


def _read_row(number: int, row: Row, columns: Mapping[str, str]) -> TaggedExample:
    id_column = row.find("id", columns)
    tag_column = row.find("tags", columns, *_TAG_COLUMNS)
    words = _split_cell(row.require("words", columns, *_WORD_COLUMNS), "words", row.place)
    tags = None
    if tag_column is not None and row.cells[tag_column]:  # an empty cell is one without tags
        tags = _split_cell(row.cells[tag_column], "tags", row.place)
        if len(tags) != len(words):
            raise DataError("every word must have a tag", received=f"{len(words)} words and {len(tags)} tags in {row.place}")
        for tag in tags:
            _check_tag(tag, row.place)
    return TaggedExample(id=str(number if id_column is None else row.cells[id_column]), place=row.place, words=words, tags=tags)


def _split_cell(value: Any, field: str, place: str) -> tuple[str, ...]:
    """The words or tags of a cell: of a list, a JSON list of texts, or a text with spaces."""
    parts = value.split() if isinstance(value, str) and not value.startswith('["') else list_of(value, place)
    if not parts or not all(isinstance(part, str) and part.strip() for part in parts):
        raise DataError(f"{field} must be texts, at least one, none empty", received=f"{value!r:.60} in {place}")
    return tuple(parts)


def _check_tag(tag: str, place: str) -> str:
    if _TAG.fullmatch(tag) is None:
        raise DataError(
            f"a tag must be {OUTSIDE}, or one of {', '.join(PREFIXES)}, then - and a type",
            received=f"{tag!r:.60} in {place}",
            fix="write L and U of BILOU as E and S" if tag[:2] in ("L-", "U-") else None,
        )
    return tag
