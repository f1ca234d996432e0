"""Self-attention.

Shapes: B batch · L sequence · H hidden · N heads · D head size · S positions.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from albertkit.config import AlbertConfig
from albertkit.models.jax.initialization import make_linear, make_norm, make_table
from albertkit.models.jax.inputs import split_key
from albertkit.models.shapes import Bool, Float

__all__ = ["AlbertAttention"]


class AlbertAttention(nnx.Module):
    """Multi-head self-attention with its output projection, residual and LayerNorm (modeling.py, attention_layer)."""

    def __init__(self, config: AlbertConfig, *, dtype: np.dtype, rngs: nnx.Rngs) -> None:
        hidden = config.hidden_size
        # Layers
        self.query = make_linear(config, hidden, hidden, dtype, rngs)
        self.key = make_linear(config, hidden, hidden, dtype, rngs)
        self.value = make_linear(config, hidden, hidden, dtype, rngs)
        if config.position_embedding_type != "absolute":
            entries = 2 * config.max_position_embeddings - 1
            self.distance_embedding = make_table(config, entries, config.head_size, dtype, rngs)
        self.attention_dropout = nnx.Dropout(config.attention_probs_dropout_prob)
        self.dense = make_linear(config, hidden, hidden, dtype, rngs)
        self.output_dropout = nnx.Dropout(config.hidden_dropout_prob)
        self.LayerNorm = make_norm(config, hidden, dtype, rngs)
        # Settings
        self.heads = (config.num_attention_heads, config.head_size)
        self.position_type = config.position_embedding_type

    def __call__(
        self,
        hidden: Float[Array, "B L H"],
        mask: Bool[Array, "B L"] | None = None,
        head_mask: Float[Array, " N"] | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B L H"], Float[Array, "B N L L"]]:
        """Let every token look at its own sequence; also returned: the probabilities.

        Args:
            hidden: The tokens.
            mask: True at real tokens; ``None``: all are.
            head_mask: A factor for each head's probabilities.
            key: Of the dropout; ``None``: without.
        """
        shape = (*hidden.shape[:2], *self.heads)
        query, keys, value = (project(hidden).reshape(shape) for project in (self.query, self.key, self.value))
        attention_key, output_key = split_key(key, 2)
        probabilities = self._attend(query, keys, mask)
        probabilities = self.attention_dropout(probabilities, deterministic=key is None, rngs=attention_key)
        if head_mask is not None:
            probabilities = probabilities * head_mask[:, None, None]
        probabilities = probabilities.astype(value.dtype)
        context = jnp.einsum("bnqk,bknd->bqnd", probabilities, value).reshape(hidden.shape)
        projected = self.output_dropout(self.dense(context), deterministic=key is None, rngs=output_key)
        return self.LayerNorm(hidden + projected), probabilities

    def _attend(
        self, query: Float[Array, "B L N D"], keys: Float[Array, "B L N D"], mask: Bool[Array, "B L"] | None
    ) -> Float[Array, "B N L L"]:
        """How much each token attends to each, in float32."""
        scores = jnp.einsum("bqnd,bknd->bnqk", query, keys, preferred_element_type=jnp.float32) / math.sqrt(self.heads[1])
        if self.position_type != "absolute":
            scores = scores + self._score_distances(query, keys)
        if mask is not None:
            # The lowest number, not -inf: a row without any real token stays finite.
            scores = jnp.where(mask[:, None, None, :], scores, np.finfo(np.float32).min)
        return jax.nn.softmax(scores, axis=-1)

    def _score_distances(self, query: Float[Array, "B L N D"], keys: Float[Array, "B L N D"]) -> Float[Array, "B N L L"]:
        """What the distance from each query to each key adds to its score; unscaled, as in every ALBERT that had it.

        Sources: arXiv:1803.02155 (``relative_key``), arXiv:2009.13658 method 4 (``relative_key_query``).
        """
        places = jnp.arange(query.shape[1])
        middle = self.distance_embedding.num_embeddings // 2  # the entry of distance 0
        distances = self.distance_embedding(places[:, None] - places + middle)  # [L, L, D]
        scores = jnp.einsum("bqnd,qkd->bnqk", query, distances)
        if self.position_type == "relative_key_query":
            scores = scores + jnp.einsum("bknd,qkd->bnqk", keys, distances)
        return scores
