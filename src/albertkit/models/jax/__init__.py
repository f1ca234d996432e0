"""ALBERT in JAX, as Flax nnx modules. Read :mod:`albertkit.models.jax.encoder` first."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from albertkit.optional import require

require("jax", "The JAX model")
require("flax", "The JAX model")

from jax.tree_util import GetAttrKey, register_pytree_with_keys  # noqa: E402

from albertkit.models.jax.models import AlbertForMaskedLM, AlbertForPreTraining, AlbertModel  # noqa: E402
from albertkit.models.jax.tasks import (  # noqa: E402
    AlbertForMultipleChoice,
    AlbertForQuestionAnswering,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)
from albertkit.models.jax.weights import AlbertPreTrainedModel  # noqa: E402
from albertkit.outputs import OUTPUT_CLASSES, ModelOutput, flatten, unflatten  # noqa: E402

__all__ = [
    "AlbertForMaskedLM",
    "AlbertForMultipleChoice",
    "AlbertForPreTraining",
    "AlbertForQuestionAnswering",
    "AlbertForSequenceClassification",
    "AlbertForTokenClassification",
    "AlbertModel",
    "AlbertPreTrainedModel",
]


def _rebuild(kind: type[ModelOutput], names: tuple[str, ...], values: Iterable[Any]) -> ModelOutput:
    return unflatten(kind, list(values), names)


def _name_values(output: ModelOutput) -> tuple[list[tuple[GetAttrKey, Any]], tuple[str, ...]]:
    values, names = flatten(output)
    return list(zip(map(GetAttrKey, names), values, strict=True)), names


for output_class in OUTPUT_CLASSES:
    register_pytree_with_keys(output_class, _name_values, partial(_rebuild, output_class), flatten)
