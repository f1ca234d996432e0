"""Multiple choice: which of several answers to a question on a text, or which of its continuations, is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.errors import DataError
from albertkit.tasks.base import Example, Features, Outputs, Prediction, Scores, Task
from albertkit.tasks.features import encode, lay_out
from albertkit.tasks.metrics import accuracy
from albertkit.tasks.tables import Row, check_examples, list_of, read_rows
from albertkit.tasks.text import require_answers, softmax
from albertkit.tokenization import AlbertTokenizer

__all__ = ["LETTERS", "ChoiceExample", "ChoiceTask", "check_choices", "fill_in", "find_choice"]

_BLANK = "_"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""By which choices may be named, the first one first."""


@dataclass(frozen=True, kw_only=True)
class ChoiceExample(Example):
    """A question with its choices."""

    context: str
    """What is asked about, or goes on."""
    question: str | None = None
    """What is asked; a ``_`` in it stands for the choice."""
    choices: tuple[str, ...]
    """Two or more."""
    label: int | None = None
    """Number of the right one, from 0; ``None`` if not known."""
    group: str = ""
    """Whose score is told apart: ``middle`` or ``high`` of RACE."""


@dataclass(frozen=True, kw_only=True)
class ChoiceTask(Task[ChoiceExample]):
    """Chooses. Each choice is a row ``[CLS] context [SEP] question and choice [SEP]``, the rows of a question a unit, and softmax
    runs over them. Of a long row the context is cut, and of question and choice the end is kept (google-research/albert,
    race_utils.py).
    """

    max_question_length: int = 128
    """Most tokens of question and choice together; half of a row where that has no room for so many."""

    @property
    def head(self) -> Head:
        """A score for each row over the pooled output."""
        return "multiple_choice"

    @property
    def architecture(self) -> str:
        """``AlbertForMultipleChoice``."""
        return "AlbertForMultipleChoice"

    @property
    def problem_type(self) -> str | None:
        """None: the configuration has no word for it."""
        return None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Share of questions answered rightly."""
        return ("accuracy",)

    @property
    def other_columns(self) -> Mapping[str, tuple[str, ...]]:
        """Field → names of columns that serve as well, where there is but one of them."""
        return {
            "context": ("prompt", "article", "passage"),
            "question": (),
            "choices": ("options", "endings"),
            "label": ("answer",),
        }

    def read(self, source: str | Path) -> list[ChoiceExample]:
        """Read a table (:mod:`albertkit.tasks.tables`) with the columns ``context``, perhaps ``question``, the choices in one
        column as a list or in ``choice0``, ``choice1`` …, and ``label``: the number of the right one from 0, its letter, or the
        choice itself.

        Raises:
            DataError: If it cannot be read, a row lacks something, ids repeat, or not all have equally many choices.
        """
        examples = [self._read_row(number, row) for number, row in enumerate(read_rows(source))]
        check_choices(examples, source)
        return examples

    def _read_row(self, number: int, row: Row) -> ChoiceExample:
        """An example from the row of that number, from 0."""
        others = self.other_columns
        id_column = row.find("id", self.columns)
        label_column = row.find("label", self.columns, *others["label"])
        has_question = row.find("question", self.columns, *others["question"]) is not None
        choices = self._read_choices(row)
        value = None if label_column is None else row.cells[label_column]
        return ChoiceExample(
            id=str(number if id_column is None else row.cells[id_column]),
            place=row.place,
            context=row.text("context", self.columns, *others["context"]),
            question=row.text("question", self.columns, *others["question"]) if has_question else None,
            choices=choices,
            label=None if value in (None, "") else find_choice(value, choices, row.place),
        )

    def _read_choices(self, row: Row) -> tuple[str, ...]:
        """The choices of a row, from one column or from several."""
        if row.find("choices", self.columns, *self.other_columns["choices"]) is not None:
            found = list_of(row.require("choices", self.columns, *self.other_columns["choices"]), row.place)
            if not all(isinstance(choice, str) for choice in found):
                raise DataError("choices must be texts", received=f"{found!r:.60} in {row.place}")
            return tuple(found)
        numbered = (f"choice{number}" for number in count())
        there = list(takewhile(lambda name: row.find(name, self.columns), numbered))
        if not there:
            raise row.lacks("choices, or choice0 and so on", fix="name it with columns.choices or columns.choice0 …")
        return tuple(row.text(name, self.columns) for name in there)

    def with_labels_of(self, examples: Sequence[ChoiceExample]) -> ChoiceTask:
        """The task as it is: choices have no names."""
        return self

    def featurize(self, examples: Sequence[ChoiceExample], tokenizer: AlbertTokenizer) -> Features:
        """A unit for each example; counts examples with a row ``truncated``.

        Raises:
            DataError: If not all have equally many choices.
        """
        room = self.max_seq_length - tokenizer.num_special_tokens_to_add(pair=True)
        longest = self.max_question_length if self.max_question_length < room else room // 2
        _check_numbers(examples)
        ids = encode(tokenizer, (text for example in examples for text in (example.context, *_seconds(example))))
        rows, types, truncated = [], [], 0
        for example in examples:
            is_cut = False
            for second in _seconds(example):
                kept = ids[second][-longest:]
                context = ids[example.context][: room - len(kept)]
                rows.append(tokenizer.build_inputs_with_special_tokens(context, kept))
                types.append(tokenizer.create_token_type_ids_from_sequences(context, kept))
                is_cut |= len(context) + len(kept) < len(ids[example.context]) + len(ids[second])
            truncated += is_cut
        targets = {"labels": _targets(examples)} if examples[0].label is not None else {}
        number = len(examples[0].choices)
        return lay_out(rows, types, rows_per_unit=number, targets=targets, counts={"truncated": truncated})

    def decode(self, examples: Sequence[ChoiceExample], features: Features, outputs: Outputs) -> list[Prediction]:
        """``label`` (the choice's number), ``choice``, its ``score``, and the ``probabilities`` of all in order."""
        logits = outputs["logits"].astype(np.float64).reshape(len(examples), -1)
        answers: list[Prediction] = []
        for example, row in zip(examples, softmax(logits), strict=True):
            best = int(row.argmax())
            answer = {"id": example.id, "label": best, "choice": example.choices[best], "score": float(row[best])}
            answers.append({**answer, "probabilities": row.tolist()})
        return answers

    def score(self, examples: Sequence[ChoiceExample], predictions: Sequence[Prediction]) -> Scores:
        """Accuracy of all and, where examples have groups, of each: ``accuracy_middle`` …

        Raises:
            DataError: If the examples have no right answers.
        """
        right = _targets(examples)
        given = np.array([prediction["label"] for prediction in predictions])
        values = {"accuracy": accuracy(right, given)}
        groups = np.array([example.group for example in examples])
        for group in sorted(set(groups.tolist()) - {""}, reverse=True):
            values[f"accuracy_{group}"] = accuracy(right[groups == group], given[groups == group])
        return Scores(values, "accuracy", len(examples), float(np.bincount(right).max() / len(right)))

    def errors(self, examples: Sequence[ChoiceExample], predictions: Sequence[Prediction]) -> Iterator[dict[str, Any]]:
        """The wrong answers, the surest first."""
        _targets(examples)
        pairs = [pair for pair in zip(examples, predictions, strict=True) if pair[0].label != pair[1]["label"]]
        for example, prediction in sorted(pairs, key=lambda pair: -pair[1]["score"]):
            asked = {"context": example.context, "question": example.question, "choices": list(example.choices)}
            yield {"place": example.place, **asked, "right": example.label, **prediction}


def fill_in(question: str | None, choice: str) -> str:
    """The second segment of a row: the question with the choice in place of its ``_``, or behind it where it has none.

    Args:
        question: ``None``: the choice stands alone.
        choice: One of its choices.
    """
    if question is None:
        return choice
    return question.replace(_BLANK, choice) if _BLANK in question else f"{question} {choice}"


def find_choice(value: Any, choices: Sequence[str], place: str) -> int:
    """Number of the right choice, from its number, its letter or its text.

    Raises:
        DataError: If it is none of them.
    """
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())  # tables may hold 1.0 for 1
    readings = {int(value)} if is_whole and not isinstance(value, bool) else set()
    if isinstance(value, str):
        readings |= {number for number, choice in enumerate(choices) if choice == value}
        readings |= {int(value)} if value.isdecimal() else {LETTERS.index(value)} if value in tuple(LETTERS) else set()
    right = [number for number in readings if 0 <= number < len(choices)]
    if len(right) != 1:
        received = f"{value!r:.60}, which may mean several," if right else f"{value!r:.60}"
        rule = f"a label must be a number from 0 to {len(choices) - 1}, a letter or one of the choices"
        raise DataError(rule, received=f"{received} in {place}")
    return right[0]


def check_choices(examples: Sequence[ChoiceExample], source: str | Path) -> None:
    """Be sure that examples of a source are as they should be.

    Args:
        examples: All of them.
        source: Where they come from.

    Raises:
        DataError: As :func:`~albertkit.tasks.tables.check_examples`, and if not all have equally many choices.
    """
    check_examples(examples, source, lambda example: example.label is not None)
    _check_numbers(examples)


def _check_numbers(examples: Sequence[ChoiceExample]) -> None:
    wanted = len(examples[0].choices)
    for example in examples:
        number = len(example.choices)
        if number < 2:
            raise DataError("choices must be two or more", received=f"{number} in {example.place}")
        if number != wanted:
            received = f"{wanted} in {examples[0].place} and {number} in {example.place}"
            raise DataError("all examples must have equally many choices", received=received)


def _seconds(example: ChoiceExample) -> list[str]:
    return [fill_in(example.question, choice) for choice in example.choices]


def _targets(examples: Sequence[ChoiceExample]) -> np.ndarray:
    """Numbers of the right choices ``[N]``."""
    require_answers(examples, [example.label for example in examples])
    return np.array([example.label for example in examples], np.int64)
