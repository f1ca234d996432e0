"""What Keras' ``fit``, ``evaluate``, ``predict`` and ``export`` need to know of our models.

Labels are among the inputs, or are ``y``: one tensor, or several in order or by the names of the arguments. Compiled without a
loss, a model uses its own; a loss (and metrics) given to ``compile`` sees the logits, which are a dictionary where there are
several.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import keras
import tensorflow as tf

from albertkit.errors import InputError
from albertkit.outputs import ModelOutput

__all__ = ["Fittable"]

_NO_LOGITS = ("loss", "hidden_states", "attentions")


class Fittable(keras.Model):
    """Base of all models: a Keras model whose outputs hold its own loss."""

    label_names: ClassVar[tuple[str, ...]] = ()
    """The labels among the arguments of ``call``, in the order of the logits they belong to."""

    input_rank: ClassVar[int] = 2
    """How many axes ``input_ids`` have."""

    def compute_own_loss(self, output: Any, labels: Mapping[str, Any]) -> Any:
        """The loss of the labels that are given; ``None`` without any, or without a head.

        Args:
            output: With logits.
            labels: Of :attr:`label_names`.

        Raises:
            InputError: If labels do not fit the logits.
        """
        return None

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The loss that was compiled, or else the model's own, with what regularizers and ``add_loss`` add to either.

        Raises:
            InputError: Without a compiled loss, if there are no labels, or other ones, or weights of samples, or if the outputs
                have no names.
        """
        if self.loss is not None:
            return super().compute_loss(x, self._find_targets(x, y, y_pred), _find_logits(y_pred), sample_weight, training)
        if sample_weight is not None:
            raise InputError("weights of samples need a loss that can weigh", received="none", fix="give compile(loss=…)")
        if not isinstance(y_pred, ModelOutput):
            raise InputError(
                "the model's own loss needs outputs by name", received="a tuple", fix="config.replace(return_dict=True)"
            )
        labels = self._find_labels(x, y)
        loss = y_pred.get("loss") if y is None else self.compute_own_loss(y_pred, labels)
        names = " and ".join(self.label_names) or "none, for a model without a head"
        if loss is None:
            raise InputError(
                "training by the model's own loss needs labels, among the inputs or as y",
                received="none",
                fix=f"its labels are {names}; or give compile(loss=…) and y",
            )
        if isinstance(y, Mapping | tuple | list) and len(y) > len(labels):
            received = ", ".join(y) if isinstance(y, Mapping) else f"{len(y)} tensors"
            raise InputError("y may hold the model's own labels only", received=received, fix=f"its labels are {names}")
        loss /= tf.distribute.get_strategy().num_replicas_in_sync
        return loss + sum(self._aggregate_additional_loss(added) for added in self.losses)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the compiled metrics, which see what a compiled loss would see."""
        return super().compute_metrics(x, self._find_targets(x, y, y_pred), _find_logits(y_pred), sample_weight)

    def predict_step(self, data: Any) -> Any:
        """Predict a batch; labels among its inputs are left out, so that no loss stands among the predictions.

        Of several replicas it is a dictionary: TensorFlow puts together what they return, and knows nothing else by name.
        """
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(x, Mapping):
            x = {name: value for name, value in x.items() if name not in self.label_names}
        output = super().predict_step((x,))
        several = tf.distribute.get_strategy().num_replicas_in_sync > 1 and isinstance(output, ModelOutput)
        return dict(output.items()) if several else output

    def export(
        self,
        filepath: str | Path,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
    ) -> None:
        """Write the model for serving, as Keras does; its outputs are a dictionary, in which hidden states are one tensor.

        Args:
            filepath: Where to.
            format: One of Keras' own.
            verbose: Whether to print.
            input_signature: ``input_ids``, ``attention_mask`` and ``token_type_ids`` in one mapping, of any sizes, when absent.
        """
        if input_signature is None:
            shape, names = (None,) * self.input_rank, ("input_ids", "attention_mask", "token_type_ids")
            input_signature = {name: keras.InputSpec(shape=shape, dtype="int32", name=name) for name in names}
        elif isinstance(input_signature, list | tuple) and len(input_signature) == 1:
            input_signature = input_signature[0]
        inputs = keras.tree.map_structure(_make_input, input_signature)
        found = self(inputs, return_dict=True)
        outputs = {name: keras.ops.stack(value) if isinstance(value, tuple) else value for name, value in found.items()}
        keras.Model(inputs, outputs).export(filepath, format, verbose)

    def _find_labels(self, x: Any, y: Any) -> dict[str, Any]:
        """The labels by name, wherever they are."""
        if y is not None and not isinstance(y, Mapping):
            y = dict(zip(self.label_names, y if isinstance(y, tuple | list) else (y,), strict=False))
        given = y if y is not None else x if isinstance(x, Mapping) else {}
        return {name: tf.convert_to_tensor(given[name]) for name in self.label_names if given.get(name) is not None}

    def _find_targets(self, x: Any, y: Any, y_pred: Any) -> Any:
        """The labels as a loss beside the logits takes them: as they came, or under the names of the logits."""
        labels = self._find_labels(x, y)
        if not labels or not isinstance(y_pred, ModelOutput):
            return y
        names = [name for name in y_pred if name not in _NO_LOGITS]
        targets = {logits: labels[label] for logits, label in zip(names, self.label_names, strict=True) if label in labels}
        return targets if len(names) > 1 else targets[names[0]]


def _make_input(spec: Any) -> Any:
    """The symbolic input that a specification of Keras' or TensorFlow's describes."""
    return keras.Input(batch_shape=tuple(spec.shape), dtype=spec.dtype, name=spec.name)


def _find_logits(y_pred: Any) -> Any:
    """The logits alone: a tensor, or a dictionary of several; what has no names, as of a subclass, as it is."""
    if not isinstance(y_pred, ModelOutput):
        return y_pred
    logits = {name: value for name, value in y_pred.items() if name not in _NO_LOGITS}
    return logits if len(logits) > 1 else next(iter(logits.values()))
