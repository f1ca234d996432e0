"""Linear layers whose weights are laid out once for the processor, with what follows them computed on the way.

oneDNN multiplies by a weight that it laid out beforehand up to three times as fast as by one that it must lay out at every call,
and writes the activation or the residual into the same pass. PyTorch's compiler reaches those operations through
``torch.ops.mkldnn``, which promises nothing to others: they are tried once on a small product, and where the answer is not that
of ``F.linear``, or none comes, ``F.linear`` takes their place.

Shapes: T tokens · I inputs · O outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from albertkit.models.shapes import Float
from albertkit.models.torch.activations import ACTIVATION_FUNCTIONS

__all__ = ["FUSED", "Activation", "PlainLinear", "PrepackedLinear", "find_fused", "has_prepacking", "prepare_linear"]

Activation = Callable[[Tensor], Tensor]

FUSED: dict[Activation, tuple[str, str]] = {
    ACTIVATION_FUNCTIONS["gelu"]: ("gelu", "none"),
    ACTIVATION_FUNCTIONS["gelu_new"]: ("gelu", "tanh"),
    ACTIVATION_FUNCTIONS["relu"]: ("relu", ""),
    ACTIVATION_FUNCTIONS["tanh"]: ("tanh", ""),
}
"""Activation → its name and variant among those that oneDNN writes while it multiplies."""


def find_fused(activation: Activation | None) -> tuple[str, str]:
    """The name and variant of an activation that oneDNN writes while it multiplies; ``("none", "")`` of any other.

    A copied model has a copy of its activation where that is a ``partial``, so those are compared by what they hold.
    """
    for known, names in FUSED.items():
        if activation is not None and _read_partial(known) == _read_partial(activation):
            return names
    return "none", ""


def _read_partial(activation: Activation) -> tuple[Activation, dict[str, str]]:
    return (activation.func, activation.keywords) if isinstance(activation, partial) else (activation, {})


class PlainLinear:
    """``F.linear`` in the form of :class:`PrepackedLinear`, wherever that does not run.

    Args:
        weight: ``[O, I]``.
        bias: ``[O]``.
    """

    def __init__(self, weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"]) -> None:
        self.weight = weight
        self.bias = bias

    def __call__(
        self, tokens: Float[Tensor, "T I"], activation: Activation | None = None, residual: Float[Tensor, "T O"] | None = None
    ) -> Float[Tensor, "T O"]:
        """Multiply; then the activation, if there is one, and add the residual, if there is one."""
        outputs = F.linear(tokens, self.weight, self.bias)
        outputs = outputs if activation is None else activation(outputs)
        return outputs if residual is None else outputs + residual


class PrepackedLinear:
    """A linear layer with its weight in oneDNN's own order.

    Args:
        weight: ``[O, I]``, float32 or bfloat16, on the CPU; copied.
        bias: ``[O]``.
    """

    def __init__(self, weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"]) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
        self.bias = bias

    def __call__(
        self, tokens: Float[Tensor, "T I"], activation: Activation | None = None, residual: Float[Tensor, "T O"] | None = None
    ) -> Float[Tensor, "T O"]:
        """Multiply; then the activation, if there is one, and add the residual, if there is one."""
        multiply = torch.ops.mkldnn._linear_pointwise
        if residual is not None and activation is None:
            added: Tensor = multiply.binary(tokens, residual, self.weight, self.bias, "add")
            return added
        name, variant = find_fused(activation)
        outputs: Tensor = multiply(tokens, self.weight, self.bias, name, [], variant)
        outputs = activation(outputs) if activation is not None and name == "none" else outputs
        return outputs if residual is None else outputs + residual


def prepare_linear(weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"]) -> PrepackedLinear | PlainLinear:
    """The fastest form that runs here."""
    return (PrepackedLinear if has_prepacking(weight.dtype) else PlainLinear)(weight, bias)


@lru_cache
def has_prepacking(dtype: torch.dtype) -> bool:
    """Tell whether :class:`PrepackedLinear` runs here in ``dtype``, and answers as ``F.linear`` does; tried once."""
    places = torch.arange(7 * 16, dtype=torch.float32)  # no random numbers: the caller's generator stays where it is
    tokens, weight = places.sin().view(7, 16).to(dtype), places[: 5 * 16].cos().view(5, 16).to(dtype)
    bias, residual = weight[:, 0].clone(), tokens[:, :5].contiguous()
    tolerance = 16 * torch.finfo(dtype).eps  # of sums of 16 products, each at most 1
    try:
        prepacked, plain = PrepackedLinear(weight, bias), PlainLinear(weight, bias)
        cases = [(activation, None) for activation in (None, *FUSED)] + [(None, residual)]
        return all(torch.allclose(prepacked(tokens, *case), plain(tokens, *case), rtol=0, atol=tolerance) for case in cases)
    except (AttributeError, RuntimeError):  # no such operation in this PyTorch, or other arguments, or no such type here
        return False
