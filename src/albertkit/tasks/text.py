"""Single texts and pairs: one class of several, several labels at once, or a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.errors import DataError, suggest
from albertkit.tasks import metrics
from albertkit.tasks.base import Example, Features, Outputs, Prediction, Scores, Task
from albertkit.tasks.features import encode, lay_out
from albertkit.tasks.tables import Row, check_examples, list_of, read_rows
from albertkit.tokenization import AlbertTokenizer
from albertkit.tokenization.truncation import list_windows

__all__ = ["Problem", "TextExample", "TextTask", "require_answers", "softmax"]

Problem = Literal["single_label_classification", "multi_label_classification", "regression"]
"""What is decided, by the name that a model's configuration has for it."""

_LIKELY = 0.5
"""A label among several is given from this probability on."""


@dataclass(frozen=True, kw_only=True)
class TextExample(Example):
    """A text or a pair."""

    text: str
    """The first text."""
    text_pair: str | None = None
    """The second one of a pair."""
    label: str | float | tuple[str, ...] | None = None
    """Right answer: a label, a number for a regression, labels where there may be several; ``None`` if not known."""


@dataclass(frozen=True, kw_only=True)
class TextTask(Task[TextExample]):
    """Decides on texts or pairs of texts, ``[CLS] text [SEP]`` or ``[CLS] text [SEP] text_pair [SEP]``; of what is too long the
    longer text is cut first, as ``truncation=True`` of the tokenizer does.
    """

    problem: Problem = "single_label_classification"
    """What is decided."""

    @property
    def head(self) -> Head:
        """The classifier over the pooled output, or a regression there."""
        return "sequence_classification"

    @property
    def architecture(self) -> str:
        """``AlbertForSequenceClassification``."""
        return "AlbertForSequenceClassification"

    @property
    def problem_type(self) -> str | None:
        """The problem."""
        return self.problem

    @property
    def metrics(self) -> tuple[str, ...]:
        """Of one's own tables."""
        return {
            "single_label_classification": ("accuracy", "macro_f1"),
            "multi_label_classification": ("micro_f1", "macro_f1"),
            "regression": ("pearson", "spearman", "mse"),
        }[self.problem]

    @property
    def other_columns(self) -> Mapping[str, tuple[str, ...]]:
        """Field → names of columns that serve as well, where there is but one of them."""
        return {
            "text": ("sentence", "sentence1", "premise"),
            "text_pair": ("sentence2", "hypothesis"),
            "label": ("labels", "gold_label", "score"),
        }

    def read(self, source: str | Path) -> list[TextExample]:
        """Read a table (:mod:`albertkit.tasks.tables`): a column of texts, if there are pairs another one, and the labels.

        Raises:
            DataError: If it cannot be read, a row lacks something, ids repeat, or only some rows have labels or a second text.
        """
        examples = [self._read_row(number, row) for number, row in enumerate(self._rows(source))]
        check_examples(examples, source, lambda example: example.label is not None)
        odd = [example for example in examples if (example.text_pair is None) != (examples[0].text_pair is None)]
        if odd:
            raise DataError("all examples must be pairs, or none", received=f"{odd[0].place} unlike {examples[0].place}")
        return examples

    def _rows(self, source: str | Path) -> Iterator[Row]:
        return read_rows(source)

    def _read_row(self, number: int, row: Row) -> TextExample:
        """An example from the row of that number, from 0."""
        others = self.other_columns
        is_pair = row.find("text_pair", self.columns, *others["text_pair"]) is not None
        id_column = row.find("id", self.columns, *others.get("id", ()))
        label_column = row.find("label", self.columns, *others["label"])
        value = None if label_column is None else row.cells[label_column]
        return TextExample(
            id=str(number if id_column is None else row.cells[id_column]),
            place=row.place,
            text=row.text("text", self.columns, *others["text"]),
            text_pair=row.text("text_pair", self.columns, *others["text_pair"]) if is_pair else None,
            label=None if value is None else self._read_label(value, row.place),
        )

    def _read_label(self, value: Any, place: str) -> str | float | tuple[str, ...] | None:
        """The label in a cell; an empty one has none, or no labels where there may be several."""
        if self.problem == "multi_label_classification":
            return tuple(dict.fromkeys(_name(part, place) for part in list_of(value, place)))
        if value == "":
            return None
        return _number(value, place) if self.problem == "regression" else _name(value, place)

    def with_labels_of(self, examples: Sequence[TextExample]) -> TextTask:
        """The task with the labels of training examples, sorted: as numbers if all are whole numbers.

        Raises:
            DataError: If examples have no labels, or all the same one.
        """
        if self.labels is not None or self.problem == "regression":
            return self
        require_answers(examples, [example.label for example in examples])
        found = {label for example in examples for label in _labels_of(example)}
        if len(found) < (least := 2 if self.problem == "single_label_classification" else 1):
            rule = f"training examples must have {'two labels' if least == 2 else 'a label'} or more"
            raise DataError(rule, received=f"{', '.join(found) or 'none'} from {examples[0].place} on")
        are_numbers = all(label.removeprefix("-").isdecimal() for label in found)
        return replace(self, labels=tuple(sorted(found, key=int if are_numbers else None)))

    def featurize(self, examples: Sequence[TextExample], tokenizer: AlbertTokenizer) -> Features:
        """A row for each example; counts those ``truncated``.

        Raises:
            DataError: If a label is none of the task's: file, line, and the labels there are.
        """
        texts = [text for example in examples for text in (example.text, example.text_pair) if text is not None]
        ids = encode(tokenizer, texts)
        rows, types, truncated = [], [], 0
        for example in examples:
            sides = [ids[example.text]] if example.text_pair is None else [ids[example.text], ids[example.text_pair]]
            room = self.max_seq_length - tokenizer.num_special_tokens_to_add(pair=len(sides) == 2)
            (window,) = list_windows(tuple(map(len, sides)), room, "longest_first")
            kept = [side[first:stop] for side, (first, stop) in zip(sides, window, strict=True)]
            rows.append(tokenizer.build_inputs_with_special_tokens(*kept))
            types.append(tokenizer.create_token_type_ids_from_sequences(*kept))
            truncated += sum(map(len, kept)) < sum(map(len, sides))
        targets = {"labels": self._targets(examples)} if examples and examples[0].label is not None else {}
        return lay_out(rows, types, targets=targets, counts={"truncated": truncated})

    def decode(self, examples: Sequence[TextExample], features: Features, outputs: Outputs) -> list[Prediction]:
        """``label`` with its ``score`` and the ``probabilities`` of all; ``labels`` with ``probabilities``; or, of a regression,
        the ``score`` alone.
        """
        logits = outputs["logits"].astype(np.float64)
        ids = [example.id for example in examples]
        if self.problem == "regression":
            return [{"id": name, "score": score} for name, score in zip(ids, logits[:, 0].tolist(), strict=True)]
        many = self.problem == "multi_label_classification"
        scores = 1 / (1 + np.exp(-logits)) if many else softmax(logits)
        labels = self._require_labels()
        answers: list[Prediction] = []
        for name, row in zip(ids, scores.tolist(), strict=True):
            probabilities = dict(zip(labels, row, strict=True))
            if many:
                given = [label for label, probability in probabilities.items() if probability >= _LIKELY]
                answers.append({"id": name, "labels": given, "probabilities": probabilities})
            else:
                best = max(probabilities, key=probabilities.__getitem__)
                answers.append({"id": name, "label": best, "score": probabilities[best], "probabilities": probabilities})
        return answers

    def score(self, examples: Sequence[TextExample], predictions: Sequence[Prediction]) -> Scores:
        """The metrics, beside what the commonest answer alone would have; ``details`` has ``confusion`` and ``labels``.

        Raises:
            DataError: If the examples have no right answers, or one that is none of the task's labels.
        """
        right = self._targets(examples)
        given = self._given(predictions)
        values = {name: self._measure(name, right, given) for name in self.metrics}
        details: dict[str, Any] = {}
        baseline = None
        if self.problem != "regression":
            answers, numbers = np.unique(right, axis=0, return_counts=True)
            always = np.broadcast_to(answers[numbers.argmax()], right.shape)
            baseline = self._measure(self.metrics[0], right, always)
            details["labels"] = list(self._require_labels())
        if self.problem == "single_label_classification":
            details["confusion"] = metrics.confusion(right, given, len(details["labels"])).tolist()
        return Scores(values, self.metrics[0], len(examples), baseline, details)

    def errors(self, examples: Sequence[TextExample], predictions: Sequence[Prediction]) -> Iterator[dict[str, Any]]:
        """The wrong answers, the surest first; of a regression those further off than the mean, the furthest first."""
        right, given = self._targets(examples), self._given(predictions)
        if self.problem == "regression":
            badness = np.abs(right - given)
            wrong = badness > badness.mean()
        else:
            badness = np.array([max(prediction["probabilities"].values()) for prediction in predictions])
            wrong = (right != given).reshape(len(right), -1).any(axis=1)
        for number in sorted(np.flatnonzero(wrong).tolist(), key=lambda number: -badness[number]):
            example, prediction = examples[number], predictions[number]
            texts = {"text": example.text} | ({} if example.text_pair is None else {"text_pair": example.text_pair})
            yield {"place": example.place, **texts, "right": example.label, **prediction}

    # ------------------------------------------------------------ right and given

    def _require_labels(self) -> tuple[str, ...]:
        if self.labels is None:
            raise DataError("a task must know its labels", fix="take them from training examples with with_labels_of")
        return self.labels

    def _targets(self, examples: Sequence[TextExample]) -> np.ndarray:
        """Right answers: ``[N]`` int64 of classes, ``[N]`` float32 of numbers, ``[N, C]`` float32 of labels."""
        require_answers(examples, [example.label for example in examples])
        if self.problem == "regression":
            return np.array([example.label for example in examples], np.float32)
        numbers = {label: number for number, label in enumerate(self._require_labels())}
        for example in examples:
            for label in _labels_of(example):
                if label not in numbers:
                    raise DataError(
                        f"a label must be one of {', '.join(numbers):.200}",
                        received=f"{label!r} in {example.place}",
                        fix=suggest(label, numbers),
                    )
        return self._number([_labels_of(example) for example in examples])

    def _given(self, predictions: Sequence[Prediction]) -> np.ndarray:
        """The same of answers given."""
        if self.problem == "regression":
            return np.array([prediction["score"] for prediction in predictions], np.float32)
        many = self.problem == "multi_label_classification"
        return self._number([prediction["labels"] if many else [prediction["label"]] for prediction in predictions])

    def _number(self, answers: Sequence[Sequence[str]]) -> np.ndarray:
        """Numbers ``[N]`` of classes, or rows ``[N, C]`` with 1 at the labels."""
        numbers = {label: number for number, label in enumerate(self._require_labels())}
        if self.problem == "single_label_classification":
            return np.array([numbers[label] for (label,) in answers], np.int64)
        rows = np.zeros((len(answers), len(numbers)), np.float32)
        for row, labels in zip(rows, answers, strict=True):
            row[[numbers[label] for label in labels]] = 1
        return rows

    def _measure(self, name: str, right: np.ndarray, given: np.ndarray) -> float:
        if name in ("macro_f1", "micro_f1") and right.ndim == 1:
            there = np.union1d(right, given)  # a class that neither side has is none that was missed, as in scikit-learn
            right, given = right[:, None] == there, given[:, None] == there
        return _METRICS[name](right, given)


def require_answers(examples: Sequence[Example], answers: Sequence[object | None]) -> None:
    """Be sure that examples have right answers.

    Args:
        examples: At least one.
        answers: Of each.

    Raises:
        DataError: If one has none: file and line.
    """
    for example, answer in zip(examples, answers, strict=True):
        if answer is None:
            fix = "a table has them in its column label, or in the one that columns.label names"
            raise DataError("examples must have right answers", received=f"none in {example.place}", fix=fix)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    scores = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(scores / scores.sum(axis=-1, keepdims=True))


def _labels_of(example: TextExample) -> Sequence[str]:
    """The labels of an example that has one or several."""
    label = example.label
    return label if isinstance(label, tuple) else [str(label)]


def _name(value: Any, place: str) -> str:
    """A label as a name, without white space around it: tables may hold numbers, some of them 1.0 for 1."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int) and (name := str(value).strip()):
        return name
    raise DataError("a label must be a name or a whole number", received=f"{value!r:.60} in {place}")


def _number(value: Any, place: str) -> float:
    """A finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError("a score must be a number", received=f"{value!r:.60} in {place}")
    return number


_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": metrics.accuracy,
    "f1": metrics.f1,
    "macro_f1": metrics.macro_f1,
    "matthews_correlation": metrics.matthews,
    "micro_f1": metrics.micro_f1,
    "mse": metrics.mean_squared_error,
    "pearson": metrics.pearson,
    "spearman": metrics.spearman,
}
