"""The tasks of GLUE (arXiv:1804.07461), from their official files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from albertkit.errors import DataError
from albertkit.tasks.tables import HUB_PREFIX, Row, read_lines, read_rows, read_separated
from albertkit.tasks.text import TextExample, TextTask

__all__ = ["GLUE", "GlueTask"]


class _Rules(NamedTuple):
    """What differs from task to task."""

    text: tuple[str, ...]
    """Columns that may hold the first text: of the official files, and of the data set on the hub."""
    text_pair: tuple[str, ...] = ()
    label: tuple[str, ...] = ("label",)
    labels: tuple[str, ...] | None = ("0", "1")
    """In Google's order; ``None``: a score from 0 to 5."""
    metrics: tuple[str, ...] = ("accuracy",)


_SENTENCES = (("sentence1",), ("sentence2",))
_ENTAILMENT = ("entailment", "not_entailment")
_MNLI = _Rules(
    ("sentence1", "premise", "Premise"),
    ("sentence2", "hypothesis", "Hypothesis"),
    ("gold_label", "label", "Label"),
    ("contradiction", "entailment", "neutral"),
)

_RULES = {
    "cola": _Rules(("sentence",), metrics=("matthews_correlation", "accuracy")),
    "sst-2": _Rules(("sentence",)),
    "mrpc": _Rules(("#1 String", "sentence1"), ("#2 String", "sentence2"), ("Quality", "label"), ("0", "1"), ("accuracy", "f1")),
    "sts-b": _Rules(*_SENTENCES, ("score", "label"), None, ("pearson", "spearman", "mse")),
    "qqp": _Rules(("question1",), ("question2",), ("is_duplicate", "label"), ("0", "1"), ("accuracy", "f1")),
    "mnli": _MNLI,
    "mnli-mm": _MNLI,
    "qnli": _Rules(("question",), ("sentence",), ("label",), _ENTAILMENT),
    "rte": _Rules(*_SENTENCES, ("label",), _ENTAILMENT),
    "wnli": _Rules(*_SENTENCES),
    "ax": _MNLI._replace(metrics=("matthews_correlation", "accuracy")),
}

_IDS = ("index", "id", "idx")

_NAMES_ON_THE_HUB = {
    "mrpc": {"not_equivalent": "0", "equivalent": "1"},
    "qqp": {"not_duplicate": "0", "duplicate": "1"},
    "cola": {"unacceptable": "0", "acceptable": "1"},
    "sst-2": {"negative": "0", "positive": "1"},
    "wnli": {"not_entailment": "0", "entailment": "1"},
}
"""Label there → label in the official files."""

_PUBLISHED = re.compile(r"\.(tsv|txt)(\.xz|\.gz)?$")

_LARGEST_SCORE = 5.0

_COLA_COLUMNS = ("source", "label", "mark", "sentence")
"""Of CoLA's files, which do not name them, but for its test."""


@dataclass(frozen=True, kw_only=True)
class GlueTask(TextTask):
    """One of the tasks of GLUE; ``mnli-mm`` is ``mnli`` with the mismatched development set, ``ax`` the diagnostic one."""

    @classmethod
    def named(cls, name: str) -> GlueTask:
        """The task of a name in :data:`GLUE`, with its labels."""
        labels = _RULES[name].labels
        return cls(name=name, labels=labels, problem="regression" if labels is None else "single_label_classification")

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those GLUE asks for; the first is the one that the paper's table reports."""
        return _RULES[self.name].metrics

    @property
    def other_columns(self) -> Mapping[str, tuple[str, ...]]:
        """The names in the official files and on the hub."""
        rules = _RULES[self.name]
        return {"id": _IDS, "text": rules.text, "text_pair": rules.text_pair, "label": rules.label}

    def read(self, source: str | Path) -> list[TextExample]:
        """Read a file of the task as it is published, ``.tsv`` or MRPC's ``.txt``, also with ``.xz`` or ``.gz`` behind; any
        other table, or the data set of the hub, by the names of its columns.

        Raises:
            DataError: Names file, line and reason: a row cut short, an unknown label, a score beyond 0 to 5, a duplicate id …
        """
        examples = super().read(source)
        if self.problem == "regression":
            for example in examples:
                if isinstance(example.label, float) and not 0 <= example.label <= _LARGEST_SCORE:
                    raise DataError("a score must lie from 0 to 5", received=f"{example.label} in {example.place}")
        elif examples[0].label is not None:
            self._targets(examples)
        pairs = _RULES[self.name].text_pair
        if bool(pairs) != (examples[0].text_pair is not None):
            received = f"{'a single text' if pairs else 'a pair'} in {examples[0].place}"
            raise DataError(f"examples of {self.name} must be {'pairs' if pairs else 'single texts'}", received=received)
        return examples

    def _rows(self, source: str | Path) -> Iterator[Row]:
        if str(source).startswith(HUB_PREFIX) or not _PUBLISHED.search(str(source)):
            return read_rows(source)
        path = Path(source)
        columns = _COLA_COLUMNS if self.name == "cola" and _is_bare(path) else None
        return read_separated(path, columns=columns, leave_out_short=self.name == "qqp")  # as the published train.tsv has some

    def _read_row(self, number: int, row: Row) -> TextExample:
        example = super()._read_row(number, row)
        if self.problem == "regression" and example.label == -1 and row.place.startswith(HUB_PREFIX):
            return replace(example, label=None)  # so test sets on the hub say that there is none
        known = _NAMES_ON_THE_HUB.get(self.name, {})
        return replace(example, label=known[str(example.label)]) if example.label in known else example


def _is_bare(path: Path) -> bool:
    """Whether a file of CoLA begins with an example, not with the names of columns."""
    _, first = next(read_lines(path), (1, ""))
    return "sentence" not in first.split("\t")


GLUE = tuple(_RULES)
"""Names of the tasks."""
