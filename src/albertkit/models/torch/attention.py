"""Self-attention: the one place where it matters how the tokens of a batch lie in memory.

Shapes: B batch · L sequence · T tokens of a packed batch · H hidden · N heads · D head size · S positions.
``*tokens`` is ``B L`` (padded) or ``T`` (packed).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albertkit.config import AlbertConfig
from albertkit.models.shapes import Bool, Float
from albertkit.models.torch.embeddings import make_table
from albertkit.models.torch.packing import Layout, Packed

__all__ = ["ATTENTION_IMPLEMENTATIONS", "AlbertAttention"]

ATTENTION_IMPLEMENTATIONS = ("eager", "sdpa")
"""In the open, or by PyTorch's fused kernels wherever they can do what is asked; the numbers are the same."""


class AlbertAttention(nn.Module):
    """Multi-head self-attention with its output projection, residual and LayerNorm (modeling.py, attention_layer)."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        # Layers
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        if config.position_embedding_type != "absolute":
            self.distance_embedding = make_table(2 * config.max_position_embeddings - 1, config.head_size)
        self.dense = nn.Linear(hidden, hidden)
        self.output_dropout = nn.Dropout(config.hidden_dropout_prob)
        self.LayerNorm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        # Settings
        self.heads = (config.num_attention_heads, config.head_size)
        self.position_type = config.position_embedding_type
        self.dropout_prob = config.attention_probs_dropout_prob
        self.implementation = "sdpa"

    def forward(
        self,
        hidden: Float[Tensor, "*tokens H"],
        layout: Layout,
        head_mask: Float[Tensor, " N"] | None = None,
        output_attentions: bool = False,
    ) -> tuple[Float[Tensor, "*tokens H"], Float[Tensor, "B N L L"] | None]:
        """Let every token look at its own sequence.

        Args:
            hidden: The tokens.
            layout: Whether ``hidden`` is padded or packed.
            head_mask: A factor for each head's probabilities.
            output_attentions: Return the probabilities too (padded layout only).
        """
        query, key, value = (project(hidden).unflatten(-1, self.heads) for project in (self.query, self.key, self.value))
        probabilities = None
        if isinstance(layout, Packed):
            context = self._attend_packed(query, key, value, layout, head_mask)
        else:
            context, probabilities = self._attend(query, key, value, layout.mask, head_mask, output_attentions)
        projected = self.output_dropout(self.dense(context.flatten(-2)))
        return self.LayerNorm(hidden + projected), probabilities

    def _attend_packed(
        self,
        query: Float[Tensor, "T N D"],
        key: Float[Tensor, "T N D"],
        value: Float[Tensor, "T N D"],
        layout: Packed,
        head_mask: Float[Tensor, " N"] | None,
    ) -> Float[Tensor, "T N D"]:
        """Attention of sequences end to end: one call for all where the device has it, else one dense block for each length."""
        drops = self.training and self.dropout_prob > 0
        if layout.varlen is not None and self._is_plain(head_mask) and not drops and _suits_flash(query):
            return layout.varlen(query, key, value, layout.cu_seqlens, layout.cu_seqlens, layout.longest, layout.longest)
        blocks = zip(layout.split(query), layout.split(key), layout.split(value), strict=True)
        return layout.join([self._attend(q, k, v, None, head_mask, False)[0] for q, k, v in blocks])

    def _attend(
        self,
        query: Float[Tensor, "B L N D"],
        key: Float[Tensor, "B L N D"],
        value: Float[Tensor, "B L N D"],
        mask: Bool[Tensor, "B L"] | None,
        head_mask: Float[Tensor, " N"] | None,
        output_attentions: bool,
    ) -> tuple[Float[Tensor, "B L N D"], Float[Tensor, "B N L L"] | None]:
        """Attention over one dense block: fused, or in the open where something needs the scores."""
        query, key, value = (tensor.transpose(1, 2) for tensor in (query, key, value))  # [B, N, L, D]
        seen = None if mask is None else mask[:, None, None, :]
        dropout = self.dropout_prob if self.training else 0.0
        if self._is_plain(head_mask) and not output_attentions and not _is_slow_fused(query):
            context = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, dropout_p=dropout)
            return context.transpose(1, 2), None
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.heads[1])
        if self.position_type != "absolute":
            scores = scores + self._score_distances(query, key)
        if seen is not None:
            # The lowest number, not -inf: a row without any real token stays finite.
            scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
        probabilities = F.dropout(scores.softmax(dim=-1), dropout)
        if head_mask is not None:
            probabilities = probabilities * head_mask[:, None, None]
        context = probabilities.to(value.dtype) @ value
        return context.transpose(1, 2), probabilities if output_attentions else None

    def _is_plain(self, head_mask: Float[Tensor, " N"] | None) -> bool:
        """Tell whether a fused kernel may do it: nothing is asked that needs the scores."""
        return self.implementation == "sdpa" and head_mask is None and self.position_type == "absolute"

    def _score_distances(self, query: Float[Tensor, "B N L D"], key: Float[Tensor, "B N L D"]) -> Float[Tensor, "B N L L"]:
        """What the distance from each query to each key adds to its score; unscaled, as in every ALBERT that had it.

        Sources: arXiv:1803.02155 (``relative_key``), arXiv:2009.13658 method 4 (``relative_key_query``).
        """
        places = torch.arange(query.shape[2], device=query.device)
        middle = self.distance_embedding.num_embeddings // 2  # the entry of distance 0
        distances = self.distance_embedding(places[:, None] - places + middle).to(query.dtype)  # [L, L, D]
        scores = torch.einsum("bnqd,qkd->bnqk", query, distances)
        if self.position_type == "relative_key_query":
            scores = scores + torch.einsum("bnkd,qkd->bnqk", key, distances)
        return scores


def _suits_flash(query: Tensor) -> bool:
    """Tell whether flash attention takes such numbers, in the backward pass too."""
    return query.dtype in (torch.bfloat16, torch.float16) and query.shape[-1] % 8 == 0 and query.shape[-1] <= 192


def _is_slow_fused(query: Tensor) -> bool:
    """Tell where PyTorch's fused kernel loses: its backward pass on CPUs in bfloat16.

    Forward and backward of 32 sequences of 128 tokens, 4 heads of 64, on one AVX-512 core: 53 ms fused, 21 ms in the open
    (of 512 tokens: 99 and 61 ms); in float32 the fused kernel wins (PyTorch 2.13).
    """
    return query.device.type == "cpu" and query.dtype == torch.bfloat16 and query.requires_grad
