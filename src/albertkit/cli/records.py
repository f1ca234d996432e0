"""Reading what a command is to answer: words of the command line, standard input, or a file; one item at a time, by number.

What cannot be read is an item too, with its error, so that one bad line does not end a run. Bytes that are no UTF-8 become
lone surrogates, which the tokenizer refuses: a bad line in the middle of a file is found and named like any other.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from albertkit.errors import InputError

__all__ = ["LIST_SEPARATOR", "Form", "Item", "add_text_arguments", "count_items", "open_input", "read_items", "read_texts"]

LIST_SEPARATOR = "|"
"""Between the parts of a list in one cell of a table."""


@dataclass(frozen=True)
class Item:
    """One input.

    Attributes:
        number: Its line in the file or in standard input, or its place among the words, from 1.
        columns: All that came with it, in order: what the output repeats.
        error: Why it cannot be read; ``columns`` then holds its line alone.
        characters: Its size.
    """

    number: int
    columns: dict[str, Any]
    error: InputError | None = None
    characters: int = 0


@dataclass(frozen=True)
class Form:
    """How texts and rows of a table become a task's inputs.

    Attributes:
        fields: Name of each part of an input → whether it is a list.
        text_field: The part that a bare text is.
        gather: Makes one input of all texts; without it each text is an input.
        given: Parts that a flag of the command gives to every input that does not have its own.
    """

    fields: Mapping[str, bool] = field(default_factory=lambda: {"text": False})
    text_field: str = "text"
    gather: Callable[[list[str]], dict[str, Any]] | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    def complete(self, columns: dict[str, Any]) -> dict[str, Any]:
        """The columns of an item, with what the flags give in place of what is absent."""
        return columns | {name: value for name, value in self.given.items() if columns.get(name) is None}

    def record(self, item: Item) -> dict[str, Any]:
        """The parts of an item that the task reads; empty cells count as absent. Without any, what it has, to be refused."""
        given = {name: item.columns[name] for name in self.fields if name in item.columns}
        return {name: value for name, value in given.items() if value is not None} or given or item.columns


def add_text_arguments(parser: ArgumentParser) -> None:
    """Add ``TEXT…`` and ``--input FILE``."""
    parser.add_argument("text", nargs="*", metavar="TEXT", help="the texts; without any, standard input is read, a text a line")
    parser.add_argument(
        "--input", metavar="FILE", help="read the texts from a file, a text a line; .jsonl: the field text of each line"
    )


def read_texts(arguments: Namespace) -> Iterator[str]:
    """The texts a command was given; the first that cannot be read ends it.

    Raises:
        InputError: As :func:`read_items`, and if a line cannot be read.
    """
    for item in read_items(arguments.text, arguments.input, Form()):
        if item.error is not None:
            raise item.error
        text = item.columns.get("text")
        if not isinstance(text, str):
            raise InputError('each line of a .jsonl file must be an object with a "text"', received=f"line {item.number}")
        yield text


def read_items(words: list[str], path: str | None, form: Form) -> Iterator[Item]:
    """The inputs a command was given: its words, a file, or the lines of standard input.

    Args:
        words: Of the command line.
        path: Of a file: ``.jsonl``, an object a line; ``.csv`` with a header; any other, a text a line. Blank lines are left out.
        form: How texts and rows become inputs.

    Raises:
        InputError: If both words and a file are given, or nothing, or the file cannot be read.
    """
    if words and path:
        raise InputError("texts come from the command line or from --input", received="both", fix="leave one out")
    if words:
        yield from _from_texts(enumerate(words, 1), form)
    elif path:
        with open_input(path) as file:
            yield from _not_empty(_READERS.get(Path(path).suffix, _from_lines)(_decode(file), form), path)
    else:
        if sys.stdin.isatty():
            print("albertkit: reading texts from the keyboard, one a line; Ctrl-D ends.", file=sys.stderr)
        lines = _decode(sys.stdin.buffer) if isinstance(sys.stdin, io.TextIOWrapper) else enumerate(sys.stdin, 1)
        yield from _not_empty(_from_lines(lines, form), "standard input")


@contextmanager
def open_input(path: str | Path) -> Iterator[io.BufferedReader]:
    """Open a file of inputs.

    Raises:
        InputError: If it cannot be read, or is of a kind that is not understood.
    """
    if Path(path).suffix == ".json":
        raise InputError(
            "--input reads .jsonl, .csv or lines of text", received=path, fix="write its objects a line each, as .jsonl"
        )
    try:
        with Path(path).open("rb") as file:
            yield file
    except OSError as error:
        raise InputError("--input must name a readable file", received=f"{path} ({error.strerror})") from None


def count_items(path: str | Path, form: Form) -> int:
    """How many items :func:`read_items` will find in a file.

    Raises:
        InputError: If there is none, or the file cannot be read.
    """
    suffix = Path(path).suffix
    with open_input(path) as file:
        found = _from_csv(_decode(file), form) if suffix == ".csv" else _filled(_decode(file))
        count = sum(1 for _ in found)
    if not count:
        raise _nothing(path)
    return 1 if form.gather and suffix not in _READERS else count


def _not_empty(items: Iterator[Item], source: str) -> Iterator[Item]:
    """The items, of which there must be one."""
    first = next(items, None)
    if first is None:
        raise _nothing(source)
    yield first
    yield from items


def _nothing(source: str | Path) -> InputError:
    return InputError("there must be at least one text", received=f"nothing in {source}")


def _decode(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Numbers and texts of the lines."""
    for number, line in enumerate(file, 1):
        text = line.decode("utf-8", "surrogateescape")
        yield number, text.removeprefix("\ufeff") if number == 1 else text


def _filled(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, without their ends."""
    return ((number, line.rstrip("\r\n")) for number, line in lines if line.strip())


def _from_lines(lines: Iterable[tuple[int, str]], form: Form) -> Iterator[Item]:
    return _from_texts(_filled(lines), form)


def _from_texts(numbered: Iterable[tuple[int, str]], form: Form) -> Iterator[Item]:
    if form.gather is None:
        for number, text in numbered:
            yield Item(number, form.complete({form.text_field: text}), characters=len(text))
    elif texts := [text for _, text in numbered]:
        yield Item(1, form.complete(form.gather(texts)), characters=sum(map(len, texts)))


def _from_jsonl(lines: Iterable[tuple[int, str]], form: Form) -> Iterator[Item]:
    rule = "a line of a .jsonl file must be a JSON object"
    for number, line in _filled(lines):
        try:
            columns = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply, or a number too long"
            yield _bad(number, InputError(rule, received=f"no JSON ({reason})"))
            continue
        if isinstance(columns, dict):
            yield Item(number, form.complete(columns), characters=len(line))
        else:
            yield _bad(number, InputError(rule, received=f"a {type(columns).__name__}"))


def _from_csv(lines: Iterable[tuple[int, str]], form: Form) -> Iterator[Item]:
    """Rows under a header; the line of a row is that of its last."""
    from albertkit.tasks.tables import allow_long_cells

    allow_long_cells()
    last = 0

    def texts() -> Iterator[str]:
        nonlocal last
        for number, line in lines:
            last = number
            yield line

    rows = csv.reader(texts())
    header = next(rows, None)
    if header is None:
        return
    if not set(header) & set(form.fields) or len(set(header)) < len(header):
        names = ", ".join(form.fields)
        raise InputError(f"the first line of a .csv file must name its columns once each, of {names}", received=", ".join(header))
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield _bad(last, InputError("a row of a .csv file must be readable", received=str(error)))
            continue
        if len(row) == len(header):
            columns = {name: _cell(cell, form.fields.get(name, False)) for name, cell in zip(header, row, strict=True)}
            yield Item(last, form.complete(columns), characters=sum(map(len, row)))
        elif row:
            yield _bad(last, InputError("a row must have as many cells as the header", received=f"{len(row)} for {len(header)}"))


def _cell(cell: str, many: bool) -> str | list[str] | None:
    """The value of a cell; an empty one has none."""
    if not cell:
        return None
    return [part.strip() for part in cell.split(LIST_SEPARATOR)] if many else cell


def _bad(number: int, error: InputError) -> Item:
    return Item(number, {"line": number}, error)


_READERS: dict[str, Callable[[Iterable[tuple[int, str]], Form], Iterator[Item]]] = {".jsonl": _from_jsonl, ".csv": _from_csv}
