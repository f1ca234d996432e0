"""Factorised embeddings: E-wide sums of word, token type and position (arXiv:1909.11942 §3.1; modeling.py, embedding_*).

Shapes: B batch · L sequence · T tokens of a packed batch · E embedding. ``*tokens`` is ``B L`` or ``T``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from albertkit.config import AlbertConfig
from albertkit.models.shapes import Float, Int

__all__ = ["AlbertEmbeddings", "make_table"]


class AlbertEmbeddings(nn.Module):
    """Word + token type + position → LayerNorm → dropout, all E wide.

    With relative positions the encoder's attention knows them, and none are added here.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        width = config.embedding_size
        self.word_embeddings = make_table(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position_embeddings = make_table(config.max_position_embeddings, width)
        self.token_type_embeddings = make_table(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.absolute = config.position_embedding_type == "absolute"

    def forward(
        self,
        input_ids: Int[Tensor, "*tokens"] | None,
        token_type_ids: Int[Tensor, "*tokens"] | None,
        position_ids: Int[Tensor, "..."] | None,
        inputs_embeds: Float[Tensor, "*tokens E"] | None,
    ) -> Float[Tensor, "*tokens E"]:
        """Embed tokens of either layout.

        Args:
            input_ids: Vocabulary ids; ``None`` with ``inputs_embeds``.
            token_type_ids: Segment of each token; ``None``: all 0.
            position_ids: Position of each token; ``None``: 0, 1, 2 … along a padded batch.
            inputs_embeds: Word embeddings to use in place of those of ``input_ids``.
        """
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        types, positions = self.token_type_embeddings, self.position_embeddings
        embedded = words + (types.weight[0] if token_type_ids is None else types(token_type_ids))
        if self.absolute:
            embedded = embedded + (positions.weight[: words.shape[-2]] if position_ids is None else positions(position_ids))
        normalised: Tensor = self.dropout(self.LayerNorm(embedded))
        return normalised


def make_table(entries: int, width: int, padding_idx: int | None = None) -> nn.Embedding:
    """An embedding whose values are yet to be drawn or loaded.

    ``nn.Embedding`` itself draws them, which for a model that is only about to be loaded (on PyTorch's meta device) imports its
    compiler: a second at every start.
    """
    values = torch.empty(entries, width)
    table: nn.Embedding = nn.Embedding.from_pretrained(values, freeze=False, padding_idx=padding_idx)  # type: ignore[no-untyped-call]
    return table
