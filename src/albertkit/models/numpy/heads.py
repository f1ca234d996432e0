"""The heads of the two pre-training objectives.

Shapes: B batch · P chosen positions · E embedding · H hidden · V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from albertkit.config import AlbertConfig
from albertkit.models.numpy.activations import find_activation
from albertkit.models.numpy.layers import LayerNorm, Linear
from albertkit.models.shapes import Float

__all__ = ["MaskedLMHead"]


@dataclass(frozen=True, eq=False)
class MaskedLMHead:
    """Dense H → E, activation, LayerNorm, and the word embeddings as the decoder."""

    dense: Linear
    activation: Callable[[np.ndarray], np.ndarray]
    norm: LayerNorm
    decoder: Linear

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, np.ndarray], config: AlbertConfig) -> MaskedLMHead:
        """Find the head among the contract's parameters."""
        return cls(
            dense=Linear.named("predictions.dense", parameters),
            activation=find_activation(config),
            norm=LayerNorm.named("predictions.LayerNorm", parameters, config.layer_norm_eps),
            decoder=Linear(parameters["albert.embeddings.word_embeddings.weight"].T, parameters["predictions.bias"]),
        )

    def __call__(self, hidden: Float[np.ndarray, "P H"]) -> Float[np.ndarray, "P V"]:
        """Score every vocabulary entry at every position given."""
        return self.decoder(self.norm(self.activation(self.dense(hidden))))
