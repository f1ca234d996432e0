"""``zero-shot-classification``: labels that are named only when asked, by a model of natural-language inference.

Each label becomes a hypothesis, and the text is its premise: what the text entails is its label (arXiv:1909.00161).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, ClassVar

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.errors import InputError
from albertkit.inference import Engine
from albertkit.pipelines.base import UNSET, Field, Options, Pipeline, Record, RunSettings, Unset
from albertkit.pipelines.probabilities import softmax
from albertkit.tokenization import AlbertTokenizer

__all__ = ["ZeroShotClassificationOptions", "ZeroShotClassificationPipeline"]


@dataclass(frozen=True, kw_only=True)
class ZeroShotClassificationOptions(Options):
    """Options of ``zero-shot-classification``.

    Raises:
        InputError: If a value is impossible.
    """

    candidate_labels: str | Sequence[str] | None = None
    """Labels to choose from, a list or one string with commas; an input's own take their place."""
    hypothesis_template: str = "This example is {}."
    """The hypothesis, with ``{}`` for the label."""
    multi_label: bool = False
    """Several labels may be right: each has a probability of its own, instead of all of them adding up to 1."""
    truncation: bool = False
    """Cut texts that are too long for the model with their hypothesis, which stays whole; they are refused otherwise."""

    def __post_init__(self) -> None:
        if self.candidate_labels is not None:
            split_labels(self.candidate_labels)
        if not isinstance(self.hypothesis_template, str) or "{}" not in self.hypothesis_template:
            raise InputError(
                "hypothesis_template must be a sentence with {} where the label goes",
                received=repr(self.hypothesis_template),
                fix='write it as "This text is about {}."',
            )


class ZeroShotClassificationPipeline(Pipeline[ZeroShotClassificationOptions]):
    """Finds which of any labels fit a text.

    Args:
        engine: Runs a model fine-tuned on natural-language inference.
        tokenizer: The model's own.
        options: What calls do unless they say otherwise.
        settings: How to go about many inputs.

    Raises:
        InputError: If no label of the model begins with ``entail``, or the vocabulary is larger than the model's.
    """

    task = "zero-shot-classification"
    head: ClassVar[Head | None] = "sequence_classification"
    fields: ClassVar[Mapping[str, Field]] = {"text": Field(), "candidate_labels": Field(many=True, required=False)}
    options_class = ZeroShotClassificationOptions

    def __init__(
        self,
        engine: Engine,
        tokenizer: AlbertTokenizer,
        options: ZeroShotClassificationOptions | None = None,
        settings: RunSettings | None = None,
    ) -> None:
        super().__init__(engine, tokenizer, options, settings)
        self.entailment, self.contradiction = find_inference_labels(engine.config.id2label or {})

    def __call__(
        self,
        inputs: str | Mapping[str, Any] | Iterable[str | Mapping[str, Any]],
        candidate_labels: str | Sequence[str] | Unset | None = UNSET,
        *,
        hypothesis_template: str | Unset = UNSET,
        multi_label: bool | Unset = UNSET,
        truncation: bool | Unset = UNSET,
    ) -> Any:
        """Find which labels fit one text or several.

        Args:
            inputs: A text, an object ``{"text": …, "candidate_labels": […]}`` (the labels if wanted), a list of either, or any
                other iterable of them.
            candidate_labels: See :class:`ZeroShotClassificationOptions`.
            hypothesis_template: See :class:`ZeroShotClassificationOptions`.
            multi_label: See :class:`ZeroShotClassificationOptions`.
            truncation: See :class:`ZeroShotClassificationOptions`.

        Returns:
            For each input ``{"sequence", "labels", "scores"}``, the likeliest label first: the answer itself for one input, a
            list of answers for a list, an iterator for another iterable.

        Raises:
            InputError: If an input is empty, has no labels or is too long, or an option is impossible.
        """
        options = self.options.changed(
            candidate_labels=candidate_labels,
            hypothesis_template=hypothesis_template,
            multi_label=multi_label,
            truncation=truncation,
        )
        return self._run(inputs, options)

    def _read(self, item: Any) -> Record:
        """The labels of an input may be one string too, as those of a call."""
        if isinstance(item, Mapping) and isinstance(item.get("candidate_labels"), str):
            item = {**item, "candidate_labels": split_labels(item["candidate_labels"])}
        return super()._read(item)

    def _answer(self, records: list[Record], options: ZeroShotClassificationOptions) -> list[Any]:
        chosen = [split_labels(record.get("candidate_labels", options.candidate_labels)) for record in records]
        premises = (record["text"] for record, labels in zip(records, chosen, strict=True) for _label in labels)
        hypotheses = (options.hypothesis_template.replace("{}", label) for labels in chosen for label in labels)
        many = self._encode_many(premises, hypotheses, truncation="only_first" if options.truncation else False)
        logits = np.concatenate([self._sequence_logits("sequence_classification", rows) for rows in many])
        answers = []
        for record, labels, (start, stop) in zip(records, chosen, pairwise(accumulate(map(len, chosen), initial=0)), strict=True):
            scores = self._score(logits[start:stop], options.multi_label)
            best = np.argsort(-scores, kind="stable").tolist()
            answers.append(
                {
                    "sequence": record["text"],
                    "labels": [labels[label] for label in best],
                    "scores": [float(scores[label]) for label in best],
                }
            )
        return answers

    def _score(self, logits: np.ndarray, multi_label: bool) -> np.ndarray:
        """Probabilities ``[labels]`` from the scores ``[labels, C]``; a single label can only be judged by itself."""
        if multi_label or len(logits) == 1:
            alone: np.ndarray = softmax(logits[:, [self.contradiction, self.entailment]])[:, 1]
            return alone
        return softmax(logits[:, self.entailment])


def split_labels(labels: str | Sequence[str] | None) -> list[str]:
    """Candidate labels as a list.

    Raises:
        InputError: If there is none, or one is empty or no string.
    """
    if isinstance(labels, str):
        labels = [label.strip() for label in labels.split(",") if label.strip()]
    if not isinstance(labels, Sequence) or not labels or not all(isinstance(label, str) and label.strip() for label in labels):
        raise InputError(
            "candidate_labels must be at least one label: a list of strings, or one string with commas",
            received="none" if labels is None else repr(labels),
            fix='give candidate_labels=["travel", "cooking"]',
        )
    return list(labels)


def find_inference_labels(names: Mapping[int, str]) -> tuple[int, int]:
    """The classes of a model of inference that say entailment and contradiction.

    Args:
        names: Number of a class → its label. Without one that begins with ``contra`` (``not_entailment``) the first class that
            is not entailment stands for it, or the last one if entailment is the first, as in Hugging Face's pipeline.

    Raises:
        InputError: If no label begins with ``entail``.
    """
    by_start = {start: [i for i, name in names.items() if name.lower().startswith(start)] for start in ("entail", "contra")}
    if not by_start["entail"] or len(names) < 2:
        raise InputError(
            "this task needs a model of natural-language inference, with a label that begins with entail and another",
            received=f"one with {', '.join(names.values())}",
            fix="name a model that was fine-tuned on MNLI or the like, with these labels in its configuration",
        )
    entailment = by_start["entail"][0]
    return entailment, next(iter(by_start["contra"]), max(names) if entailment == 0 else 0)
