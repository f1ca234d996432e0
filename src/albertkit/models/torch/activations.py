"""The activation functions a configuration may name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from albertkit.config import AlbertConfig

__all__ = ["ACTIVATION_FUNCTIONS", "find_activation"]

_gelu_tanh = partial(F.gelu, approximate="tanh")  # what Google trained with; gelu_fast differs in the tenth digit only


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _linear(x: Tensor) -> Tensor:
    return x


ACTIVATION_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_fast": _gelu_tanh,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "leaky_relu": F.leaky_relu,
    "linear": _linear,
    "mish": F.mish,
    "quick_gelu": _quick_gelu,
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
}
"""Name (:data:`albertkit.config.ACTIVATIONS`) → element-wise function."""


def find_activation(config: AlbertConfig) -> Callable[[Tensor], Tensor]:
    """The function that ``config.hidden_act`` names, or the callable it is."""
    return ACTIVATION_FUNCTIONS[config.hidden_act] if isinstance(config.hidden_act, str) else config.hidden_act
