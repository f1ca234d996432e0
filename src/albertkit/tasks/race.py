"""RACE (arXiv:1704.04683), questions on texts for Chinese pupils, and SWAG (arXiv:1808.05326), how a scene goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from albertkit.errors import DataError
from albertkit.tasks.choice import LETTERS, ChoiceExample, ChoiceTask, check_choices
from albertkit.tasks.tables import HUB_PREFIX, Row, list_of, read_lines, read_object, read_rows

__all__ = ["RaceTask", "SwagTask"]

_GROUPS = ("middle", "high")


@dataclass(frozen=True, kw_only=True)
class RaceTask(ChoiceTask):
    """RACE: ``race``, or the part of it that ``race-middle`` or ``race-high`` names."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Of all questions, and of both schools apart."""
        return ("accuracy", *(f"accuracy_{group}" for group in _GROUPS)) if self.name == "race" else ("accuracy",)

    def read(self, source: str | Path) -> list[ChoiceExample]:
        """Read RACE's folders (``train``, or ``train/middle``) of ``.txt`` files, a passage each, the same passages as lines of a
        ``.jsonl`` file, also with ``.xz`` or ``.gz`` behind, or the data set of the hub, a row a question.

        Raises:
            DataError: Names file, line and reason.
        """
        wanted = self.name.removeprefix("race").removeprefix("-")
        examples = [
            example for row in _read_passages(source) for example in _read_questions(row) if not wanted or example.group == wanted
        ]
        check_choices(examples, source)
        return examples


@dataclass(frozen=True, kw_only=True)
class SwagTask(ChoiceTask):
    """SWAG: four endings of a second sentence, after a first one; its ``.csv`` files, or the data set of the hub."""

    @property
    def other_columns(self) -> Mapping[str, tuple[str, ...]]:
        """The names in its files."""
        return {"context": ("sent1",), "question": ("sent2",), "choices": (), "label": ()}

    def _read_choices(self, row: Row) -> tuple[str, ...]:
        return tuple(row.text(f"ending{number}", self.columns) for number in range(4))


def _read_passages(source: str | Path) -> Iterator[Row]:
    if str(source).startswith(HUB_PREFIX):
        for name, rows in groupby(read_rows(source), key=lambda row: row.text("example_id", {})):
            yield _gather(name, list(rows))
    elif Path(source).is_dir():
        yield from map(_read_file, sorted(Path(source).rglob("*.txt")))
    else:
        yield from read_rows(source)


def _gather(name: str, rows: Sequence[Row]) -> Row:
    """A passage from rows of a question each, as the data set of the hub has them."""
    columns = {"questions": "question", "options": "options", "answers": "answer"}
    gathered = {many: [row.require(one, {}) for row in rows] for many, one in columns.items()}
    return Row(rows[0].place, {"id": name, "article": rows[0].text("article", {}), **gathered})


def _read_file(path: Path) -> Row:
    text = "\n".join(line for _, line in read_lines(path))
    return read_object(text, str(path), "a file of RACE must hold a JSON object")


def _read_questions(row: Row) -> Iterator[ChoiceExample]:
    """The questions on a passage."""
    article, name = row.text("article", {}), row.text("id", {})
    questions, options = (list_of(row.require(field, {}), row.place) for field in ("questions", "options"))
    answers = list_of(row.cells["answers"], row.place) if row.cells.get("answers") else [None] * len(questions)
    if not len(questions) == len(options) == len(answers):
        received = f"{len(questions)}, {len(options)} and {len(answers)} in {row.place}"
        raise DataError("questions, options and answers must be equally many", received=received)
    for number, (question, choices, answer) in enumerate(zip(questions, options, answers, strict=True)):
        place = f"{row.place}, question {number}"
        if not isinstance(question, str) or not isinstance(choices, list) or not all(isinstance(one, str) for one in choices):
            raise DataError("a question must be a text, and its options a list of texts", received=f"others in {place}")
        yield ChoiceExample(
            id=f"{name}-{number}",
            place=place,
            context=article,
            question=question,
            choices=tuple(choices),
            label=None if answer is None else _find(answer, len(choices), place),
            group=next((group for group in _GROUPS if name.startswith(group)), ""),
        )


def _find(answer: Any, number: int, place: str) -> int:
    """Number of the right option, from its letter."""
    if answer not in tuple(LETTERS[:number]):
        raise DataError(f"an answer must be a letter from A to {LETTERS[number - 1]}", received=f"{answer!r:.60} in {place}")
    return LETTERS.index(answer)
