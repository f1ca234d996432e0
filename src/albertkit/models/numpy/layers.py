"""The two layers everything is made of, over float32 arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from albertkit.models.shapes import Float

__all__ = ["LayerNorm", "Linear"]


@dataclass(frozen=True, eq=False)
class Linear:
    """``x @ kernel + bias``, with the kernel ``[in, out]`` as a view of the contract's ``[out, in]``."""

    kernel: Float[np.ndarray, "inputs outputs"]
    bias: Float[np.ndarray, " outputs"]

    @classmethod
    def named(cls, name: str, parameters: Mapping[str, np.ndarray]) -> Linear:
        """The layer whose parameters are ``name.weight`` and ``name.bias``."""
        return cls(parameters[f"{name}.weight"].T, parameters[f"{name}.bias"])

    def __call__(self, x: Float[np.ndarray, "... inputs"]) -> Float[np.ndarray, "... outputs"]:
        """Apply the layer."""
        out: np.ndarray = x @ self.kernel
        out += self.bias
        return out


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """Normalise the last axis to mean 0 and variance 1, then scale and shift."""

    scale: Float[np.ndarray, " width"]
    bias: Float[np.ndarray, " width"]
    epsilon: float

    @classmethod
    def named(cls, name: str, parameters: Mapping[str, np.ndarray], epsilon: float) -> LayerNorm:
        """The layer whose parameters are ``name.weight`` and ``name.bias``."""
        return cls(parameters[f"{name}.weight"], parameters[f"{name}.bias"], epsilon)

    def __call__(self, x: Float[np.ndarray, "... width"]) -> Float[np.ndarray, "... width"]:
        """Apply the layer."""
        centred: np.ndarray = x - x.mean(axis=-1, keepdims=True)
        variance = np.einsum("...i,...i->...", centred, centred)[..., None] / np.float32(x.shape[-1])
        centred /= np.sqrt(variance + np.float32(self.epsilon))
        centred *= self.scale
        centred += self.bias
        return centred
