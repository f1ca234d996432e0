"""``feature-extraction``: the model's hidden states, of every token or pooled to one vector for a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.errors import CheckpointError, InputError
from albertkit.hub import Source
from albertkit.pipelines.base import UNSET, Options, Pipeline, Record, Unset
from albertkit.pipelines.pooling import normalize_length, pool, read_saved_pooling, require_pooling

__all__ = ["FeatureExtractionOptions", "FeatureExtractionPipeline"]


@dataclass(frozen=True, kw_only=True)
class FeatureExtractionOptions(Options):
    """Options of ``feature-extraction``.

    Raises:
        InputError: If a value is impossible.
    """

    pooling: str | Sequence[str] | None = None
    """``"cls"``, ``"mean"`` or ``"max"`` over the tokens of a text, ``[CLS]`` and ``[SEP]`` included, or another of
    :data:`~albertkit.pipelines.pooling.POOLINGS`; several are concatenated. ``None``: every token's vector. Where a pipeline is
    made, ``"saved"`` takes pooling and normalisation from a directory that sentence-transformers wrote."""
    normalize: bool = False
    """Bring pooled vectors to length 1."""
    truncation: bool = False
    """Cut texts that are too long."""
    return_tensors: str | None = None
    """``"np"``: float32 arrays in place of lists."""

    def __post_init__(self) -> None:
        if self.pooling is not None:
            require_pooling(self.pooling)
        elif self.normalize:
            raise InputError("normalize is of pooled vectors", received="no pooling", fix='give pooling="mean", for example')
        if self.return_tensors not in (None, "np"):
            raise InputError('return_tensors must be "np" or None', received=repr(self.return_tensors))


class FeatureExtractionPipeline(Pipeline[FeatureExtractionOptions]):
    """Turns texts into vectors."""

    task = "feature-extraction"
    head: ClassVar[Head | None] = None
    options_class = FeatureExtractionOptions

    def __call__(
        self,
        inputs: str | Iterable[str],
        *,
        pooling: str | Sequence[str] | Unset | None = UNSET,
        normalize: bool | Unset = UNSET,
        truncation: bool | Unset = UNSET,
        return_tensors: str | Unset | None = UNSET,
    ) -> Any:
        """Encode one text or several.

        Args:
            inputs: A text, a list of texts, or any other iterable of them.
            pooling: See :class:`FeatureExtractionOptions`.
            normalize: See :class:`FeatureExtractionOptions`.
            truncation: See :class:`FeatureExtractionOptions`.
            return_tensors: See :class:`FeatureExtractionOptions`.

        Returns:
            For a text: ``[1, L, H]``, or ``[H]`` where it is pooled; nested lists of floats, or an array.
            For a list of texts a list of these, for another iterable an iterator of them.

        Raises:
            InputError: If a text is too long, or an option is impossible.
        """
        changes = {"pooling": pooling, "normalize": normalize, "truncation": truncation, "return_tensors": return_tensors}
        return self._run(inputs, self.options.changed(**changes))

    @classmethod
    def make_options(cls, source: Source | None, given: Mapping[str, Any]) -> Options:
        """See :class:`~albertkit.pipelines.base.Pipeline`; ``pooling="saved"`` is looked up here.

        Raises:
            CheckpointError: If it is asked for and not to be had.
        """
        if given.get("pooling") != "saved":
            return super().make_options(source, given)
        cls.options_class().changed(**{**given, "pooling": "mean"})
        saved = None if source is None else read_saved_pooling(source)
        if saved is None:
            raise CheckpointError(
                'pooling="saved" needs a directory that sentence-transformers wrote',
                received=f"{source} without modules.json" if source else "a model object",
                fix='give pooling="mean", for example',
            )
        return super().make_options(source, {"normalize": saved.normalize, **given, "pooling": saved.pooling})

    def _answer(self, records: list[Record], options: FeatureExtractionOptions) -> list[Any]:
        rows = self._encode([record["text"] for record in records], truncation=options.truncation)
        features = self._token_outputs(None, rows, partial(_shape, options=options))
        return features if options.return_tensors == "np" else [feature.tolist() for feature in features]


def _shape(hidden: np.ndarray, options: FeatureExtractionOptions) -> np.ndarray:
    """A text's answer from the hidden states ``[L, H]`` of its tokens."""
    if options.pooling is None:
        return hidden[None].copy()
    vector = pool(hidden, options.pooling)
    return normalize_length(vector) if options.normalize else vector
