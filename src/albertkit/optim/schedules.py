"""Learning rates as pure functions of the step."""

from __future__ import annotations

import math
from typing import Literal, get_args

__all__ = ["DECAYS", "Decay", "learning_rate_at"]

Decay = Literal["linear", "cosine", "trapezoid", "constant"]
"""What follows the warmup. ``linear`` is Google's polynomial decay of power 1; ``trapezoid`` stays at the peak and falls
linearly over the last steps (arXiv:2405.18392), so that a run can end, or go on, wherever one likes."""

DECAYS: tuple[Decay, ...] = get_args(Decay)


def learning_rate_at(
    step: int, *, peak: float, warmup_steps: int, total_steps: int, decay: Decay = "linear", decay_steps: int = 0
) -> float:
    """The learning rate of one update.

    The first update, step 0, has rate 0 if there is a warmup; the rate would reach 0 again at ``total_steps``. The linear
    decay starts at step 0, not at the end of the warmup, where the rate therefore drops a little (google-research/albert,
    ``optimization.py``); the cosine does the same.

    Args:
        step: Number of updates made before this one.
        peak: The rate at the top.
        warmup_steps: Steps over which the rate rises linearly.
        total_steps: Steps of the whole run.
        decay: One of :data:`DECAYS`.
        decay_steps: For ``trapezoid``: how many of the last steps fall.
    """
    if step < warmup_steps:
        return peak * step / warmup_steps
    done = min(step / total_steps, 1.0)
    if decay == "linear":
        return peak * (1.0 - done)
    if decay == "cosine":
        return peak * 0.5 * (1.0 + math.cos(math.pi * done))
    if decay == "trapezoid":
        left = max(total_steps - step, 0)
        return peak * min(1.0, left / decay_steps) if decay_steps else peak
    return peak
