"""Optimisers and learning rates of pre-training and fine-tuning: LAMB, parameter groups, schedules. PyTorch."""

from __future__ import annotations

from albertkit.optional import require

require("torch", "Training")

from albertkit.optim.groups import build_optimizer, decay_by_layer, group_parameters  # noqa: E402
from albertkit.optim.lamb import Lamb  # noqa: E402
from albertkit.optim.schedules import DECAYS, Decay, learning_rate_at  # noqa: E402

__all__ = ["DECAYS", "Decay", "Lamb", "build_optimizer", "decay_by_layer", "group_parameters", "learning_rate_at"]
