"""Self-attention.

Shapes: B batch · L sequence · T = B x L tokens · H hidden · N heads · D head size · S positions.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from albertkit.config import AlbertConfig
from albertkit.models.shapes import Float, Int
from albertkit.models.tensorflow.dropout import drop, split_seed
from albertkit.models.tensorflow.initialization import Policy, make_dense, make_norm, make_table
from albertkit.models.tensorflow.layout import Layout

__all__ = ["AlbertAttention"]


class AlbertAttention(keras.layers.Layer):
    """Multi-head self-attention with its output projection, residual and LayerNorm (modeling.py, attention_layer)."""

    def __init__(self, config: AlbertConfig, *, dtype: Policy = None, name: str = "attention") -> None:
        super().__init__(dtype=dtype, name=name)
        hidden, policy = config.hidden_size, self.dtype_policy
        with keras.name_scope(name):
            self.query = make_dense(config, hidden, hidden, "query", policy)
            self.key = make_dense(config, hidden, hidden, "key", policy)
            self.value = make_dense(config, hidden, hidden, "value", policy)
            if config.position_embedding_type != "absolute":
                entries = 2 * config.max_position_embeddings - 1
                self.distance_embedding = make_table(config, entries, config.head_size, "distance_embedding", policy)
            self.dense = make_dense(config, hidden, hidden, "dense", policy)
            self.LayerNorm = make_norm(config, hidden, "LayerNorm", policy)
        self.heads = (config.num_attention_heads, config.head_size)
        self.position_type = config.position_embedding_type
        self.dropout_prob = config.attention_probs_dropout_prob
        self.output_dropout_prob = config.hidden_dropout_prob
        self.built = True

    def call(
        self,
        hidden: Float[Any, "T H"],
        head_mask: Float[Any, " N"] | None = None,
        seed: Int[Any, "2"] | None = None,
        *,
        layout: Layout,
    ) -> tuple[Float[Any, "T H"], Float[Any, "B N L L"]]:
        """Let every token look at its own sequence; also returned: the probabilities.

        Args:
            hidden: The tokens.
            head_mask: A factor for each head's probabilities.
            seed: Of the dropout, which there is none of without it.
            layout: How the tokens lie.
        """
        query, key, value = (self._split_heads(project(hidden), layout) for project in (self.query, self.key, self.value))
        scores = tf.matmul(query, key, transpose_b=True) / math.sqrt(self.heads[1])
        if self.position_type != "absolute":
            scores += self._score_distances(query, key, layout)
        scores = tf.cast(scores, tf.float32)
        if layout.seen is not None:
            # The lowest number, not -inf: a row without any real token stays finite.
            scores = tf.where(layout.seen, scores, scores.dtype.min)
        of_probabilities, of_output = split_seed(seed, 2)
        probabilities = drop(tf.cast(tf.nn.softmax(scores), value.dtype), self.dropout_prob, of_probabilities)
        if head_mask is not None:
            probabilities *= head_mask[:, None, None]
        context = tf.reshape(tf.transpose(probabilities @ value, (0, 2, 1, 3)), (-1, hidden.shape[-1]))
        projected = drop(self.dense(context), self.output_dropout_prob, of_output)
        return self.LayerNorm(hidden + projected), probabilities

    def _split_heads(self, tokens: Float[Any, "T H"], layout: Layout) -> Float[Any, "B N L D"]:
        return tf.transpose(tf.reshape(tokens, (*layout.sizes, *self.heads)), (0, 2, 1, 3))

    def _score_distances(self, query: Float[Any, "B N L D"], key: Float[Any, "B N L D"], layout: Layout) -> Float[Any, "B N L L"]:
        """What the distance from each query to each key adds to its score; unscaled, as in every ALBERT that had it.

        Sources: arXiv:1803.02155 (``relative_key``), arXiv:2009.13658 method 4 (``relative_key_query``).
        """
        places = tf.range(layout.sizes[1])
        middle = self.distance_embedding.input_dim // 2  # the entry of distance 0
        distances = self.distance_embedding(places[:, None] - places + middle)  # [L, L, D]
        scores = tf.einsum("bnqd,qkd->bnqk", query, distances)
        if self.position_type == "relative_key_query":
            scores += tf.einsum("bnkd,qkd->bnqk", key, distances)
        return scores
