"""The losses, in float32 whatever the model computes in.

Each is a mean over what is labelled, and 0, with gradients of 0, where nothing is.

Shapes: B batch · L sequence · C classes.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from albertkit.models.shapes import Float, Int, Shaped

__all__ = ["IGNORED", "mean_binary_cross_entropy", "mean_cross_entropy", "mean_squared_error", "span_loss"]

IGNORED = -100
"""The label of what is not predicted."""


def mean_cross_entropy(logits: Float[Any, "*items C"], labels: Int[Any, "*items"]) -> Float[Any, ""]:
    """Mean cross-entropy over the items (positions, sequences) whose label is not :data:`IGNORED`.

    Args:
        logits: Scores of the classes.
        labels: The right classes.
    """
    labelled = labels != IGNORED
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.where(labelled, labels, 0), tf.cast(logits, tf.float32))
    counted = tf.cast(labelled, tf.float32)
    return tf.reduce_sum(losses * counted) / tf.maximum(tf.reduce_sum(counted), 1.0)


def mean_binary_cross_entropy(logits: Float[Any, "*items"], labels: Shaped[Any, "*items"]) -> Float[Any, ""]:
    """Mean cross-entropy of independent decisions.

    Args:
        logits: Scores of a yes.
        labels: 1 = yes, 0 = no, or a probability between.
    """
    yes, scores = tf.cast(labels, tf.float32), tf.cast(logits, tf.float32)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(yes, scores))


def mean_squared_error(logits: Float[Any, "*items"], labels: Shaped[Any, "*items"]) -> Float[Any, ""]:
    """Mean squared error of predicted numbers."""
    return tf.reduce_mean(tf.square(tf.cast(logits, tf.float32) - tf.cast(labels, tf.float32)))


def span_loss(logits: Float[Any, "B L"], positions: Int[Any, " B"]) -> Float[Any, ""]:
    """Mean cross-entropy of the place where an answer starts (or ends) along its sequence.

    A place beyond the sequence, as of an answer that was cut off, does not count; one below 0 counts as 0.

    Args:
        logits: Scores of the positions.
        positions: The right ones.
    """
    length = tf.cast(tf.shape(logits)[1], positions.dtype)
    return mean_cross_entropy(logits, tf.where(positions < length, tf.maximum(positions, 0), IGNORED))
