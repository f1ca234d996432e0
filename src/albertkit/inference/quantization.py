"""Linear layers in int8: weights with a scale for each output, tokens with one scale for all, found as they come.

oneDNN multiplies unsigned by signed bytes, so tokens go from -127 … 127 to 1 … 255, around 128; with signed bytes on both sides
it falls back to a kernel a thousand times slower. Its operations are reached, and tried beforehand, as those of
:mod:`albertkit.inference.prepacked`. Because a chunk of tokens shares its scale, a text's answer depends a little on the texts it
runs with, less than on being quantised at all.

Shapes: T tokens · I inputs · O outputs.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from albertkit.inference.prepacked import FUSED, Activation, find_fused
from albertkit.models.shapes import Float, Int

__all__ = ["QuantizedLinear", "has_int8", "quantize_tokens"]

_ZERO = 128
"""The byte that stands for 0 in quantised tokens."""

_ROUNDING = torch.full((1,), 1.5 * 2**23 + _ZERO)
"""From 2^23 to 2^24 float32 has no bits for fractions: what is added rounds, and stands in the lowest byte."""


class QuantizedLinear:
    """A linear layer with int8 weights, in the form of :class:`~albertkit.inference.prepacked.PrepackedLinear`.

    Args:
        weight: ``[O, I]`` on the CPU, of any floating type; each output gets the scale of its largest weight.
        bias: ``[O]``.
        dtype: Of the outputs, and of the residual; the tokens may have another.
    """

    def __init__(self, weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"], dtype: torch.dtype = torch.float32) -> None:
        weight = weight.float()
        self.scales = weight.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny) / 127
        numbers = (weight / self.scales[:, None]).round().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(numbers, None)
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)
        self.bias = bias.float()
        self.dtype = dtype

    def __call__(
        self, tokens: Float[Tensor, "T I"], activation: Activation | None = None, residual: Float[Tensor, "T O"] | None = None
    ) -> Float[Tensor, "T O"]:
        """Quantise the tokens and multiply; then the activation, if there is one, and add the residual, if there is one."""
        numbers, scale = quantize_tokens(tokens)
        product = (numbers, scale, _ZERO, self.weight, self.scales, self.zeros)
        multiply, form = torch.ops.onednn.qlinear_pointwise, (self.bias, 1.0, 0, self.dtype)
        if residual is not None and activation is None:
            added: Tensor = multiply.binary(*product, residual, *form, 1.0, 0, "add", 1.0, "none", [], "")
            return added
        name, variant = find_fused(activation)
        outputs: Tensor = multiply(*product, *form, name, [], variant)
        outputs = activation(outputs) if activation is not None and name == "none" else outputs
        return outputs if residual is None else outputs + residual


def quantize_tokens(tokens: Float[Tensor, "T I"]) -> tuple[Int[Tensor, "T I"], float]:
    """Bytes around 128, and what one step of them is worth."""
    smallest, largest = torch.aminmax(tokens)
    scale = max(-smallest.item(), largest.item(), 1e-30) / 127
    # Cutting an integer is vectorised in PyTorch, turning a float into an unsigned byte is not: eight times as long.
    return torch.add(_ROUNDING, tokens, alpha=1 / scale).view(torch.int32).to(torch.uint8), scale


@lru_cache
def has_int8(dtype: torch.dtype) -> bool:
    """Tell whether :class:`QuantizedLinear` runs here from ``dtype`` to ``dtype``, nearly as ``F.linear``; tried once."""
    places = torch.arange(7 * 16, dtype=torch.float32)
    tokens, weight = places.sin().view(7, 16).to(dtype), places[: 5 * 16].cos().view(5, 16)
    bias, residual = weight[:, 0].clone(), tokens[:, :5].contiguous()
    try:
        quantized = QuantizedLinear(weight, bias, dtype)
        for activation in (None, *FUSED):
            exact = F.linear(tokens.float(), weight, bias)
            added = residual if activation is None else None
            expected = exact + residual if activation is None else activation(exact)
            if (quantized(tokens, activation, added).float() - expected).abs().max() > 0.1:  # of values up to 4
                return False
    except (AttributeError, RuntimeError):  # no such operation in this PyTorch or on this processor
        return False
    return True
