"""The heads of pre-training, which are more than one linear layer.

Shapes: B batch · E embedding · H hidden · V vocabulary. ``*tokens`` is ``B L``, or any positions chosen from it.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from albertkit.config import AlbertConfig
from albertkit.models.jax.activations import activate
from albertkit.models.jax.initialization import make_linear, make_norm
from albertkit.models.shapes import Float

__all__ = ["AlbertMaskedLMHead", "AlbertSentenceOrderHead"]


class AlbertMaskedLMHead(nnx.Module):
    """Scores over the vocabulary: dense H → E, activation, LayerNorm, and the word embeddings themselves as the decoder.

    Source: run_pretraining.py, get_masked_lm_output. The decoder has no parameters here, so that nothing can come untied.
    """

    def __init__(self, config: AlbertConfig, *, dtype: np.dtype, rngs: nnx.Rngs) -> None:
        self.dense = make_linear(config, config.hidden_size, config.embedding_size, dtype, rngs)
        self.activation = config.hidden_act
        self.LayerNorm = make_norm(config, config.embedding_size, dtype, rngs)
        self.bias = nnx.Param(jnp.zeros(config.vocab_size, jnp.float32))

    def __call__(self, hidden: Float[Array, "*tokens H"], word_embeddings: Float[Array, "V E"]) -> Float[Array, "*tokens V"]:
        """Score every vocabulary entry at every position given.

        Args:
            hidden: The encoder's output at the positions to predict.
            word_embeddings: The table of the embeddings.
        """
        narrow = self.LayerNorm(activate(self.activation, self.dense(hidden)))
        logits: Array = jnp.dot(narrow, word_embeddings.T.astype(narrow.dtype)) + self.bias.astype(narrow.dtype)
        return logits


class AlbertSentenceOrderHead(nnx.Module):
    """Two scores from the pooled output: 0 = segments in order, 1 = swapped (arXiv:1909.11942 §3.1).

    Always two, whatever ``num_labels`` says. Google has no dropout here; the huggingface convention has one.
    """

    def __init__(self, config: AlbertConfig, *, dtype: np.dtype, rngs: nnx.Rngs) -> None:
        rate = config.classifier_dropout_prob if config.training_convention == "huggingface" else 0.0
        self.dropout = nnx.Dropout(rate)
        self.classifier = make_linear(config, config.hidden_size, 2, dtype, rngs)

    def __call__(self, pooled: Float[Array, "B H"], key: Array | None = None) -> Float[Array, "B 2"]:
        """Score both orders.

        Args:
            pooled: The encoder's pooled output.
            key: Of the dropout; ``None``: without.
        """
        return self.classifier(self.dropout(pooled, deterministic=key is None, rngs=key))
