"""The TensorFlow engine: a graph for each head, which runs blocks of every shape; float32, bfloat16 or float16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

import albertkit.models.tensorflow as models
from albertkit.checkpoints.parameters import Head
from albertkit.inference.batching import TokenBatch
from albertkit.inference.model_engine import OUTPUTS, ModelEngine, pick_device
from albertkit.inference.padding import PaddedBlock, pad_blocks

__all__ = ["TensorFlowEngine"]

_MOST_PADDING = 0.1  # of a block's places
_MOST_PLACES = 2048  # of a block: what lies between its layers stays small


class TensorFlowEngine(ModelEngine):
    """Runs a model of :mod:`albertkit.models.tensorflow`; the arguments are those of :class:`ModelEngine`."""

    name = "tensorflow"
    package: ClassVar[ModuleType] = models

    def __init__(self, model: Any, head: Head | None = None, *, device: str | None = None) -> None:
        super().__init__(model, head, device=device)
        self._graphs: dict[Head | None, Any] = {}

    @staticmethod
    @contextmanager
    def _on(device: str | None) -> Iterator[None]:
        place = None if device is None else pick_device(device, _list_devices).name
        with tf.device(place):
            yield

    def _cut(self, batch: TokenBatch) -> Iterator[PaddedBlock]:
        return pad_blocks(batch, _MOST_PADDING, _MOST_PLACES)

    def _run(self, head: Head | None, ids: np.ndarray, mask: np.ndarray, types: np.ndarray, places: np.ndarray | None) -> Any:
        given = [ids, mask, types] if places is None else [ids, mask, types, places]
        if head not in self._graphs:
            shapes = [tf.TensorSpec([None] * array.ndim, array.dtype) for array in given]
            score = partial(self._score, head) if places is None else self._score_places
            self._graphs[head] = tf.function(score, input_signature=shapes)
        return self._graphs[head](*given)

    def _score(self, head: Head | None, ids: Any, mask: Any, types: Any) -> Any:
        """A head's scores, or the hidden states; what the model gives beside them is not computed."""
        model = self.model
        output = (getattr(model, "albert", model) if head is None else model)(ids, mask, types, return_dict=True)
        found = [tf.cast(output[name], tf.float32) for name in OUTPUTS[head][1]]
        return found[0] if len(found) == 1 else tf.stack(found, axis=-1)

    def _score_places(self, ids: Any, mask: Any, types: Any, places: Any) -> Any:
        """The masked-LM head's scores ``[P, V]`` at ``places [P]`` of the flattened block."""
        model = self.model
        hidden = model.albert(ids, mask, types, return_dict=True).last_hidden_state
        tokens = tf.gather(tf.reshape(hidden, (-1, hidden.shape[-1])), places)
        return tf.cast(model.predictions(tokens, model.albert.embeddings.word_embeddings.embeddings), tf.float32)


def _list_devices(platform: str) -> list[Any]:
    found: list[Any] = tf.config.list_logical_devices(platform.upper())
    return found
