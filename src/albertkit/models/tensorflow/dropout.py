"""Dropout by seeds that are handed down: a loop cannot change the state that Keras' own dropout layers keep."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from albertkit.models.shapes import Float, Int

__all__ = ["drop", "fold_seed", "split_seed"]


def drop(values: Float[Any, "..."], rate: float, seed: Int[Any, "2"] | None) -> Float[Any, "..."]:
    """Put ``rate`` of the values to 0 and scale up the others; without a seed, nothing."""
    return values if seed is None or rate == 0.0 else tf.nn.experimental.stateless_dropout(values, rate, seed)


def fold_seed(seed: Int[Any, "2"] | None, number: Any) -> Int[Any, "2"] | None:
    """The seed of one of many: of layer ``number``."""
    return None if seed is None else tf.random.experimental.stateless_fold_in(seed, number)


def split_seed(seed: Int[Any, "2"] | None, count: int) -> list[Int[Any, "2"] | None]:
    """Seeds of ``count`` places."""
    return [None] * count if seed is None else tf.unstack(tf.random.split(seed, count))
