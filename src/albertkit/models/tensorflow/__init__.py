"""ALBERT in TensorFlow: Keras 3 models on its TensorFlow backend. Read :mod:`albertkit.models.tensorflow.encoder` first."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from albertkit.errors import ConfigError, InputError
from albertkit.optional import require

require("tensorflow", "The TensorFlow model")
require("keras", "The TensorFlow model")

import keras  # noqa: E402
import optree  # noqa: E402

if keras.backend.backend() != "tensorflow":
    raise ConfigError(
        "these models run on Keras' TensorFlow backend",
        received=f"KERAS_BACKEND={keras.backend.backend()}",
        fix="set KERAS_BACKEND=tensorflow before keras is imported",
    )

from albertkit.models.tensorflow.models import AlbertForMaskedLM, AlbertForPreTraining, AlbertModel  # noqa: E402
from albertkit.models.tensorflow.tasks import (  # noqa: E402
    AlbertForMultipleChoice,
    AlbertForQuestionAnswering,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)
from albertkit.models.tensorflow.weights import AlbertPreTrainedModel  # noqa: E402
from albertkit.outputs import OUTPUT_CLASSES, ModelOutput, flatten, unflatten  # noqa: E402
from albertkit.tokenization import BatchEncoding  # noqa: E402

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


def _rebuild(output_class: type[ModelOutput], names: tuple[str, ...], values: Iterable[Any]) -> ModelOutput:
    return unflatten(output_class, list(values), names)


def _take_apart(output: ModelOutput) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    values, names = flatten(output)
    return names, tuple(values)


def _take_columns(encoding: Any) -> tuple[list[Any], list[str]]:
    return list(encoding.values()), list(encoding)


def _put_columns(names: Any, columns: Iterable[Any]) -> dict[str, Any]:
    return dict(zip(names, columns, strict=True))


for name in __all__:  # for Keras' own files
    keras.saving.register_keras_serializable("albertkit")(globals()[name])
for output_class in OUTPUT_CLASSES:  # absent fields are no part of the structure: Keras' outputs hold no None
    optree.register_pytree_node(output_class, flatten, partial(_rebuild, output_class), namespace="keras")  # type: ignore[arg-type]
# A tokenizer's answer is taken for the dictionary it holds: by fit, evaluate and predict.
optree.register_pytree_node(BatchEncoding, _take_columns, _put_columns, namespace="keras")  # type: ignore[arg-type]
# The names by which TensorFlow itself takes an object apart and puts it together: what tf.function returns, for one.
ModelOutput.__tf_flatten__ = _take_apart  # type: ignore[attr-defined]
ModelOutput.__tf_unflatten__ = classmethod(_rebuild)  # type: ignore[attr-defined]
# Keras writes the arguments of the call into every error that has no such mark, and a graph of TensorFlow's raises another in its
# place, with the lines it came through; ours say all that is needed.
InputError._keras_call_info_injected = True  # type: ignore[attr-defined]
InputError.ag_pass_through = True  # type: ignore[attr-defined]
