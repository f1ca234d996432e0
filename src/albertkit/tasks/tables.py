"""Rows of tables: csv, tsv, JSON lines, parquet and data sets of the hub, each with its place, so that errors can name it."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from albertkit import optional
from albertkit.errors import DataError
from albertkit.tasks.base import Example

__all__ = [
    "HUB_PREFIX",
    "LIST_SEPARATOR",
    "TABLES",
    "Row",
    "allow_long_cells",
    "check_examples",
    "list_of",
    "read_lines",
    "read_object",
    "read_rows",
    "read_separated",
]

HUB_PREFIX = "datasets:"
"""Begins the name of a data set of the hub: ``datasets:OWNER/NAME[/CONFIG]@SPLIT``."""

LIST_SEPARATOR = "|"
"""Between the parts of a list in one cell of a table."""

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
"""Endings of tables; all but the last may be followed by ``.xz`` or ``.gz``."""

_LONGEST_CELL = 2**24
"""Characters of a cell of a ``.csv``: a whole book."""

_Kind = TypeVar("_Kind", bound=Example)


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    place: str
    """For messages: ``reviews.csv, line 12``."""
    cells: Mapping[str, Any]
    """Column → what stands there: a text, or what JSON and parquet have."""

    def find(self, field: str, columns: Mapping[str, str], *others: str) -> str | None:
        """The column of a field: the one that ``columns`` names for it, else the one of its own name, else the only one of
        ``others`` that is there; ``None`` if there is none.

        Raises:
            DataError: If the named column is not there, or several of the others are.
        """
        if field in columns:
            if columns[field] not in self.cells:
                raise self.lacks(f"{columns[field]!r}, named for {field}")
            return columns[field]
        if field in self.cells:
            return field
        found = [name for name in others if name in self.cells]
        if len(found) > 1:
            raise DataError(
                f"there must be one column for {field}",
                received=f"{' and '.join(found)} in {self.place}",
                fix=f"say which with columns.{field}",
            )
        return found[0] if found else None

    def require(self, field: str, columns: Mapping[str, str], *others: str) -> Any:
        """What stands in the column of a field (:meth:`find`).

        Raises:
            DataError: If there is no such column, or nothing stands there.
        """
        column = self.find(field, columns, *others)
        if column is None:
            raise self.lacks(field, fix=f"name it with columns.{field}; the first line of a table names its columns")
        if self.cells[column] is None:
            raise DataError(f"the column {column} must hold something", received=f"nothing in {self.place}")
        return self.cells[column]

    def text(self, field: str, columns: Mapping[str, str], *others: str) -> str:
        """The text in the column of a field (:meth:`require`).

        Raises:
            DataError: If there is none, or no text.
        """
        value = self.require(field, columns, *others)
        if not isinstance(value, str) or _HALF_CHARACTERS.search(value):
            raise DataError(f"{field} must be a text of whole characters", received=f"{value!r:.60} in {self.place}")
        return value

    def lacks(self, column: str, fix: str | None = None) -> DataError:
        """The error that a column is missing."""
        there = ", ".join(map(str, self.cells))
        return DataError(f"a table must have the column {column}", received=f"the columns {there:.200} in {self.place}", fix=fix)


def read_rows(source: str | Path) -> Iterator[Row]:
    """The rows of a table.

    A ``.csv`` or ``.tsv`` has a first line that names its columns; cells of a ``.csv`` may be quoted, those of a ``.tsv`` are
    taken as they are, quotation marks included. Of a ``.jsonl`` every line is an object. Labels of a data set of the hub come
    by their names.

    Args:
        source: A file that ends in one of :data:`TABLES`, or a data set of the hub.

    Raises:
        DataError: If it cannot be read: file, line and reason.
        MissingExtraError: If it needs a library that is not installed.
    """
    name = str(source)
    if name.startswith(HUB_PREFIX):
        return _read_hub(name)
    path = Path(source)
    ending = _ending(path)
    if ending not in _READERS:
        raise DataError(f"a table must end in one of {', '.join(TABLES)}", received=name)
    return _READERS[ending](path)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbers, from 1, and texts of a file's lines, without their ends; ``.xz`` and ``.gz`` are unpacked on the way.

    Raises:
        DataError: If it is missing, damaged or not UTF-8: file, line and byte.
    """
    number = 0
    try:
        with _OPENERS.get(path.suffix, open)(path, "rb") as file:
            for number, line in enumerate(file, 1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(
            "a file must be UTF-8 text",
            received=f"the byte 0x{error.object[error.start]:02x} in {path}, line {number}",
            fix="convert it, for example with iconv",
        ) from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError("a file must be there, readable and whole", received=f"{path} ({error})") from None


def read_separated(
    path: Path, *, quoted: bool = False, columns: Sequence[str] | None = None, leave_out_short: bool = False
) -> Iterator[Row]:
    """The rows of a file whose cells stand between commas or tabs; blank lines are left out.

    Args:
        path: The file, whatever its ending.
        quoted: Commas separate, and quotation marks may hold a cell together; otherwise tabs separate and marks mean nothing.
        columns: Names of the columns; ``None``: the first line names them.
        leave_out_short: Warn of rows cut short, and go on.

    Raises:
        DataError: If it cannot be read, columns have no names or the same, or a row has too few cells or too many.
    """
    rows = _split_quoted(path) if quoted else ((number, line.split("\t")) for number, line in read_lines(path) if line)
    number, header = (1, list(columns)) if columns else next(rows, (1, []))
    if len(set(header)) < len(header) or "" in header[1:]:  # pandas leaves the name of its index empty
        rule = "the first line of a table must name its columns, each once"
        raise DataError(rule, received=f"{', '.join(header):.200} in {path}, line {number}")
    for number, cells in rows:
        place = f"{path}, line {number}"
        if len(cells) < len(header) and leave_out_short:
            warnings.warn(f"left out: {len(cells)} cells for {len(header)} in {place}", stacklevel=2)
            continue
        if len(cells) != len(header):
            received = f"{len(cells)} for {len(header)} in {place}"
            raise DataError("a row must have as many cells as the table has columns", received=received)
        yield Row(place, dict(zip(header, cells, strict=True)))


def read_object(text: str, place: str, rule: str) -> Row:
    """A row from a JSON object.

    Args:
        text: Of the object.
        place: Where it stands.
        rule: What it breaks if it is none, for the message.

    Raises:
        DataError: If it is none.
    """
    try:
        cells = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(rule, received=f"{place} ({error})") from None
    if not isinstance(cells, dict):
        raise DataError(rule, received=f"{place}: {text:.60}")
    return Row(place, cells)


def list_of(value: Any, place: str) -> list[Any]:
    """The parts of a cell: a list, a JSON list, or texts between ``|``; an empty cell has none.

    Raises:
        DataError: If a JSON list is not whole, or the cell holds something else.
    """
    if isinstance(value, str):
        if not value.startswith("["):
            return [part.strip() for part in value.split(LIST_SEPARATOR)] if value.strip() else []
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise DataError("a JSON list must be whole", received=f"{place} ({error})") from None
    if not isinstance(value, list):
        raise DataError("a cell must hold a list, or texts between |", received=f"{value!r:.60} in {place}")
    return value


def check_examples(examples: Sequence[_Kind], source: str | Path, is_answered: Callable[[_Kind], bool]) -> None:
    """Be sure that there are examples, that their ids differ, and that all have right answers or none has.

    Args:
        examples: Of one source.
        source: Where they come from.
        is_answered: Whether an example has a right answer.

    Raises:
        DataError: If not: file, line and reason.
    """
    if not examples:
        raise DataError("a data set must hold at least one example", received=f"none in {source}")
    seen: dict[str, str] = {}
    for example in examples:
        if example.id in seen:
            received = f"{example.id!r} in {seen[example.id]} and in {example.place}"
            raise DataError("ids must differ", received=received, fix="number them, or leave the column out")
        seen[example.id] = example.place
    without = [example for example in examples if not is_answered(example)]
    if 0 < len(without) < len(examples):
        raise DataError("all examples must have right answers, or none", received=f"none in {without[0].place}")


# ----------------------------------------------------------------- readers


def _ending(path: Path) -> str:
    """``a.csv.xz`` → ``.csv``."""
    return Path(path.stem).suffix if path.suffix in _OPENERS else path.suffix


def _read_table(path: Path) -> Iterator[Row]:
    return read_separated(path, quoted=_ending(path) == ".csv")


def allow_long_cells() -> None:
    """Let a cell of a ``.csv`` be as long as a book; the csv library's own bound, of the whole process, is 2**17 characters."""
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))


def _split_quoted(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line, and cells, of every row."""
    allow_long_cells()
    reader = csv.reader((f"{line}\n" for _, line in read_lines(path)), strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        rule = "a row must be readable, its quotation marks doubled inside a quoted cell"
        raise DataError(rule, received=f"{error} in {path}, the row that begins in line {start}") from None


def _read_json_lines(path: Path) -> Iterator[Row]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        yield read_object(line, f"{path}, line {number}", "every line must be a JSON object")


def _read_parquet(path: Path) -> Iterator[Row]:
    parquet = optional.require("pyarrow.parquet", "A parquet file")
    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches():
                for cells in batch.to_pylist():
                    number += 1
                    yield Row(f"{path}, row {number}", cells)
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these two kinds
        raise DataError("a file must be there, readable and whole", received=f"{path} ({error})") from None


def _read_hub(name: str) -> Iterator[Row]:
    datasets = optional.require("datasets", "A data set of the hub")
    path, _, split = name.removeprefix(HUB_PREFIX).partition("@")
    repository = "/".join(path.split("/")[:2])
    config = path.removeprefix(repository).strip("/") or None
    try:
        if not repository:
            raise ValueError("no name")
        found = datasets.load_dataset(repository, config, split=split or "train")
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:  # RuntimeError: it is a script
        fix = f"it is named {HUB_PREFIX}OWNER/NAME[/CONFIG]@SPLIT"
        raise DataError("a data set must be on the hub and reachable", received=f"{name} ({error})", fix=fix) from None
    for number, cells in enumerate(found, 1):
        named = {column: _name_labels(value, found.features[column]) for column, value in cells.items()}
        yield Row(f"{name}, row {number}", named)


def _name_labels(value: Any, feature: Any) -> Any:
    """Names in place of the numbers of classes; ``None`` for -1, by which test sets say that there is no label."""
    if isinstance(value, list) and hasattr(feature, "feature"):
        return [_name_labels(item, feature.feature) for item in value]
    if hasattr(feature, "int2str") and isinstance(value, int):
        return feature.int2str(value) if value >= 0 else None
    return value


_HALF_CHARACTERS = re.compile("[\ud800-\udfff]")
"""Halves of surrogate pairs, which JSON can spell, but no encoding."""

_OPENERS: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open}

_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _read_table,
    ".tsv": _read_table,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}
