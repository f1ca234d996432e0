"""Which parameters decay, and the optimiser a recipe names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import nn
from torch.optim import AdamW, Optimizer

from albertkit.checkpoints.parameters import Parameter
from albertkit.optim.lamb import Lamb

__all__ = ["OptimizerName", "build_optimizer", "group_parameters"]

OptimizerName = Literal["lamb", "adamw"]
"""What a recipe may name."""


def group_parameters(
    parameters: Mapping[str, nn.Parameter], contract: Sequence[Parameter]
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Kernels and embeddings; then LayerNorm and biases, which Google leaves out of both decay and trust ratio.

    Args:
        parameters: Contract name → parameter; those that ask for no gradient are left out.
        contract: The kinds.

    Returns:
        Both lists in the contract's order.
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for entry in contract:
        if parameters[entry.name].requires_grad:
            (plain if entry.kind in ("scale", "bias") else decayed).append(parameters[entry.name])
    return decayed, plain


def build_optimizer(
    name: OptimizerName,
    parameters: Mapping[str, nn.Parameter],
    contract: Sequence[Parameter],
    *,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-6,
) -> Optimizer:
    """The optimiser over :func:`group_parameters`; the learning rate is 0 until the first step's is set.

    Args:
        name: ``lamb``, or ``adamw``: PyTorch's, fused, with bias correction.
        parameters: Contract name → parameter.
        contract: The kinds.
        weight_decay: Decoupled decay of kernels and embeddings.
        betas: β1 and β2.
        epsilon: ε.
    """
    decayed, plain = group_parameters(parameters, contract)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    if name == "lamb":
        groups[1]["trust_ratio"] = False
        return Lamb(groups, lr=0.0, betas=betas, eps=epsilon)
    return AdamW(groups, lr=0.0, betas=betas, eps=epsilon, fused=True)
