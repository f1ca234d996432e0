"""What every task has in common: examples, their features, predictions and scores.

A task goes through five steps: ``read`` files to examples, ``featurize`` them, and, after the model, ``decode`` its scores to
predictions, ``score`` these, and name the ``errors``.

Shapes: T tokens of all rows end to end · R rows, what the model reads at once · U units, what is trained on: the rows of one
decision (a text, a window, the choices of a question).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.tokenization import AlbertTokenizer

__all__ = ["Example", "Features", "Outputs", "Prediction", "Scores", "Task"]

Outputs = Mapping[str, np.ndarray]
"""Of all rows of some features, in order: ``logits`` ``[R, C]`` of whole rows or ``[T, C]`` of tokens; of the answerability head
``start_top_log_probs`` ``[R, K]`` and the others of :class:`~albertkit.outputs.QuestionAnsweringWithAnswerabilityOutput`."""

Prediction = dict[str, Any]
"""``id``, and what the task says: ``label``, ``score``, ``probabilities``, ``tags``, ``answer`` … as JSON takes it."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One thing to decide; each kind of task adds its fields."""

    id: str
    """Names it in predictions: as in the file, or its number there, from 0."""
    place: str
    """Where it stands, for messages: ``dev.tsv, line 12``."""


E = TypeVar("E", bound=Example)


@dataclass(frozen=True, eq=False)
class Features:
    """Examples as the model reads them.

    Attributes:
        input_ids: ``[T]`` int32, rows end to end.
        token_type_ids: ``[T]`` int8.
        boundaries: ``[R + 1]`` int64: row r is ``input_ids[boundaries[r]:boundaries[r + 1]]``.
        units: ``[U + 1]`` int64: unit u is the rows from ``units[u]`` to ``units[u + 1]``.
        owners: ``[U]`` int32: the example of each unit, rising.
        targets: Argument of the model → the right answers: ``[U]`` or ``[U, C]``, ``[T]`` for the labels of tokens; empty
            where examples have none.
        places: What ``decode`` needs beside: an array for each name, ``[R]`` or ``[T, …]``.
        counts: What happened on the way and may be worth knowing: ``truncated`` examples, ``answers cut off`` and the like.
    """

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    boundaries: np.ndarray
    units: np.ndarray
    owners: np.ndarray
    targets: dict[str, np.ndarray]
    places: dict[str, np.ndarray] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def num_units(self) -> int:
        """U."""
        return len(self.owners)

    @property
    def lengths(self) -> np.ndarray:
        """``[R]`` tokens of each row."""
        return np.diff(self.boundaries)


@dataclass(frozen=True)
class Scores:
    """Scores of a task on some examples."""

    values: dict[str, float]
    """Metric → value, as its reference gives it: accuracies and F1 of tagging from 0 to 1, those of SQuAD from 0 to 100."""
    primary: str
    """The one that decides which checkpoint is best; more is better."""
    num_examples: int
    """Number of examples scored."""
    baseline: float | None = None
    """``primary`` of who always gives the commonest answer, where there is such a one."""
    details: dict[str, Any] = field(default_factory=dict)
    """Tables beside: ``confusion`` (a list of rows, right label by given), ``labels``, per-entity scores, ``best_threshold`` …"""

    @property
    def main(self) -> float:
        """Value of the primary metric."""
        return self.values[self.primary]


@dataclass(frozen=True, kw_only=True)
class Task(ABC, Generic[E]):
    """A task: how its files are read, how the model reads its examples, and how answers are scored. Its fields are saved with
    every fine-tuned model (:mod:`albertkit.tasks.registry`), so that evaluation asks nothing twice.
    """

    name: str
    """``sst-2``, or the form of one's own table: ``text-classification`` …"""
    max_seq_length: int = 512
    """Most tokens of a row."""
    labels: tuple[str, ...] | None = None
    """Names of the classes by number; ``None`` until :meth:`with_labels_of`, or where there are none."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """What a column of one's own table holds (``text``, ``label``, ``question`` …) → its name there, where that is another."""

    @property
    @abstractmethod
    def head(self) -> Head:
        """The head that answers."""

    @property
    @abstractmethod
    def architecture(self) -> str:
        """The class of model that trains: ``AlbertForSequenceClassification`` …"""

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Names of the scores; the first is the primary one."""

    @property
    @abstractmethod
    def problem_type(self) -> str | None:
        """Of the model's configuration: ``regression``, ``single_label_classification``, ``multi_label_classification``."""

    @abstractmethod
    def read(self, source: str | Path) -> list[E]:
        """Read and check the examples of a file.

        Raises:
            DataError: Names file, line and reason: a row cut short, a duplicate id, an empty file, another encoding …
        """

    @abstractmethod
    def with_labels_of(self, examples: Sequence[E]) -> Task[E]:
        """The task with the labels found in training examples, where it does not know them; otherwise as it is."""

    @abstractmethod
    def featurize(self, examples: Sequence[E], tokenizer: AlbertTokenizer) -> Features:
        """Tokenize examples and lay them out. Examples of a part may be featurized alone and joined
        (:func:`albertkit.tasks.features.join`).

        Raises:
            DataError: If a label is none of the task's: file, line, and the labels there are.
        """

    @abstractmethod
    def decode(self, examples: Sequence[E], features: Features, outputs: Outputs) -> list[Prediction]:
        """Answers, one for each example, from the model's scores."""

    @abstractmethod
    def score(self, examples: Sequence[E], predictions: Sequence[Prediction]) -> Scores:
        """Compare answers with the right ones.

        Raises:
            DataError: If the examples have no right answers.
        """

    @abstractmethod
    def errors(self, examples: Sequence[E], predictions: Sequence[Prediction]) -> Iterator[dict[str, Any]]:
        """The examples that were answered wrongly, with text, right and given answer, for reading."""
