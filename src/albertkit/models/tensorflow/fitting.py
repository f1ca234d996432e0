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
        """The loss that was compiled, or else the model's own.

        Raises:
            InputError: If there are no labels, or weights of samples without a compiled loss.
        """
        if self.loss is not None:
            return super().compute_loss(x, self._find_targets(x, y, y_pred), _find_logits(y_pred), sample_weight, training)
        if sample_weight is not None:
            raise InputError("weights of samples need a loss that can weigh", received="none", fix="give compile(loss=…)")
        loss = y_pred.get("loss") if y is None else self.compute_own_loss(y_pred, self._find_labels(x, y))
        if loss is None:
            names = " and ".join(self.label_names) or "none, for a model without a head"
            raise InputError(
                "training by the model's own loss needs labels, among the inputs or as y",
                received="none",
                fix=f"its labels are {names}; or give compile(loss=…) and y",
            )
        return loss / tf.distribute.get_strategy().num_replicas_in_sync

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the compiled metrics, which see what a compiled loss would see."""
        return super().compute_metrics(x, self._find_targets(x, y, y_pred), _find_logits(y_pred), sample_weight)

    def predict_step(self, data: Any) -> Any:
        """Predict a batch; labels among its inputs are left out, so that no loss stands among the predictions."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(x, Mapping):
            x = {name: value for name, value in x.items() if name not in self.label_names}
        return super().predict_step((x,))

    def export(
        self,
        filepath: str | Path,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
    ) -> None:
        """Write the model for serving, as Keras does; a SavedModel's outputs are a dictionary.

        Args:
            filepath: Where to.
            format: One of Keras' own.
            verbose: Whether to print.
            input_signature: ``input_ids``, ``attention_mask`` and ``token_type_ids`` in one mapping, of any sizes, when absent.
        """
        if input_signature is None:
            shape, names = (None,) * self.input_rank, ("input_ids", "attention_mask", "token_type_ids")
            input_signature = [{name: keras.InputSpec(shape=shape, dtype="int32", name=name) for name in names}]
        if format != "tf_saved_model":
            super().export(filepath, format, verbose, input_signature)
            return
        archive = keras.export.ExportArchive()
        archive.track(self)
        archive.add_endpoint("serve", lambda inputs: dict(self(inputs).items()), input_signature)
        archive.write_out(filepath, verbose=verbose is not False)

    def _find_labels(self, x: Any, y: Any) -> dict[str, Any]:
        """The labels by name, wherever they are."""
        if y is not None and not isinstance(y, Mapping):
            y = dict(zip(self.label_names, y if isinstance(y, tuple | list) else (y,), strict=False))
        given = y if y is not None else x if isinstance(x, Mapping) else {}
        return {name: given[name] for name in self.label_names if given.get(name) is not None}

    def _find_targets(self, x: Any, y: Any, y_pred: ModelOutput) -> Any:
        """The labels as a loss beside the logits takes them: as they came, or under the names of the logits."""
        labels = self._find_labels(x, y)
        if not labels:
            return y
        names = [name for name in y_pred if name not in _NO_LOGITS]
        targets = {logits: labels[label] for logits, label in zip(names, self.label_names, strict=True) if label in labels}
        return targets if len(names) > 1 else targets[names[0]]


def _find_logits(y_pred: ModelOutput) -> Any:
    """The logits alone: a tensor, or a dictionary of several."""
    logits = {name: value for name, value in y_pred.items() if name not in _NO_LOGITS}
    return logits if len(logits) > 1 else next(iter(logits.values()))
