"""The activation functions a configuration may name, on float32 arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from albertkit.config import AlbertConfig
from albertkit.errors import ConfigError

__all__ = ["ACTIVATION_FUNCTIONS", "find_activation"]

_Function = Callable[[np.ndarray], np.ndarray]

# Abramowitz and Stegun 7.1.26: erf(z) = 1 - t·(a1 + t·(a2 + …))·exp(-z²), t = 1 / (1 + p·z), z ≥ 0; error below 1.5e-7.
_ERF_P = 0.3275911
_ERF_A = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def _gelu(x: np.ndarray) -> np.ndarray:
    """x·Φ(x) by erf, as relu(x) - |x|/2·(1 - erf(|x|/√2)): no cancellation on either side."""
    size = np.abs(x)
    t = size * np.float32(_ERF_P / np.sqrt(2.0))
    t += np.float32(1.0)
    np.reciprocal(t, out=t)
    tail = np.full_like(x, _ERF_A[0])
    for coefficient in _ERF_A[1:]:
        tail *= t
        tail += np.float32(coefficient)
    tail *= t
    tail *= np.exp(np.float32(-0.5) * x * x)
    tail *= size
    tail *= np.float32(-0.5)
    tail += np.maximum(x, np.float32(0.0))
    return tail


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    inner: np.ndarray = x * x
    inner *= np.float32(0.044715)
    inner += np.float32(1.0)
    inner *= x
    inner *= np.float32(np.sqrt(2.0 / np.pi))
    np.tanh(inner, out=inner)
    inner += np.float32(1.0)
    inner *= x
    inner *= np.float32(0.5)
    return inner


def _sigmoid(x: np.ndarray) -> np.ndarray:
    out: np.ndarray = np.float32(0.5) * np.tanh(np.float32(0.5) * x)  # by exp it would overflow far below 0
    out += np.float32(0.5)
    return out


def _silu(x: np.ndarray) -> np.ndarray:
    out = _sigmoid(x)
    out *= x
    return out


def _mish(x: np.ndarray) -> np.ndarray:
    out: np.ndarray = np.tanh(np.logaddexp(x, np.float32(0.0)))
    out *= x
    return out


ACTIVATION_FUNCTIONS: dict[str, _Function] = {
    "gelu": _gelu,
    "gelu_fast": _gelu_tanh,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "leaky_relu": lambda x: np.where(x > 0, x, np.float32(0.01) * x),
    "linear": lambda x: x,
    "mish": _mish,
    "quick_gelu": lambda x: x * _sigmoid(np.float32(1.702) * x),
    "relu": lambda x: np.maximum(x, np.float32(0.0)),
    "relu6": lambda x: np.clip(x, np.float32(0.0), np.float32(6.0)),
    "sigmoid": _sigmoid,
    "silu": _silu,
    "swish": _silu,
    "tanh": np.tanh,
}
"""Name (:data:`albertkit.config.ACTIVATIONS`) → element-wise function."""


def find_activation(config: AlbertConfig) -> _Function:
    """The function that ``config.hidden_act`` names.

    Raises:
        ConfigError: If it is a callable, which is a PyTorch model's affair.
    """
    if not isinstance(config.hidden_act, str):
        raise ConfigError(
            "the NumPy engine knows activations by name only",
            received=f"hidden_act={getattr(config.hidden_act, '__name__', config.hidden_act)!r}",
            fix="use the torch engine for a callable",
        )
    return ACTIVATION_FUNCTIONS[config.hidden_act]
