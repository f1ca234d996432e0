"""Muon for the kernels of the layers, AdamW for everything else, as one optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import AdamW, Muon, Optimizer

__all__ = ["MuonWithAdamW"]


class MuonWithAdamW(Optimizer):
    """PyTorch's own Muon (https://kellerjordan.github.io/posts/muon) and AdamW over one list of parameter groups and one state.

    Muon makes every update of a matrix orthogonal: all its directions move alike, not only the few that the gradient favours.

    Args:
        matrices: Groups of two-dimensional parameters.
        others: Groups of all other parameters.
        betas: β1 and β2 of AdamW; Muon's momentum is the 0.95 of its authors.
        epsilon: ε of AdamW.
    """

    def __init__(
        self, matrices: list[dict[str, Any]], others: list[dict[str, Any]], *, betas: tuple[float, float], epsilon: float
    ) -> None:
        self._parts: tuple[Optimizer, ...] = (Muon(matrices, lr=0.0), AdamW(others, lr=0.0, betas=betas, eps=epsilon, fused=True))
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        for part in self._parts:  # the groups are the same objects in both; so is the state from here on
            part.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient.

        Args:
            closure: Evaluated first, with gradients, and its value returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss
