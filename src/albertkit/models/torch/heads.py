"""The heads of the two pre-training objectives.

Shapes: B batch · P chosen positions · E embedding · H hidden · V vocabulary. ``*tokens`` is ``B L``, ``T`` or ``P``.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from albertkit.config import AlbertConfig
from albertkit.models.shapes import Float
from albertkit.models.torch.activations import find_activation

__all__ = ["AlbertMaskedLMHead", "AlbertSentenceOrderHead"]


class AlbertMaskedLMHead(nn.Module):
    """Scores over the vocabulary: dense H → E, activation, LayerNorm, and the word embeddings themselves as the decoder.

    Source: run_pretraining.py, get_masked_lm_output. The decoder has no parameters here, so that nothing can come untied.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.embedding_size)
        self.activation = find_activation(config)
        self.LayerNorm = nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(self.dense.weight.new_zeros(config.vocab_size))

    def forward(self, hidden: Float[Tensor, "*tokens H"], word_embeddings: Float[Tensor, "V E"]) -> Float[Tensor, "*tokens V"]:
        """Score every vocabulary entry at every position given.

        Args:
            hidden: The encoder's output at the positions to predict.
            word_embeddings: The table of the embeddings.
        """
        narrow = self.LayerNorm(self.activation(self.dense(hidden)))
        return F.linear(narrow, word_embeddings, self.bias)


class AlbertSentenceOrderHead(nn.Module):
    """Two scores from the pooled output: 0 = segments in order, 1 = swapped (arXiv:1909.11942 §3.1).

    Always two, whatever ``num_labels`` says. Google has no dropout here; the huggingface convention has one.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        rate = config.classifier_dropout_prob if config.training_convention == "huggingface" else 0.0
        self.dropout = nn.Dropout(rate)
        self.classifier = nn.Linear(config.hidden_size, 2)

    def forward(self, pooled: Float[Tensor, "B H"]) -> Float[Tensor, "B 2"]:
        """Score both orders."""
        logits: Tensor = self.classifier(self.dropout(pooled))
        return logits
