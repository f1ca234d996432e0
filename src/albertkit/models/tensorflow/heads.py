"""The heads of pre-training.

Shapes: B batch · L sequence · P chosen positions · E embedding · H hidden · V vocabulary. ``*tokens`` is ``B L`` or ``P``.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from albertkit.config import AlbertConfig
from albertkit.models.shapes import Float
from albertkit.models.tensorflow.activations import find_activation
from albertkit.models.tensorflow.initialization import Policy, make_dense, make_norm

__all__ = ["AlbertMaskedLMHead", "AlbertSentenceOrderHead"]


class AlbertMaskedLMHead(keras.layers.Layer):
    """Scores over the vocabulary: dense H → E, activation, LayerNorm, and the word embeddings themselves as the decoder.

    Source: run_pretraining.py, get_masked_lm_output. The decoder has no parameters here, so that nothing can come untied.
    """

    def __init__(self, config: AlbertConfig, *, dtype: Policy = None, name: str = "predictions") -> None:
        super().__init__(dtype=dtype, name=name)
        with keras.name_scope(name):
            self.dense = make_dense(config, config.hidden_size, config.embedding_size, "dense", self.dtype_policy)
            self.LayerNorm = make_norm(config, config.embedding_size, "LayerNorm", self.dtype_policy)
        self.bias = self.add_weight(shape=(config.vocab_size,), initializer="zeros", name="bias")
        self.activation = find_activation(config)
        self.built = True

    def call(self, hidden: Float[Any, "*tokens H"], word_embeddings: Float[Any, "V E"]) -> Float[Any, "*tokens V"]:
        """Score every vocabulary entry at every position given.

        Args:
            hidden: The encoder's output at the positions to predict.
            word_embeddings: The table of the embeddings.
        """
        narrow = self.LayerNorm(self.activation(self.dense(hidden)))
        return tf.einsum("...e,ve->...v", narrow, word_embeddings) + self.bias


class AlbertSentenceOrderHead(keras.layers.Layer):
    """Two scores from the pooled output: 0 = segments in order, 1 = swapped (arXiv:1909.11942 §3.1).

    Always two, whatever ``num_labels`` says. Google has no dropout here; the huggingface convention has one.
    """

    def __init__(self, config: AlbertConfig, *, dtype: Policy = None, name: str = "sop_classifier") -> None:
        super().__init__(dtype=dtype, name=name)
        rate = config.classifier_dropout_prob if config.training_convention == "huggingface" else 0.0
        with keras.name_scope(name):
            self.dropout = keras.layers.Dropout(rate, dtype=self.dtype_policy)
            self.classifier = make_dense(config, config.hidden_size, 2, "classifier", self.dtype_policy)
        self.built = True

    def call(self, pooled: Float[Any, "B H"], training: bool = False) -> Float[Any, "B 2"]:
        """Score both orders."""
        return self.classifier(self.dropout(pooled, training=training))
