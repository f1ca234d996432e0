"""Questions on passages: files of SQuAD 1.1 and 2.0 (arXiv:1606.05250, arXiv:1806.03822), and tables of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albertkit.errors import DataError
from albertkit.tasks.base import Example
from albertkit.tasks.tables import Row, check_examples, list_of, read_lines, read_rows

__all__ = ["Answer", "QuestionExample", "read_questions"]

_COMPRESSED = (".xz", ".gz")


@dataclass(frozen=True)
class Answer:
    """A right answer: the characters of the context from ``start``."""

    text: str
    start: int


@dataclass(frozen=True, kw_only=True)
class QuestionExample(Example):
    """A question on a passage, with every answer that is right; test sets have none."""

    question: str
    context: str
    answers: tuple[Answer, ...] = ()
    is_impossible: bool = False
    """Whether it is known that the passage does not answer."""


def read_questions(source: str | Path, columns: Mapping[str, str] | None = None) -> list[QuestionExample]:
    """Read a file of SQuAD, ``.json``, also with ``.xz`` or ``.gz`` behind, or a table.

    A table (:func:`~albertkit.tasks.tables.read_rows`) has the columns ``question`` and ``context``, and perhaps ``id``,
    ``answers`` and ``answer_start``. ``answers`` holds a text, a JSON list of them, or, as in SQuAD on the hub, an object of
    ``text`` and ``answer_start``; where it is empty, the passage does not answer. Without ``answer_start`` an answer must stand
    in its context once only.

    A file whose answers are all blank is one without answers, as some publish their test sets.

    Args:
        source: The file, or the name of a data set of the hub.
        columns: Field → column of a table, where they differ.

    Raises:
        DataError: Names file, article and question, or line, and the reason.
    """
    path = Path(source)
    ending = path.with_suffix("").suffix if path.suffix in _COMPRESSED else path.suffix
    found = _read_json(path) if ending == ".json" else _read_table(source, columns or {})
    examples = list(found)
    check_examples(examples, source, lambda example: bool(example.answers) or example.is_impossible)
    return examples


def _read_json(path: Path) -> Iterator[QuestionExample]:
    try:
        content = json.loads("\n".join(line for _number, line in read_lines(path)))
    except (ValueError, RecursionError) as error:
        raise DataError("a file of SQuAD must be whole JSON", received=f"{path} ({error})") from None
    for number, article in enumerate(_take(content, "data", list, str(path), "article"), 1):
        title = article.get("title") if isinstance(article, dict) else None
        of_article = f"{path}, article {number}" + (f" {title!r:.60}" if title else "")
        for count, paragraph in enumerate(_take(article, "paragraphs", list, of_article, "paragraph"), 1):
            place = f"{of_article}, paragraph {count}"
            context = _take(paragraph, "context", str, place)
            for question in _take(paragraph, "qas", list, place):
                yield _read_question(question, context, of_article, place)


def _read_question(entry: Any, context: str, of_article: str, of_paragraph: str) -> QuestionExample:
    if not isinstance(entry, dict) or not isinstance(identifier := entry.get("id"), str | int):
        raise DataError("a question must have an id", received=f"{entry!r:.60} in {of_paragraph}")
    place = f"{of_article}, question {identifier}"
    is_impossible = entry.get("is_impossible", False)
    if not isinstance(is_impossible, bool):
        raise DataError("is_impossible must be true or false", received=f"{is_impossible!r:.60} in {place}")
    answers = [
        (_take(answer, "text", str, place), _take(answer, "answer_start", int, place))
        for answer in (_take(entry, "answers", list, place) if "answers" in entry else ())
    ]
    if is_impossible and answers:
        received = f"{answers[0][0]!r:.60} in {place}"
        raise DataError("a question that is_impossible must have no answers", received=received)
    if not any(text for text, _start in answers):
        answers = []
    question = _take(entry, "question", str, place)
    return _make_example(str(identifier), place, question, context, answers, is_impossible=is_impossible)


def _take(entry: Any, key: str, kind: type, place: str, of_which: str = "") -> Any:
    """What an object of the file has under a key; ``of_which`` there must be at least one."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = {list: "a list", str: "a text", int: "a whole number"}[kind]
        received = "none" if value is None else f"{value!r:.60}"
        raise DataError(f"{key} must be {wanted}", received=f"{received} in {place}", fix="see the format of SQuAD")
    if of_which and not value:
        raise DataError(f"{key} must hold at least one {of_which}", received=f"none in {place}")
    return value


def _read_table(source: str | Path, columns: Mapping[str, str]) -> Iterator[QuestionExample]:
    for number, row in enumerate(read_rows(source)):
        question, context = row.text("question", columns), row.text("context", columns)
        identifier = row.find("id", columns)
        name = str(number if identifier is None else row.cells[identifier])
        answers = _read_cells(row, columns, context)
        yield _make_example(name, row.place, question, context, answers or [], is_impossible=answers == [])


def _read_cells(row: Row, columns: Mapping[str, str], context: str) -> list[tuple[str, int]] | None:
    """The answers of a row; ``None`` where the table has no column for them."""
    column = row.find("answers", columns, "answer")
    if column is None:
        return None
    cell = row.cells[column]
    start_column = row.find("answer_start", columns)
    starts = None if start_column is None else row.cells[start_column]
    if isinstance(cell, str) and cell.startswith("{"):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError) as error:
            raise DataError("answers must be whole JSON", received=f"{row.place} ({error})") from None
    if isinstance(cell, dict):
        starts = cell.get("answer_start")
        cell = cell.get("text")
    # A text is one answer, whatever it holds: "|" parts no answers.
    texts = list_of(cell, row.place) if isinstance(cell, list) or str(cell).startswith("[") else [cell] if cell else []
    if starts is None or starts == "":
        starts = [_find(text, context, row.place) for text in texts]
    elif not isinstance(starts, list):
        starts = list_of(starts, row.place) if isinstance(starts, str) else [starts]
    if len(starts) != len(texts):
        received = f"{len(texts)} and {len(starts)} in {row.place}"
        raise DataError("answers and answer_start must be equally many", received=received)
    try:
        return [(str(text), int(start)) for text, start in zip(texts, starts, strict=True)]
    except (TypeError, ValueError):
        raise DataError("answer_start must be whole numbers", received=f"{starts!r:.60} in {row.place}") from None


def _find(text: Any, context: str, place: str) -> int:
    """Where an answer stands, if it does so once."""
    times = context.count(str(text))
    if times != 1:
        received = f"{text!r:.60}, {times} times in that of {place}"
        raise DataError("an answer must stand in its context once", received=received, fix="add the column answer_start")
    return context.index(str(text))


def _make_example(
    identifier: str, place: str, question: str, context: str, answers: Sequence[tuple[str, int]], *, is_impossible: bool
) -> QuestionExample:
    """A checked example."""
    for name, text in (("a question", question), ("a context", context), *(("an answer", text) for text, _start in answers)):
        if not text.strip():
            raise DataError(f"{name} must hold something to read", received=f"{text!r:.60} in {place}")
        if any("\ud800" <= character <= "\udfff" for character in text):  # half a pair: JSON may hold it, but it is no character
            raise DataError(f"{name} must be valid Unicode", received=f"{text!r:.60} in {place}")
    for text, start in answers:
        if start < 0 or not context.startswith(text, start):
            there = context.find(text)
            raise DataError(
                "an answer must stand in its context at answer_start",
                received=f"{text!r:.60} and {start}, where {context[max(start, 0) :]!r:.30} stands, in {place}",
                fix=f"it stands at {there}" if there >= 0 else "it stands nowhere in it; has the context been changed?",
            )
    return QuestionExample(
        id=identifier,
        place=place,
        question=question,
        context=context,
        answers=tuple(Answer(text, start) for text, start in answers),
        is_impossible=is_impossible,
    )
