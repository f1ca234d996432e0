"""The losses of pre-training, in float32 whatever the model computes in.

Shapes: B batch · P labelled positions · V vocabulary.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from albertkit.models.shapes import Float, Int

__all__ = ["IGNORED", "masked_lm_loss", "sentence_order_loss"]

IGNORED = -100
"""The label of a position that is not predicted."""


def masked_lm_loss(logits: Float[Tensor, "P V"], labels: Int[Tensor, " P"]) -> Float[Tensor, ""]:
    """Mean cross-entropy over the positions whose label is not :data:`IGNORED`; 0, with gradients of 0, if there are none.

    Args:
        logits: Scores at the positions.
        labels: The right vocabulary ids.
    """
    total = F.cross_entropy(logits.float(), labels.long(), ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp(min=1)


def sentence_order_loss(logits: Float[Tensor, "B 2"], labels: Int[Tensor, " B"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of the sentence order over the sequences whose label is not :data:`IGNORED`.

    Args:
        logits: Scores of both orders.
        labels: 0 = segments in order, 1 = swapped.
    """
    total = F.cross_entropy(logits.float(), labels.long(), ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp(min=1)
