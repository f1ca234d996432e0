"""The layers that hold parameters: built when made, with initial values drawn from Keras' random numbers.

Embeddings and kernels: Google's normal of ``initializer_range`` cut at two deviations (modeling.py, create_initializer), or, by
the huggingface convention, the whole normal. Scales 1, biases 0. ``keras.utils.set_random_seed`` makes them repeatable.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import keras

from albertkit.config import AlbertConfig

__all__ = ["Policy", "make_dense", "make_norm", "make_table"]

Policy: TypeAlias = keras.DTypePolicy | str | None
"""What Keras calls a dtype policy: ``float32``, ``mixed_bfloat16`` …; ``None``: the global one."""


def make_dense(config: AlbertConfig, inputs: int, outputs: int, name: str, dtype: Policy) -> keras.layers.Dense:
    """A linear layer, kernel ``[inputs, outputs]``."""
    layer = keras.layers.Dense(outputs, kernel_initializer=_make_initializer(config), name=name, dtype=dtype)
    layer.build((None, inputs))
    return layer


def make_norm(config: AlbertConfig, width: int, name: str, dtype: Policy) -> keras.layers.LayerNormalization:
    """A LayerNorm over the last axis."""
    layer = keras.layers.LayerNormalization(epsilon=config.layer_norm_eps, name=name, dtype=dtype)
    layer.build((None, width))
    return layer


def make_table(config: AlbertConfig, entries: int, width: int, name: str, dtype: Policy) -> keras.layers.Embedding:
    """An embedding ``[entries, width]``."""
    layer = keras.layers.Embedding(entries, width, embeddings_initializer=_make_initializer(config), name=name, dtype=dtype)
    layer.build(None)
    return layer


def _make_initializer(config: AlbertConfig) -> Any:
    """A new one for each parameter: a Keras initializer draws the same numbers every time."""
    google = config.training_convention == "google"
    draw = keras.initializers.TruncatedNormal if google else keras.initializers.RandomNormal
    return draw(stddev=config.initializer_range)
