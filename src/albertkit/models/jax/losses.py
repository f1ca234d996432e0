"""The losses, in float32 whatever the model computes in.

Each is a mean over what is labelled, and 0, with gradients of 0, where nothing is.

Shapes: B batch · L sequence · C classes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from albertkit.models.shapes import Float, Int, Shaped

__all__ = ["IGNORED", "mean_binary_cross_entropy", "mean_cross_entropy", "mean_squared_error", "span_loss"]

IGNORED = -100
"""The label of what is not predicted."""


def mean_cross_entropy(logits: Float[Array, "*items C"], labels: Int[Array, "*items"]) -> Float[Array, ""]:
    """Mean cross-entropy over the items (positions, sequences) whose label is not :data:`IGNORED`.

    Args:
        logits: Scores of the classes.
        labels: The right classes.
    """
    scores = logits.astype(jnp.float32)
    labelled = labels != IGNORED
    right = jnp.take_along_axis(scores, jnp.where(labelled, labels, 0)[..., None], axis=-1)[..., 0]
    losses = jnp.where(labelled, jax.nn.logsumexp(scores, axis=-1) - right, 0.0)
    return losses.sum() / jnp.maximum(labelled.sum(), 1)


def mean_binary_cross_entropy(logits: Float[Array, "*items"], labels: Shaped[Array, "*items"]) -> Float[Array, ""]:
    """Mean cross-entropy of independent decisions.

    Args:
        logits: Scores of a yes.
        labels: 1 = yes, 0 = no, or a probability between.
    """
    scores, wanted = logits.astype(jnp.float32), labels.astype(jnp.float32)
    return (jax.nn.softplus(scores) - scores * wanted).mean()


def mean_squared_error(logits: Float[Array, "*items"], labels: Shaped[Array, "*items"]) -> Float[Array, ""]:
    """Mean squared error of predicted numbers."""
    return jnp.square(logits.astype(jnp.float32) - labels.astype(jnp.float32)).mean()


def span_loss(logits: Float[Array, "B L"], positions: Int[Array, " B"]) -> Float[Array, ""]:
    """Mean cross-entropy of the place where an answer starts (or ends) along its sequence.

    A place beyond the sequence, as of an answer that was cut off, does not count; one below 0 counts as 0.

    Args:
        logits: Scores of the positions.
        positions: The right ones.
    """
    places = jnp.maximum(positions, 0)
    return mean_cross_entropy(logits, jnp.where(places < logits.shape[-1], places, IGNORED))
