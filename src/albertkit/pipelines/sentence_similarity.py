"""``sentence-similarity``: how near sentences are to a source sentence, by the cosine of their pooled vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.hub import Source
from albertkit.pipelines.base import UNSET, Field, Options, Pipeline, Record, Unset
from albertkit.pipelines.pooling import normalize_length, pool, read_saved_pooling, require_pooling

__all__ = ["SentenceSimilarityOptions", "SentenceSimilarityPipeline"]


@dataclass(frozen=True, kw_only=True)
class SentenceSimilarityOptions(Options):
    """Options of ``sentence-similarity``.

    Raises:
        InputError: If a value is impossible.
    """

    pooling: str | Sequence[str] = "mean"
    """As in ``feature-extraction``; what a directory that sentence-transformers wrote says, where it is not given."""
    truncation: bool = False
    """Cut sentences that are too long."""

    def __post_init__(self) -> None:
        require_pooling(self.pooling)


class SentenceSimilarityPipeline(Pipeline[SentenceSimilarityOptions]):
    """Compares sentences.

    It means something with a checkpoint that was trained for it, such as those of sentence-transformers; the vectors of a
    model that was pre-trained only are all alike.
    """

    task = "sentence-similarity"
    head: ClassVar[Head | None] = None
    fields: ClassVar[Mapping[str, Field]] = {"source_sentence": Field(), "sentences": Field(many=True)}
    options_class = SentenceSimilarityOptions

    def __call__(
        self,
        inputs: Mapping[str, Any] | Iterable[Mapping[str, Any]],
        *,
        pooling: str | Sequence[str] | Unset = UNSET,
        truncation: bool | Unset = UNSET,
    ) -> Any:
        """Compare sentences with a source sentence.

        Args:
            inputs: ``{"source_sentence": …, "sentences": […]}``, a list of such, or any other iterable of them.
            pooling: See :class:`SentenceSimilarityOptions`.
            truncation: See :class:`SentenceSimilarityOptions`.

        Returns:
            A cosine, −1 to 1, for each of the sentences; for several inputs a list of such lists, or an iterator.

        Raises:
            InputError: If a sentence is too long, or an option is impossible.
        """
        return self._run(inputs, self.options.changed(pooling=pooling, truncation=truncation))

    @classmethod
    def make_options(cls, source: Source | None, given: Mapping[str, Any]) -> Options:
        """See :class:`~albertkit.pipelines.base.Pipeline`; the checkpoint may say how to pool.

        Raises:
            CheckpointError: If it names modules other than the encoder, one pooling and normalisation.
        """
        options = super().make_options(source, given)
        saved = read_saved_pooling(source) if source is not None and "pooling" not in given else None
        return options if saved is None else options.changed(pooling=saved.pooling)

    def _answer(self, records: list[Record], options: SentenceSimilarityOptions) -> list[Any]:
        texts = dict.fromkeys(text for record in records for text in (record["source_sentence"], *record["sentences"]))
        many = self._encode_many(texts, truncation=options.truncation)
        vectors = (vector for rows in many for vector in self._token_outputs(None, rows, partial(pool, pooling=options.pooling)))
        units = {text: normalize_length(vector.astype(np.float64)) for text, vector in zip(texts, vectors, strict=True)}
        return [
            [float(units[record["source_sentence"]] @ units[sentence]) for sentence in record["sentences"]] for record in records
        ]
