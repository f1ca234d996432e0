"""The losses, in float32 whatever the model computes in.

Each is a mean over what is labelled, and 0, with gradients of 0, where nothing is.

Shapes: B batch · L sequence · C classes.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from albertkit.models.shapes import Float, Int, Shaped

__all__ = ["IGNORED", "mean_binary_cross_entropy", "mean_cross_entropy", "mean_squared_error", "span_loss"]

IGNORED = -100
"""The label of what is not predicted."""


def mean_cross_entropy(logits: Float[Tensor, "items C"], labels: Int[Tensor, " items"]) -> Float[Tensor, ""]:
    """Mean cross-entropy over the items (positions, sequences) whose label is not :data:`IGNORED`.

    Args:
        logits: Scores of the classes; -inf where a class cannot be.
        labels: The right classes.
    """
    total = F.cross_entropy(logits.float(), labels.long(), ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp(min=1)


def mean_binary_cross_entropy(logits: Float[Tensor, "*items"], labels: Shaped[Tensor, "*items"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of independent decisions.

    Args:
        logits: Scores of a yes.
        labels: 1 = yes, 0 = no, or a probability between.
    """
    return F.binary_cross_entropy_with_logits(logits.float(), labels.float())


def mean_squared_error(logits: Float[Tensor, "*items"], labels: Shaped[Tensor, "*items"]) -> Float[Tensor, ""]:
    """Mean squared error of predicted numbers."""
    return F.mse_loss(logits.float(), labels.float())


def span_loss(logits: Float[Tensor, "B L"], positions: Int[Tensor, " B"], lengths: Int[Tensor, " B"] | int) -> Float[Tensor, ""]:
    """Mean cross-entropy of the place where an answer starts (or ends) along its sequence.

    A place beyond the sequence, as of an answer that was cut off, does not count; one below 0 counts as 0.

    Args:
        logits: Scores of the positions, -inf at those that are none.
        positions: The right ones.
        lengths: Positions of each sequence, or of all alike.
    """
    return mean_cross_entropy(logits, positions.clamp(min=0).masked_fill(positions >= lengths, IGNORED))
