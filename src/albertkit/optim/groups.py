"""Which parameters decay, and the optimiser a recipe names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from torch import nn
from torch.optim import AdamW, Optimizer

from albertkit.checkpoints.parameters import Parameter
from albertkit.config import AlbertConfig
from albertkit.optim.lamb import Lamb
from albertkit.optim.muon import MuonWithAdamW

__all__ = ["OptimizerName", "build_optimizer", "decay_by_layer", "group_parameters"]

OptimizerName = Literal["lamb", "adamw", "muon"]
"""What a recipe may name."""

_LAYERS = "albert.encoder.albert_layer_groups."


def group_parameters(
    parameters: Mapping[str, nn.Parameter], contract: Sequence[Parameter]
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Kernels and embeddings; then LayerNorm and biases, which Google leaves out of both decay and trust ratio.

    Args:
        parameters: Name → parameter; those that ask for no gradient are left out.
        contract: The kinds; of what it does not name, such as adapters, matrices count as kernels.

    Returns:
        Both lists in the contract's order.
    """
    kinds = {entry.name: entry.kind for entry in contract}
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    names = [name for name in kinds if name in parameters] + [name for name in parameters if name not in kinds]
    for name in names:
        parameter = parameters[name]
        kind = kinds.get(name, "kernel" if parameter.ndim > 1 else "bias")
        if parameter.requires_grad:
            (plain if kind in ("scale", "bias") else decayed).append(parameter)
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
    rate_factors: Mapping[str, float] | None = None,
) -> Optimizer:
    """The optimiser over :func:`group_parameters`; the learning rate is 0 until the first step's is set.

    A group's ``rate_factor`` is what the learning rate of a step is to be multiplied by for it.

    Args:
        name: ``lamb``; ``adamw``: PyTorch's, fused, with bias correction; ``muon``: PyTorch's for the layers' kernels, with
            ``adamw`` for the rest.
        parameters: Name → parameter.
        contract: The kinds.
        weight_decay: Decoupled decay of kernels and embeddings.
        betas: β1 and β2.
        epsilon: ε.
        muon_rate: For ``muon``: the rate factor of the layers' kernels.
        rate_factors: Name → a further factor of its rate, as of :func:`decay_by_layer`.
    """
    decayed, plain = group_parameters(parameters, contract)
    factors = {id(parameters[key]): factor for key, factor in (rate_factors or {}).items()}
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": weight_decay, "rate_factor": 1.0},
        {"params": plain, "weight_decay": 0.0, "rate_factor": 1.0},
    ]
    if name == "lamb":
        groups[1]["trust_ratio"] = False
        return Lamb(_split(groups, factors), lr=0.0, betas=betas, eps=epsilon)
    if name == "muon":
        names = [entry.name for entry in contract if entry.kind == "kernel" and entry.name.startswith(_LAYERS)]
        kernels = [parameters[kernel] for kernel in names if parameters[kernel].requires_grad]
        in_layers = set(map(id, kernels))
        groups[0]["params"] = [parameter for parameter in decayed if id(parameter) not in in_layers]
        matrices = {"params": kernels, "weight_decay": weight_decay, "rate_factor": muon_rate}
        return MuonWithAdamW(_split([matrices], factors), _split(groups, factors), betas=betas, epsilon=epsilon)
    return AdamW(_split(groups, factors), lr=0.0, betas=betas, eps=epsilon, fused=True)


def decay_by_layer(names: Iterable[str], config: AlbertConfig, layer_decay: float) -> dict[str, float]:
    """Rate factors that fall from the head down: ``layer_decay ** (layers + 1 - depth)`` (arXiv:1801.06146 §3.2).

    The depth of the embeddings is 0 and that of pooler and head ``layers + 1``. A group of layers is applied at several depths
    but has one set of parameters: its depth is the mean of the numbers, from 1, of the layers that use it.

    Args:
        names: Of the parameters, by contract.
        config: Depth and groups.
        layer_decay: Factor for each layer of distance.
    """
    layers = config.num_hidden_layers
    groups: dict[int, list[int]] = {}
    for index in range(layers):
        groups.setdefault(config.group_of(index), []).append(index + 1)

    def depth(name: str) -> float:
        if name.startswith(_LAYERS):
            numbers = groups[int(name.removeprefix(_LAYERS).partition(".")[0])]
            return sum(numbers) / len(numbers)
        return 0 if name.startswith(("albert.embeddings.", "albert.encoder.")) else layers + 1

    return {name: layer_decay ** (layers + 1 - depth(name)) for name in names}


def _split(groups: Sequence[dict[str, Any]], factors: Mapping[int, float]) -> list[dict[str, Any]]:
    """The same groups, divided where parameters have different factors of their rate, by ``id``."""
    parts: list[dict[str, Any]] = []
    for group in groups:
        by_factor: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            by_factor.setdefault(factors.get(id(parameter), 1.0), []).append(parameter)
        parts += [group | {"params": some, "rate_factor": group["rate_factor"] * factor} for factor, some in by_factor.items()]
    return parts
