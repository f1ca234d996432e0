"""Tagging: a tag for every word, scored by the entities that the tags make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.errors import DataError, InputError, suggest
from albertkit.tasks import metrics
from albertkit.tasks.base import Features, Outputs, Prediction, Scores, Task
from albertkit.tasks.conll import TaggedExample, read_sentences
from albertkit.tasks.entities import OUTSIDE, PREFIXES, Entity, find_entities, score_entities, split_tag
from albertkit.tasks.features import encode, lay_out
from albertkit.tokenization import AlbertTokenizer
from albertkit.tokenization.truncation import list_windows

__all__ = ["TaggedExample", "TaggingTask"]

_IGNORED = -100
"""Label of tokens where no word is tagged: losses pass over it."""


@dataclass(frozen=True, kw_only=True)
class TaggingTask(Task[TaggedExample]):
    """Tags the words of sentences: BIO (IOB2), BIOES, or IOB1, which is learnt as it stands and scored as it is meant.

    Words are tokenized one by one and tagged at their first piece; one of which the tokenizer leaves nothing becomes ``<unk>``.

    Raises:
        InputError: If rows have hardly room for a word.
    """

    def __post_init__(self) -> None:
        if self.max_seq_length < 8:
            raise InputError("max_seq_length must be at least 8", received=self.max_seq_length)

    @property
    def head(self) -> Head:
        """The classifier of every token."""
        return "token_classification"

    @property
    def architecture(self) -> str:
        """``AlbertForTokenClassification``."""
        return "AlbertForTokenClassification"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Of whole entities, and the share of words with the right tag."""
        return "f1", "precision", "recall", "accuracy"

    @property
    def problem_type(self) -> str | None:
        """None: the configuration has no word for it."""
        return None

    def read(self, source: str | Path) -> list[TaggedExample]:
        """See :func:`~albertkit.tasks.conll.read_sentences`."""
        return read_sentences(source, self.columns)

    def with_labels_of(self, examples: Sequence[TaggedExample]) -> TaggingTask:
        """The task with the tags of training examples: ``O``, and for each type ``B``, ``I``, and other prefixes if any type has
        them.

        Raises:
            DataError: If examples have no tags, or none but ``O``.
        """
        if self.labels is not None:
            return self
        found = {tag for example in examples for tag in _require_tags(example)} - {OUTSIDE}
        if not found:
            raise DataError("training examples must have an entity", received=f"{OUTSIDE} for every word")
        prefixes = [prefix for prefix in PREFIXES if prefix in {*"BI", *(tag[0] for tag in found)}]
        types = sorted({tag[1:] for tag in found})
        return replace(self, labels=(OUTSIDE, *(prefix + ending for ending in types for prefix in prefixes)))

    # ------------------------------------------------------- to and from rows

    def featurize(self, examples: Sequence[TaggedExample], tokenizer: AlbertTokenizer) -> Features:
        """See :class:`~albertkit.tasks.base.Task`. A sentence too long for a row becomes windows, a unit each, that share half
        their tokens with the next; a word is tagged in the window that shows most around it.

        ``targets``: ``labels`` ``[T]``, -100 but at words. ``places``: ``is_word`` ``[T]``, where the words are tagged, those of
        a sentence in order. ``counts``: ``sentences in windows`` and ``entities without B``, or ``S``, at their first word.
        """
        ids = encode(tokenizer, chain.from_iterable(example.words for example in examples))
        room = self.max_seq_length - tokenizer.num_special_tokens_to_add()
        rows: list[list[int]] = []
        owners: list[int] = []
        marks: list[np.ndarray] = []
        in_windows = 0
        for number, example in enumerate(examples):
            words = [ids[word][:room] or [tokenizer.unk_token_id] for word in example.words]
            pieces = list(chain.from_iterable(words))
            is_first = np.zeros(len(pieces), bool)
            is_first[np.cumsum([0, *map(len, words[:-1])])] = True
            spans = list(_cut(len(pieces), room))
            in_windows += len(spans) > 1
            for start, stop, first, last in spans:
                rows.append(tokenizer.build_inputs_with_special_tokens(pieces[start:stop]))
                owners.append(number)
                mark = np.zeros(len(rows[-1]), bool)
                mark[1 + first - start : 1 + last - start] = is_first[first:last]  # behind [CLS]
                marks.append(mark)
        is_word = np.concatenate(marks)
        counts, targets = {"sentences in windows": in_windows}, {}
        if examples[0].tags is not None:
            labels = np.full(len(is_word), _IGNORED, np.int64)
            labels[is_word] = self._number(examples)
            targets = {"labels": labels}
            counts["entities without B"] = sum(map(_count_without_start, examples))
        types = [[0] * len(row) for row in rows]
        return lay_out(rows, types, owners=owners, targets=targets, places={"is_word": is_word}, counts=counts)

    def decode(self, examples: Sequence[TaggedExample], features: Features, outputs: Outputs) -> list[Prediction]:
        """``tags``, one for each word."""
        labels = self._require_labels()
        given = iter(outputs["logits"][features.places["is_word"]].argmax(axis=-1).tolist())
        return [{"id": example.id, "tags": [labels[next(given)] for _word in example.words]} for example in examples]

    # ----------------------------------------------------------------- scores

    def score(self, examples: Sequence[TaggedExample], predictions: Sequence[Prediction]) -> Scores:
        """The metrics, entities as seqeval and ``conlleval`` count them; who never finds one has an F1 of 0.

        ``details``: ``entities``, the scores of each type; ``strict``, those of all by seqeval's strict mode; ``labels`` and
        ``confusion`` of the words' tags; ``accuracy_of_always_O``.

        Raises:
            DataError: If examples have no tags, or one that is none of the task's.
        """
        labels = self._require_labels()
        right = self._number(examples)
        given = np.array([labels.index(tag) for prediction in predictions for tag in prediction["tags"]])
        tags = [_require_tags(example) for example in examples], [prediction["tags"] for prediction in predictions]
        entities, by_type = score_entities(*tags)
        strict, _ = score_entities(*tags, "IOBES" if any(label[0] in "ES" for label in labels) else "IOB2")
        values = entities._asdict() | {"accuracy": metrics.accuracy(right, given)}
        details = {
            "entities": {name: score._asdict() for name, score in by_type.items()},
            "strict": strict._asdict(),
            "labels": list(labels),
            "confusion": metrics.confusion(right, given, len(labels)).tolist(),
            "accuracy_of_always_O": metrics.accuracy(right, np.full_like(right, labels.index(OUTSIDE))),
        }
        return Scores({name: values[name] for name in self.metrics}, "f1", len(examples), 0.0, details)

    def errors(self, examples: Sequence[TaggedExample], predictions: Sequence[Prediction]) -> Iterator[dict[str, Any]]:
        """The sentences with entities that were missed or are none, those with most of them first."""
        found = []
        for example, prediction in zip(examples, predictions, strict=True):
            right, given = (find_entities(tags) for tags in (_require_tags(example), prediction["tags"]))
            missed, wrong = (
                [entity for entity in side if entity not in other] for side, other in ((right, given), (given, right))
            )
            if missed or wrong:
                entities = {"missed": _show(missed, example), "wrong": _show(wrong, example)}
                tags = {"text": " ".join(example.words), "right": list(_require_tags(example)), "given": prediction["tags"]}
                found.append({"id": example.id, "place": example.place} | entities | tags)
        yield from sorted(found, key=lambda error: -len(error["missed"]) - len(error["wrong"]))

    def _require_labels(self) -> tuple[str, ...]:
        if self.labels is None:
            raise DataError("a task must know its labels", fix="take them from training examples with with_labels_of")
        return self.labels

    def _number(self, examples: Sequence[TaggedExample]) -> np.ndarray:
        """Classes of the words of all sentences, end to end."""
        numbers = {label: number for number, label in enumerate(self._require_labels())}
        for example in examples:
            for tag in _require_tags(example):
                if tag not in numbers:
                    raise DataError(
                        f"a tag must be one of {', '.join(numbers):.200}",
                        received=f"{tag!r} in the sentence of {example.place}",
                        fix=suggest(tag, numbers),
                    )
        return np.array([numbers[tag] for example in examples for tag in _require_tags(example)], np.int64)


def _cut(length: int, room: int) -> Iterator[tuple[int, int, int, int]]:
    """Windows over the tokens of a sentence: first and last + 1 token, and of these the part that is tagged there.

    Of what two windows share the first half is tagged in the first: it shows more behind it than the second before it.
    """
    windows = [window for (window,) in list_windows((length,), room, "longest_first", stride=room // 2, overflow=True)]
    bounds = [0, *((after[0] + before[1] + 1) // 2 for before, after in pairwise(windows)), length]
    for window, part in zip(windows, pairwise(bounds), strict=True):
        yield *window, *part


def _require_tags(example: TaggedExample) -> tuple[str, ...]:
    if example.tags is None:
        raise DataError("examples must have right answers", received=f"no tags in {example.place}")
    return example.tags


def _count_without_start(example: TaggedExample) -> int:
    tags = _require_tags(example)
    return sum(split_tag(tags[entity.start])[0] not in "BS" for entity in find_entities(tags))


def _show(entities: Sequence[Entity], example: TaggedExample) -> list[str]:
    """``PER: Ada Lovelace``."""
    return [f"{entity.type}: {' '.join(example.words[entity.start : entity.stop])}" for entity in entities]
