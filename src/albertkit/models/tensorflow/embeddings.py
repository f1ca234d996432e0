"""Factorised embeddings: E-wide sums of word, token type and position (arXiv:1909.11942 §3.1; modeling.py, embedding_*).

Shapes: B batch · L sequence · E embedding.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from albertkit.config import AlbertConfig
from albertkit.models.shapes import Float, Int
from albertkit.models.tensorflow.initialization import Policy, make_norm, make_table

__all__ = ["AlbertEmbeddings"]


class AlbertEmbeddings(keras.layers.Layer):
    """Word + token type + position → LayerNorm → dropout, all E wide.

    With relative positions the encoder's attention knows them, and none are added here.
    """

    def __init__(self, config: AlbertConfig, *, dtype: Policy = None, name: str = "embeddings") -> None:
        super().__init__(dtype=dtype, name=name)
        width, policy = config.embedding_size, self.dtype_policy
        with keras.name_scope(name):
            self.word_embeddings = make_table(config, config.vocab_size, width, "word_embeddings", policy)
            self.position_embeddings = make_table(config, config.max_position_embeddings, width, "position_embeddings", policy)
            self.token_type_embeddings = make_table(config, config.type_vocab_size, width, "token_type_embeddings", policy)
            self.LayerNorm = make_norm(config, width, "LayerNorm", policy)
        if config.training_convention == "huggingface":
            table = self.word_embeddings.embeddings
            table.assign(tf.tensor_scatter_nd_update(table, [[config.pad_token_id]], tf.zeros((1, width), table.dtype)))
        self.dropout = keras.layers.Dropout(config.hidden_dropout_prob, dtype=policy)
        self.absolute = config.position_embedding_type == "absolute"
        self.pad_token_id = config.pad_token_id
        self.built = True

    def call(
        self,
        input_ids: Int[Any, "B L"] | None = None,
        token_type_ids: Int[Any, "B L"] | None = None,
        position_ids: Int[Any, "..."] | None = None,
        inputs_embeds: Float[Any, "B L E"] | None = None,
        training: bool = False,
    ) -> Float[Any, "B L E"]:
        """Embed tokens.

        Args:
            input_ids: Vocabulary ids; ``None`` with ``inputs_embeds``.
            token_type_ids: Segment of each token; ``None``: all 0.
            position_ids: Position of each token; ``None``: 0, 1, 2 …
            inputs_embeds: Word embeddings to use in place of those of ``input_ids``.
            training: Whether to drop out.
        """
        words = self._embed_words(input_ids) if inputs_embeds is None else inputs_embeds
        types, positions = self.token_type_embeddings, self.position_embeddings
        embedded = words + (types.embeddings[0] if token_type_ids is None else types(token_type_ids))
        if self.absolute:
            length = tf.shape(words)[1]
            embedded += positions.embeddings[:length] if position_ids is None else positions(position_ids)
        return self.dropout(self.LayerNorm(embedded), training=training)

    def _embed_words(self, input_ids: Int[Any, "B L"]) -> Float[Any, "B L E"]:
        """Look words up; the padding token's embedding gets no gradient."""
        words = self.word_embeddings(input_ids)
        return tf.where(tf.expand_dims(input_ids == self.pad_token_id, -1), tf.stop_gradient(words), words)
