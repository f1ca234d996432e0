"""Factorised embeddings: E-wide sums of word, token type and position (arXiv:1909.11942 §3.1).

Shapes: T tokens of a packed batch · E embedding · V vocabulary · S positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from albertkit.config import AlbertConfig
from albertkit.models.numpy.layers import LayerNorm
from albertkit.models.shapes import Float, Int

__all__ = ["Embeddings"]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Word + token type + position → LayerNorm. With relative positions none are added here."""

    words: Float[np.ndarray, "V E"]
    positions: Float[np.ndarray, "S E"] | None
    types: Float[np.ndarray, "types E"]
    norm: LayerNorm

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, np.ndarray], config: AlbertConfig) -> Embeddings:
        """Find the tables among the contract's parameters."""
        words, positions, types = (
            parameters[f"albert.embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        )
        norm = LayerNorm.named("albert.embeddings.LayerNorm", parameters, config.layer_norm_eps)
        return cls(words, positions if config.position_embedding_type == "absolute" else None, types, norm)

    def __call__(
        self,
        input_ids: Int[np.ndarray, " T"],
        token_type_ids: Int[np.ndarray, " T"] | None,
        position_ids: Int[np.ndarray, " T"],
    ) -> Float[np.ndarray, "T E"]:
        """Embed tokens; without ``token_type_ids`` all are of type 0."""
        embedded = self.words[input_ids]
        embedded += self.types[0] if token_type_ids is None else self.types[token_type_ids]
        if self.positions is not None:
            embedded += self.positions[position_ids]
        return self.norm(embedded)
