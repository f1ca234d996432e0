"""``multiple-choice``: which of several continuations or answers fits, as in SWAG and RACE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.errors import InputError
from albertkit.pipelines.base import UNSET, Field, Options, Pipeline, Record, Unset, require_count, shorten
from albertkit.pipelines.probabilities import softmax
from albertkit.tasks.choice import fill_in

__all__ = ["MultipleChoiceOptions", "MultipleChoicePipeline"]


@dataclass(frozen=True, kw_only=True)
class MultipleChoiceOptions(Options):
    """Options of ``multiple-choice``.

    Raises:
        InputError: If ``top_k`` is not positive.
    """

    top_k: int | None = None
    """Choices to answer, best first; ``None``: all."""
    truncation: bool = False
    """Cut prompts that are too long; never a choice or the question."""

    def __post_init__(self) -> None:
        require_count("top_k", self.top_k, or_none=True)


class MultipleChoicePipeline(Pipeline[MultipleChoiceOptions]):
    """Chooses among continuations of a prompt, or among answers to a question about it.

    A row is ``[CLS] prompt [SEP] choice [SEP]``. With a question it is RACE's (google-research/albert, race_utils.py): the
    prompt is the passage, and the second segment the question with the choice in place of its ``_``, or behind it where it
    has none.
    """

    task = "multiple-choice"
    head: ClassVar[Head | None] = "multiple_choice"
    fields: ClassVar[Mapping[str, Field]] = {
        "prompt": Field(),
        "choices": Field(many=True),
        "question": Field(required=False),
    }
    options_class = MultipleChoiceOptions
    too_long = "shorten it, or cut the prompt with truncation=True"

    def __call__(
        self,
        inputs: Mapping[str, Any] | Iterable[Mapping[str, Any]],
        *,
        top_k: int | Unset | None = UNSET,
        truncation: bool | Unset = UNSET,
    ) -> Any:
        """Choose for one input or for several.

        Args:
            inputs: ``{"prompt": …, "choices": […]}``, if wanted with a ``"question"``, a list of such, or any other iterable of
                them; inputs may differ in their number of choices.
            top_k: See :class:`MultipleChoiceOptions`.
            truncation: See :class:`MultipleChoiceOptions`.

        Returns:
            ``{"choice", "index", "score"}`` for each choice, likeliest first; the scores of all choices sum to 1.
            For several inputs a list of such lists, or an iterator.

        Raises:
            InputError: If there are fewer than two choices, a row is too long, or an option is impossible.
        """
        return self._run(inputs, self.options.changed(top_k=top_k, truncation=truncation))

    def _read(self, item: Any) -> Record:
        record = super()._read(item)
        if len(record["choices"]) < 2:
            raise InputError("choices must be two or more", received="one")
        return record

    def _answer(self, records: list[Record], options: MultipleChoiceOptions) -> list[Any]:
        prompts = (record["prompt"] for record in records for _choice in record["choices"])
        seconds = [fill_in(record.get("question"), choice) for record in records for choice in record["choices"]]
        if options.truncation:
            self._require_room(seconds)
        many = self._encode_many(prompts, seconds, truncation="only_first" if options.truncation else False)
        logits = np.concatenate([self._sequence_logits("multiple_choice", rows) for rows in many])[:, 0]
        ends = np.cumsum([0, *(len(record["choices"]) for record in records)])
        return [
            _rank(record["choices"], logits[start:end], options.top_k)
            for record, (start, end) in zip(records, pairwise(ends), strict=True)
        ]

    def _require_room(self, seconds: list[str]) -> None:
        """Refuse a choice beside which no token of the prompt has room."""
        room = self.room - self.tokenizer.num_special_tokens_to_add(pair=True)
        for second, ids in zip(seconds, self.tokenizer(seconds, add_special_tokens=False)["input_ids"], strict=True):
            if len(ids) >= room:
                raise InputError(
                    f"a choice, with its question, must leave room for the prompt among {room} tokens",
                    received=f"{len(ids)} tokens in {shorten(second)}",
                    fix="shorten it",
                )


def _rank(choices: list[str], logits: np.ndarray, top_k: int | None) -> list[dict[str, Any]]:
    """Choices by their share of the probability; ``logits [C]``."""
    scores = softmax(logits)
    best = np.argsort(-scores, kind="stable")[:top_k].tolist()
    return [{"choice": choices[index], "index": index, "score": float(scores[index])} for index in best]
