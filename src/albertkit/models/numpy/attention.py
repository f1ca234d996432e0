"""Self-attention over a packed batch: sequences of equal length together, as one dense block without padding.

Shapes: T tokens of a packed batch · B sequences of one length · L that length · H hidden · N heads · D head size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from albertkit.config import AlbertConfig
from albertkit.models.lengths import LengthGroups
from albertkit.models.numpy.layers import LayerNorm, Linear
from albertkit.models.shapes import Float

__all__ = ["Attention"]


@dataclass(frozen=True, eq=False)
class Attention:
    """Multi-head self-attention with its output projection, residual and LayerNorm.

    Attributes:
        query_key_value: The three projections as one, ``[H, 3H]``: made once, used at every layer that shares it.
        dense: The output projection.
        norm: The LayerNorm after the residual.
        distances: ``[2S - 1, D]``, an entry for each distance from -(S - 1) to S - 1, with relative positions.
        config: Heads and position type.
    """

    query_key_value: Linear
    dense: Linear
    norm: LayerNorm
    distances: Float[np.ndarray, "distances D"] | None
    config: AlbertConfig

    @classmethod
    def from_parameters(cls, prefix: str, parameters: Mapping[str, np.ndarray], config: AlbertConfig) -> Attention:
        """Find the layers under ``prefix`` among the contract's parameters and fuse the first three."""
        names = [f"{prefix}.{name}" for name in ("query", "key", "value")]
        weight = np.concatenate([parameters[f"{name}.weight"] for name in names])
        bias = np.concatenate([parameters[f"{name}.bias"] for name in names])
        return cls(
            query_key_value=Linear(weight.T, bias),
            dense=Linear.named(f"{prefix}.dense", parameters),
            norm=LayerNorm.named(f"{prefix}.LayerNorm", parameters, config.layer_norm_eps),
            distances=parameters.get(f"{prefix}.distance_embedding.weight"),
            config=config,
        )

    def __call__(self, hidden: Float[np.ndarray, "T H"], lengths: LengthGroups) -> Float[np.ndarray, "T H"]:
        """Let every token look at its own sequence."""
        projected = self.query_key_value(hidden)
        context = np.empty_like(hidden)
        start = 0
        for (count, length), size in zip(lengths.groups, lengths.sizes, strict=True):
            block = projected[start : start + size].reshape(count, length, 3, self.config.num_attention_heads, -1)
            query, key, value = block.transpose(2, 0, 3, 1, 4)  # each [B, N, L, D]
            attended = self._attend(query, key, value).transpose(0, 2, 1, 3)
            context[start : start + size] = attended.reshape(size, -1)
            start += size
        out = self.dense(context)
        out += hidden
        return self.norm(out)

    def _attend(
        self, query: Float[np.ndarray, "B N L D"], key: Float[np.ndarray, "B N L D"], value: Float[np.ndarray, "B N L D"]
    ) -> Float[np.ndarray, "B N L D"]:
        scale = np.float32(self.config.head_size**-0.5)
        scores: np.ndarray = (query * scale) @ key.swapaxes(-1, -2)
        if self.distances is not None:
            scores += self._score_distances(query, key, self.distances)
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        context: np.ndarray = scores @ value
        context /= scores.sum(axis=-1, keepdims=True)
        return context

    def _score_distances(
        self,
        query: Float[np.ndarray, "B N L D"],
        key: Float[np.ndarray, "B N L D"],
        table: Float[np.ndarray, "distances D"],
    ) -> Float[np.ndarray, "B N L L"]:
        """What the distance from each query to each key adds to its score (arXiv:1803.02155, arXiv:2009.13658); unscaled."""
        places = np.arange(query.shape[2])
        distances = table[places[:, None] - places + len(table) // 2]  # [L, L, D]
        scores: np.ndarray = np.einsum("bnqd,qkd->bnqk", query, distances)
        if self.config.position_embedding_type == "relative_key_query":
            scores += np.einsum("bnkd,qkd->bnqk", key, distances)
        return scores
