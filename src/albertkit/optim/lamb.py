"""LAMB (arXiv:1904.00962) as google-research/albert has it (``lamb_optimizer.py``).

For a weight w with gradient g::

    m ← β1 m + (1 - β1) g
    v ← β2 v + (1 - β2) g²
    u = m / (√v + ε) + decay · w
    w ← w - rate · (‖w‖ / ‖u‖) · u          the ratio is 1 where either norm is 0

There is no bias correction and no bound on the ratio. LayerNorm and biases have neither decay nor ratio: they are a group of
their own (:func:`albertkit.optim.groups.group_parameters`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from albertkit.errors import ConfigError

__all__ = ["Lamb"]


class Lamb(Optimizer):
    """LAMB with Google's semantics; the state of a parameter is ``exp_avg`` (m) and ``exp_avg_sq`` (v).

    Args:
        params: Parameters, or groups of them; a group may have its own ``weight_decay`` and ``trust_ratio``.
        lr: Learning rate.
        betas: β1 and β2.
        eps: ε, added outside the root.
        weight_decay: Decoupled decay, inside the update that the ratio scales.
        trust_ratio: Whether the update is scaled to the weight's norm.

    Raises:
        ConfigError: If a value is impossible.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        trust_ratio: bool = True,
    ) -> None:
        if lr < 0 or eps <= 0 or weight_decay < 0 or not all(0 <= beta < 1 for beta in betas):
            raise ConfigError(
                "LAMB needs lr ≥ 0, eps > 0, weight_decay ≥ 0 and betas from 0 to below 1",
                received=f"lr={lr}, eps={eps}, weight_decay={weight_decay}, betas={betas}",
            )
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "trust_ratio": trust_ratio})

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
        for group in self.param_groups:
            self._update(group)
        return loss

    def _update(self, group: dict[str, Any]) -> None:
        """One group at once, with PyTorch's operations on lists of tensors."""
        weights: list[Tensor] = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {"exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight)}
        gradients: list[Any] = [weight.grad for weight in weights]
        first = [self.state[weight]["exp_avg"] for weight in weights]
        second = [self.state[weight]["exp_avg_sq"] for weight in weights]
        beta1, beta2 = group["betas"]
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        updates = torch._foreach_sqrt(second)
        torch._foreach_add_(updates, group["eps"])
        updates = torch._foreach_div(first, updates)
        if group["weight_decay"]:
            torch._foreach_add_(updates, weights, alpha=group["weight_decay"])
        if group["trust_ratio"]:
            torch._foreach_mul_(updates, _ratios(weights, updates))
        torch._foreach_add_(weights, updates, alpha=-group["lr"])


def _ratios(weights: Sequence[Tensor], updates: Sequence[Tensor]) -> list[Tensor]:
    """‖w‖ / ‖u‖ of each pair, 1 where either is 0; scalars that stay on their device."""
    pairs = zip(torch._foreach_norm(list(weights)), torch._foreach_norm(list(updates)), strict=True)
    return [torch.where((weight > 0) & (update > 0), weight / update, 1.0) for weight, update in pairs]
