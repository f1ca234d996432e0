"""How the parameters of a new model are drawn, and the layers that hold them.

Embeddings and kernels: Google's normal of ``initializer_range`` cut at two deviations (modeling.py, create_initializer), or, by
the huggingface convention, the whole normal with the padding entry at 0. Scales 1, biases 0.

Every layer computes in the model's floating type, whatever the type of its parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import Array

from albertkit.config import AlbertConfig

__all__ = ["make_linear", "make_norm", "make_table"]


def make_linear(config: AlbertConfig, inputs: int, outputs: int, dtype: np.dtype, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear layer, kernel ``[inputs, outputs]``."""
    return nnx.Linear(inputs, outputs, dtype=dtype, kernel_init=_make_initializer(config), rngs=rngs)


def make_norm(config: AlbertConfig, width: int, dtype: np.dtype, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """A LayerNorm whose statistics are in float32; the variance by two passes, which loses no digits where the mean is large."""
    return nnx.LayerNorm(width, epsilon=config.layer_norm_eps, use_fast_variance=False, dtype=dtype, rngs=rngs)


def make_table(
    config: AlbertConfig, entries: int, width: int, dtype: np.dtype, rngs: nnx.Rngs, padding_idx: int | None = None
) -> nnx.Embed:
    """An embedding ``[entries, width]``.

    Args:
        config: The deviation and the convention.
        entries: Its rows.
        width: Its columns.
        dtype: What it computes in.
        rngs: Where the key comes from.
        padding_idx: The row that the huggingface convention starts at 0.
    """
    initializer = _make_initializer(config)

    def draw(key: Array, shape: Sequence[int], param_dtype: Any) -> Array:
        values: Array = initializer(key, shape, param_dtype)
        return values if padding_idx is None or config.training_convention == "google" else values.at[padding_idx].set(0.0)

    return nnx.Embed(entries, width, dtype=dtype, embedding_init=draw, rngs=rngs)


def _make_initializer(config: AlbertConfig) -> jax.nn.initializers.Initializer:
    if config.training_convention == "google":
        return jax.nn.initializers.truncated_normal(config.initializer_range)
    return jax.nn.initializers.normal(config.initializer_range)
