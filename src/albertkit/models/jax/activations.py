"""The activation functions a configuration may name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["ACTIVATION_FUNCTIONS", "activate"]

_gelu_tanh = partial(jax.nn.gelu, approximate=True)  # what Google trained with; gelu_fast differs in the tenth digit only


def _quick_gelu(x: Array) -> Array:
    return x * jax.nn.sigmoid(1.702 * x)


def _linear(x: Array) -> Array:
    return x


ACTIVATION_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_fast": _gelu_tanh,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "leaky_relu": jax.nn.leaky_relu,
    "linear": _linear,
    "mish": jax.nn.mish,
    "quick_gelu": _quick_gelu,
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
    "tanh": jnp.tanh,
}
"""Name (:data:`albertkit.config.ACTIVATIONS`) → element-wise function."""


def activate(activation: str | Callable[[Array], Array], x: Array) -> Array:
    """Apply the function that ``config.hidden_act`` names, or that it is.

    Modules keep the name: JAX's functions cannot be pickled, and copies of them are other functions to a compiler.
    """
    return (ACTIVATION_FUNCTIONS[activation] if isinstance(activation, str) else activation)(x)
