"""The heads that are more than one linear layer: those of pre-training, and those that tell whether a question has an answer.

Shapes: B batch · L sequence · P chosen positions · E embedding · H hidden · V vocabulary. ``*tokens`` is ``B L``, ``T`` or
``P``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albertkit.config import AlbertConfig
from albertkit.models.shapes import Float
from albertkit.models.torch.activations import find_activation

__all__ = ["AlbertAnswerClass", "AlbertEndLogits", "AlbertMaskedLMHead", "AlbertSentenceOrderHead", "AlbertStartLogits"]


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


class AlbertStartLogits(nn.Module):
    """One score for each token, of being an answer's first (run_squad_v2.py, start_logits)."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, 1)

    def forward(self, hidden: Float[Tensor, "B L H"]) -> Float[Tensor, "B L"]:
        """Score every token."""
        logits: Tensor = self.dense(hidden).squeeze(-1)
        return logits


class AlbertEndLogits(nn.Module):
    """One score for each token, of being an answer's last where the first is known (run_squad_v2.py, end_logits)."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dense_0 = nn.Linear(2 * config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dense_1 = nn.Linear(config.hidden_size, 1)

    def forward(self, hidden: Float[Tensor, "B L H"], starts: Float[Tensor, "B K H"]) -> Float[Tensor, "B K L"]:
        """Score every token as the end of K answers.

        Args:
            hidden: All tokens.
            starts: The tokens where the answers start.
        """
        shape = (-1, starts.shape[1], hidden.shape[1], -1)
        pairs = torch.cat([hidden[:, None].expand(shape), starts[:, :, None].expand(shape)], dim=-1)
        logits: Tensor = self.dense_1(self.LayerNorm(torch.tanh(self.dense_0(pairs)))).squeeze(-1)
        return logits


class AlbertAnswerClass(nn.Module):
    """One score for each sequence, of holding no answer (run_squad_v2.py, answer_class)."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dense_0 = nn.Linear(2 * config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.classifier_dropout_prob)
        self.dense_1 = nn.Linear(config.hidden_size, 1, bias=False)

    def forward(self, start: Float[Tensor, "B H"], first: Float[Tensor, "B H"]) -> Float[Tensor, " B"]:
        """Score every sequence.

        Args:
            start: Its tokens in proportion to the probability that an answer starts there.
            first: Its first token, ``[CLS]``.
        """
        narrow = torch.tanh(self.dense_0(torch.cat([start, first], dim=-1)))
        logits: Tensor = self.dense_1(self.dropout(narrow)).squeeze(-1)
        return logits
