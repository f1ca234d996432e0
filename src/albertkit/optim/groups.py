"""Which parameters decay, and the optimiser a recipe names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import nn
from torch.optim import AdamW, Optimizer

from albertkit.checkpoints.parameters import Parameter
from albertkit.optim.lamb import Lamb
from albertkit.optim.muon import MuonWithAdamW

__all__ = ["OptimizerName", "build_optimizer", "group_parameters"]

OptimizerName = Literal["lamb", "adamw", "muon"]
"""What a recipe may name."""

_LAYERS = "albert.encoder.albert_layer_groups."


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
    muon_rate: float = 10.0,
) -> Optimizer:
    """The optimiser over :func:`group_parameters`; the learning rate is 0 until the first step's is set.

    A group's ``rate_factor`` is what the learning rate of a step is to be multiplied by for it.

    Args:
        name: ``lamb``; ``adamw``: PyTorch's, fused, with bias correction; ``muon``: PyTorch's for the layers' kernels, with
            ``adamw`` for the rest.
        parameters: Contract name → parameter.
        contract: The kinds.
        weight_decay: Decoupled decay of kernels and embeddings.
        betas: β1 and β2.
        epsilon: ε.
        muon_rate: For ``muon``: the rate factor of the layers' kernels.
    """
    decayed, plain = group_parameters(parameters, contract)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": weight_decay, "rate_factor": 1.0},
        {"params": plain, "weight_decay": 0.0, "rate_factor": 1.0},
    ]
    if name == "lamb":
        groups[1]["trust_ratio"] = False
        return Lamb(groups, lr=0.0, betas=betas, eps=epsilon)
    if name == "muon":
        names = [entry.name for entry in contract if entry.kind == "kernel" and entry.name.startswith(_LAYERS)]
        kernels = [parameters[kernel] for kernel in names if parameters[kernel].requires_grad]
        in_layers = set(map(id, kernels))
        groups[0]["params"] = [parameter for parameter in decayed if id(parameter) not in in_layers]
        matrices = {"params": kernels, "weight_decay": weight_decay, "rate_factor": muon_rate}
        return MuonWithAdamW([matrices], groups, betas=betas, epsilon=epsilon)
    return AdamW(groups, lr=0.0, betas=betas, eps=epsilon, fused=True)
