"""The JAX engine: a program of XLA for every shape of a block, on the CPU or an accelerator; float32, bfloat16 or float16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

import albertkit.models.jax as models
from albertkit.checkpoints.parameters import Head
from albertkit.inference.batching import TokenBatch
from albertkit.inference.model_engine import OUTPUTS, ModelEngine, pick_device
from albertkit.inference.padding import PaddedBlock, next_power, pad_to_powers

__all__ = ["JaxEngine"]

_MOST_PLACES = 2048  # of a block: what lies between its layers stays small
_FEWEST_POSITIONS = 16  # of the masked-LM head: below it there is little to save


class JaxEngine(ModelEngine):
    """Runs a model of :mod:`albertkit.models.jax`; the arguments are those of :class:`ModelEngine`."""

    name = "jax"
    package: ClassVar[ModuleType] = models

    @staticmethod
    @contextmanager
    def _on(device: str | None) -> Iterator[None]:
        place = None if device is None else pick_device(device, jax.devices)
        # Without the precision, some accelerators round the factors of float32 products.
        with jax.default_matmul_precision("highest"), jax.default_device(place):
            yield

    def _cut(self, batch: TokenBatch) -> Iterator[PaddedBlock]:
        return pad_to_powers(batch, self.config.max_position_embeddings, _MOST_PLACES)

    def _run(self, head: Head | None, ids: np.ndarray, mask: np.ndarray, types: np.ndarray, places: np.ndarray | None) -> Any:
        graph, state = nnx.split(self.model)
        if places is None:
            return _score(graph, head, state, ids, mask, types)
        padded = np.zeros(next_power(max(len(places), _FEWEST_POSITIONS)), np.int32)
        padded[: len(places)] = places
        return np.asarray(_score_places(graph, state, ids, mask, types, padded))[: len(places)]


@partial(jax.jit, static_argnums=(0, 1))
def _score(
    graph: nnx.GraphDef[Any], head: Head | None, state: nnx.State[Any, Any], ids: Array, mask: Array, types: Array
) -> Array:
    """A head's scores, or the hidden states; what the model gives beside them is not computed."""
    model = nnx.merge(graph, state)
    output = (getattr(model, "albert", model) if head is None else model)(ids, mask, types, return_dict=True)
    found = [output[name].astype(jnp.float32) for name in OUTPUTS[head][1]]
    return found[0] if len(found) == 1 else jnp.stack(found, axis=-1)


@partial(jax.jit, static_argnums=0)
def _score_places(
    graph: nnx.GraphDef[Any], state: nnx.State[Any, Any], ids: Array, mask: Array, types: Array, places: Array
) -> Array:
    """The masked-LM head's scores ``[P, V]`` at ``places [P]`` of the flattened block."""
    model = nnx.merge(graph, state)
    hidden = model.albert(ids, mask, types, return_dict=True).last_hidden_state
    tokens = hidden.reshape(-1, hidden.shape[-1])[places]
    scores: Array = model.predictions(tokens, model.word_embeddings)
    return scores.astype(jnp.float32)
