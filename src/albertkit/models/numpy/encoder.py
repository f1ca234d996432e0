"""The encoder: embeddings widened once from E to H, then layers that share the parameters of their group.

The drawing of a layer stands in :mod:`albertkit.models.torch.encoder`.

Shapes: T tokens of a packed batch · E embedding · H hidden · F intermediate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from albertkit.config import AlbertConfig
from albertkit.models.lengths import LengthGroups
from albertkit.models.numpy.activations import find_activation
from albertkit.models.numpy.attention import Attention
from albertkit.models.numpy.layers import LayerNorm, Linear
from albertkit.models.shapes import Float

__all__ = ["Encoder", "Layer"]


@dataclass(frozen=True, eq=False)
class Layer:
    """One inner layer: attention, then the feed-forward network with its residual and LayerNorm."""

    attention: Attention
    ffn: Linear
    activation: Callable[[np.ndarray], np.ndarray]
    ffn_output: Linear
    norm: LayerNorm

    @classmethod
    def from_parameters(cls, prefix: str, parameters: Mapping[str, np.ndarray], config: AlbertConfig) -> Layer:
        """Find the layer under ``prefix`` among the contract's parameters."""
        return cls(
            attention=Attention.from_parameters(f"{prefix}.attention", parameters, config),
            ffn=Linear.named(f"{prefix}.ffn", parameters),
            activation=find_activation(config),
            ffn_output=Linear.named(f"{prefix}.ffn_output", parameters),
            norm=LayerNorm.named(f"{prefix}.full_layer_layer_norm", parameters, config.layer_norm_eps),
        )

    def __call__(self, hidden: Float[np.ndarray, "T H"], lengths: LengthGroups) -> Float[np.ndarray, "T H"]:
        """Apply the layer."""
        attended = self.attention(hidden, lengths)
        out = self.ffn_output(self.activation(self.ffn(attended)))
        out += attended
        return self.norm(out)


@dataclass(frozen=True, eq=False)
class Encoder:
    """L layers over the parameters of G groups, each prepared once.

    Attributes:
        embedding_hidden_mapping_in: From E to H.
        groups: The inner layers of each group.
        config: Layers and their routing.
    """

    embedding_hidden_mapping_in: Linear
    groups: tuple[tuple[Layer, ...], ...]
    config: AlbertConfig

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, np.ndarray], config: AlbertConfig) -> Encoder:
        """Find the layers among the contract's parameters."""
        prefix = "albert.encoder"
        groups = tuple(
            tuple(
                Layer.from_parameters(f"{prefix}.albert_layer_groups.{group}.albert_layers.{inner}", parameters, config)
                for inner in range(config.inner_group_num)
            )
            for group in range(config.num_hidden_groups)
        )
        return cls(Linear.named(f"{prefix}.embedding_hidden_mapping_in", parameters), groups, config)

    def __call__(self, embedded: Float[np.ndarray, "T E"], lengths: LengthGroups) -> Float[np.ndarray, "T H"]:
        """Encode tokens that stand in the order of ``lengths``."""
        hidden = self.embedding_hidden_mapping_in(embedded)
        for layer in range(self.config.num_hidden_layers):
            for inner_layer in self.groups[self.config.group_of(layer)]:
                hidden = inner_layer(hidden, lengths)
        return hidden
