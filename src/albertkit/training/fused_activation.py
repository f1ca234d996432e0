"""The activation between the feed-forward products of a training step on the CPU, with its derivative.

PyTorch computes the GELU with a tanh (arXiv:1606.08415), which ALBERT v2 uses, by a tanh that takes six times as long
as a sigmoid (2.13). Here is the same function by a sigmoid: ``x (1 + tanh u) / 2 = x σ(2u)``.

Shapes: R rows · F intermediate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from albertkit.inference.prepacked import find_fused
from albertkit.models.shapes import Float

__all__ = ["BothWays", "find_both_ways"]

_INNER = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715 * _INNER
_CHUNK = 1 << 18
"""Values computed at once, which stay in cache between the operations."""


class BothWays:
    """An activation and its backward pass, by autograd.

    Args:
        function: Of one tensor.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function

    def __call__(self, wide: Float[Tensor, "R F"]) -> Float[Tensor, "R F"]:
        """The activation."""
        return self._function(wide)

    def replay(self, wide: Float[Tensor, "R F"]) -> tuple[Float[Tensor, "R F"], Callable[[Tensor], Tensor]]:
        """The activation, and the function from the gradient of what it gave to that of ``wide``."""
        with torch.enable_grad():
            given = wide.detach().requires_grad_()
            activated = self._function(given)
        return activated.detach(), lambda gradient: torch.autograd.grad(activated, given, gradient)[0]


class _GeluTanh(BothWays):
    """``x σ(z)``, ``z = x (a + b x²)``, in float32 whatever the type of ``x``."""

    def __call__(self, wide: Float[Tensor, "R F"]) -> Float[Tensor, "R F"]:
        activated = torch.empty_like(wide)
        for values, part in _cut(wide, activated):
            torch.mul(values, _find_share(values), out=part)
        return activated

    def replay(self, wide: Float[Tensor, "R F"]) -> tuple[Float[Tensor, "R F"], Callable[[Tensor], Tensor]]:
        activated, slopes = torch.empty_like(wide), torch.empty_like(wide)
        for values, part, slope in _cut(wide, activated, slopes):
            share = _find_share(values)
            torch.mul(values, share, out=part)
            # σ + x σ'(z) z', where σ' = σ (1 - σ) and z' = a + 3b x²
            torch.addcmul(share, torch.ops.aten.sigmoid_backward(values, share), _add_square(values, 3 * _CUBIC), out=slope)
        return activated, slopes.mul_


def find_both_ways(function: Callable[[Tensor], Tensor]) -> BothWays:
    """The quickest form of an activation.

    Args:
        function: As of :func:`albertkit.models.torch.activations.find_activation`.
    """
    return (_GeluTanh if find_fused(function) == ("gelu", "tanh") else BothWays)(function)


def _cut(wide: Tensor, *outputs: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Parts of ``wide`` in float32, each with the parts of the outputs that belong to it."""
    inputs, *parts = (torch.split(tensor.view(-1), _CHUNK) for tensor in (wide, *outputs))
    for values, *places in zip(inputs, *parts, strict=True):
        yield values.float(), *places


def _find_share(values: Tensor) -> Tensor:
    """σ(z)."""
    return _add_square(values, _CUBIC).mul_(values).sigmoid_()


def _add_square(values: Tensor, factor: float) -> Tensor:
    """``a + factor · x²``."""
    return torch.addcmul(values.new_tensor(_INNER), values, values, value=factor)
