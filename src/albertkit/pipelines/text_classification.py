"""``text-classification``: the classes of a text or of a pair of texts, in the answer form of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.config import AlbertConfig
from albertkit.errors import InputError, suggest
from albertkit.pipelines.base import UNSET, Field, Options, Pipeline, Record, Rows, Unset, require_count
from albertkit.pipelines.probabilities import sigmoid, softmax

__all__ = ["FUNCTIONS", "TextClassificationOptions", "TextClassificationPipeline"]

FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"softmax": softmax, "sigmoid": sigmoid, "none": np.asarray}
"""What turns a head's scores ``[rows, C]`` into those that are answered."""


@dataclass(frozen=True, kw_only=True)
class TextClassificationOptions(Options):
    """Options of ``text-classification``.

    Raises:
        InputError: If a value is impossible.
    """

    top_k: int | Unset | None = UNSET
    """Classes per text, best first, as a list of answers; ``None``: all. Not given: the best one, as a bare answer."""
    function_to_apply: str | None = None
    """One of :data:`FUNCTIONS`; ``None``: softmax over several classes, sigmoid for one class or for several labels at once,
    none for regression, as the configuration's ``problem_type`` says."""
    truncation: bool = False
    """Cut texts that are too long for the model, which are refused otherwise."""

    def __post_init__(self) -> None:
        if self.top_k is not UNSET:
            require_count("top_k", self.top_k, or_none=True)
        if self.function_to_apply is not None and self.function_to_apply not in tuple(FUNCTIONS):
            raise InputError(
                f"function_to_apply must be one of {', '.join(FUNCTIONS)}",
                received=repr(self.function_to_apply),
                fix=suggest(self.function_to_apply, FUNCTIONS),
            )


class TextClassificationPipeline(Pipeline[TextClassificationOptions]):
    """Classifies texts."""

    task = "text-classification"
    head: ClassVar[Head | None] = "sequence_classification"
    fields: ClassVar[Mapping[str, Field]] = {"text": Field(), "text_pair": Field(required=False)}
    options_class = TextClassificationOptions

    def __call__(
        self,
        inputs: str | Mapping[str, str] | Iterable[str | Mapping[str, str]],
        *,
        top_k: int | Unset | None = UNSET,
        function_to_apply: str | Unset | None = UNSET,
        truncation: bool | Unset = UNSET,
    ) -> Any:
        """Classify one text or pair, or several.

        Args:
            inputs: A text, an object ``{"text": …, "text_pair": …}`` (the second part if wanted), a list of either, or any
                other iterable of them.
            top_k: See :class:`TextClassificationOptions`.
            function_to_apply: See :class:`TextClassificationOptions`.
            truncation: See :class:`TextClassificationOptions`.

        Returns:
            For each input ``{"label", "score"}``, or a list of them where ``top_k`` is given: the answer itself for an object,
            a list of answers for a list, an iterator for another iterable. A bare string's answer is a list always, of one
            where this call gives no ``top_k``, as users of the hub's pipelines expect.

        Raises:
            InputError: If an input is empty or too long, or an option is impossible.
        """
        options = self.options.changed(top_k=top_k, function_to_apply=function_to_apply, truncation=truncation)
        answers = self._run(inputs, options)
        return [answers] if isinstance(inputs, str) and top_k is UNSET else answers

    def _answer(self, records: list[Record], options: TextClassificationOptions) -> list[Any]:
        apply = FUNCTIONS[options.function_to_apply or choose_function(self.engine.config)]
        scores = apply(self._sequence_logits("sequence_classification", self._encode_all(records, options.truncation)))
        names = self.engine.config.id2label or {}
        count = 1 if options.top_k is UNSET else options.top_k
        order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        answers = [
            [{"label": names[label], "score": float(row[label])} for label in best]
            for row, best in zip(scores, order.tolist(), strict=True)
        ]
        return [best[0] for best in answers] if options.top_k is UNSET else answers

    def _encode_all(self, records: list[Record], truncation: bool) -> Rows:
        """Rows of texts and of pairs, in the order in which they came."""
        single = [number for number, record in enumerate(records) if "text_pair" not in record]
        double = [number for number, record in enumerate(records) if "text_pair" in record]
        ids: list[Any] = [()] * len(records)
        types: list[Any] = [()] * len(records)
        for numbers in filter(None, (single, double)):
            texts = [records[number]["text"] for number in numbers]
            pairs = [records[number]["text_pair"] for number in numbers] if numbers is double else None
            rows = self._encode(texts, pairs, truncation=truncation)
            for number, row_ids, row_types in zip(numbers, rows.input_ids, rows.token_type_ids, strict=True):
                ids[number], types[number] = row_ids, row_types
        return Rows(ids, types)


def choose_function(config: AlbertConfig) -> str:
    """The name in :data:`FUNCTIONS` that fits what a model was trained for."""
    if config.problem_type == "regression":
        return "none"
    return "sigmoid" if config.problem_type == "multi_label_classification" or config.num_labels == 1 else "softmax"
