"""The activation functions a configuration may name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

from albertkit.config import AlbertConfig

__all__ = ["ACTIVATION_FUNCTIONS", "find_activation"]

_gelu_tanh = partial(tf.nn.gelu, approximate=True)  # what Google trained with; gelu_fast differs in the tenth digit only


def _mish(x: Any) -> Any:
    return x * tf.tanh(tf.nn.softplus(x))


def _quick_gelu(x: Any) -> Any:
    return x * tf.sigmoid(1.702 * x)


def _linear(x: Any) -> Any:
    return x


ACTIVATION_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": partial(tf.nn.gelu, approximate=False),
    "gelu_fast": _gelu_tanh,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "leaky_relu": partial(tf.nn.leaky_relu, alpha=0.01),  # PyTorch's slope
    "linear": _linear,
    "mish": _mish,
    "quick_gelu": _quick_gelu,
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "sigmoid": tf.sigmoid,
    "silu": tf.nn.silu,
    "swish": tf.nn.silu,
    "tanh": tf.tanh,
}
"""Name (:data:`albertkit.config.ACTIVATIONS`) → element-wise function."""


def find_activation(config: AlbertConfig) -> Callable[[Any], Any]:
    """The function that ``config.hidden_act`` names, or the callable it is."""
    return ACTIVATION_FUNCTIONS[config.hidden_act] if isinstance(config.hidden_act, str) else config.hidden_act
