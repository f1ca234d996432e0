"""Muon for the kernels of the layers, AdamW for everything else, as one optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
        self._muon: Optimizer = Muon(matrices, lr=0.0)
        self._adamw: Optimizer = AdamW(others, lr=0.0, betas=betas, eps=epsilon, fused=True)
        super().__init__([*self._muon.param_groups, *self._adamw.param_groups], {})
        # The groups are the same objects in all three; so is the state from here on.
        self._muon.state = self._adamw.state = self.state

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient.

        Args:
            closure: Evaluated first, with gradients, and its value returned.
        """
        loss = self._muon.step(closure)
        self._adamw.step()
        return loss
