"""Scores to probabilities, in float64: what is printed and added up should not carry float32's rounding of a sum."""

from __future__ import annotations

import numpy as np

__all__ = ["sigmoid", "softmax"]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis ``[..., C]``, which add up to 1."""
    logits = logits.astype(np.float64)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: np.ndarray = weights / weights.sum(axis=-1, keepdims=True)
    return probabilities


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities of each score by itself, of any shape."""
    # 1 / (1 + e⁻ˣ), whose power overflows for large negative scores, by way of its logarithm.
    probabilities: np.ndarray = np.exp(-np.logaddexp(0.0, -logits.astype(np.float64)))
    return probabilities
