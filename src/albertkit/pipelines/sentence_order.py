"""``sentence-order``: whether two texts are in order, and how coherent a document is, by ALBERT's second objective."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.errors import InputError
from albertkit.pipelines.base import Field, Options, Pipeline, Record
from albertkit.pipelines.probabilities import sigmoid

__all__ = ["SentenceOrderPipeline"]


class SentenceOrderPipeline(Pipeline[Options]):
    """Tells the order of texts that follow one another.

    A pair is read both ways. The head's log-odds of (a, b) being in order, and those of (b, a) with the sign turned, are two
    estimates of one thing; their mean gives the probability, so that p(a, b) = 1 − p(b, a) exactly.

    The head knows what it was pre-trained on (arXiv:1909.11942 §3.1): two stretches of consecutive text, each mostly of several
    sentences. Single sentences are much harder, and a small model is weak at both: the embedded one is right on 59 % of
    held-out pairs, where chance is 50 %. The published checkpoints come without this head.
    """

    task = "sentence-order"
    head: ClassVar[Head | None] = "sentence_order"
    fields: ClassVar[Mapping[str, Field]] = {
        "text": Field(required=False),
        "text_pair": Field(required=False),
        "sentences": Field(many=True, required=False),
    }
    options_class = Options
    too_long = "shorten one of the two"

    def __call__(self, inputs: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> Any:
        """Judge a pair of texts or a document, or several.

        Args:
            inputs: ``{"text": …, "text_pair": …}``, or a document as ``{"sentences": […]}``, a list of such, or any other
                iterable of them.

        Returns:
            For a pair ``{"label", "score"}``: ``"in_order"`` or ``"swapped"``, whichever is likelier, and its probability.
            For a document ``{"coherence", "scores"}``: the probability that they are in order for each two neighbours, and
            the mean of these.
            For several inputs a list of these, or an iterator.

        Raises:
            InputError: If a document has fewer than two sentences, or two texts together are too long.
        """
        return self._run(inputs, self.options)

    def _read(self, item: Any) -> Record:
        if not isinstance(item, Mapping) or item.keys() not in ({"text", "text_pair"}, {"sentences"}):
            received = ", ".join(map(str, item)) if isinstance(item, Mapping) else f"a {type(item).__name__}"
            raise InputError(f"an input of {self.task} is {self._describe_input()}", received=received or "an empty object")
        record = super()._read(item)
        if len(record.get("sentences", "..")) < 2:
            raise InputError("sentences must be two or more", received="one")
        return record

    def _describe_input(self) -> str:
        return 'an object with "text" and "text_pair", or with "sentences"'

    def _answer(self, records: list[Record], options: Options) -> list[Any]:
        documents = [record.get("sentences") or [record["text"], record["text_pair"]] for record in records]
        pairs = [pair for sentences in documents for pair in pairwise(sentences)]
        rows = self._encode([a for a, _b in pairs] + [b for _a, b in pairs], [b for _a, b in pairs] + [a for a, _b in pairs])
        logits = self._sequence_logits("sentence_order", rows)
        forward, backward = np.split(logits[:, 0] - logits[:, 1], 2)  # 0 = in order, 1 = swapped
        scores = iter(sigmoid((forward - backward) / 2).tolist())
        answers: list[Any] = []
        for record, sentences in zip(records, documents, strict=True):
            found = [next(scores) for _pair in pairwise(sentences)]
            if "sentences" in record:
                answers.append({"coherence": sum(found) / len(found), "scores": found})
            else:
                score = found[0]
                answers.append({"label": "in_order" if score >= 0.5 else "swapped", "score": max(score, 1 - score)})
        return answers
