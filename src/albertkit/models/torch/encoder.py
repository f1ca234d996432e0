"""ALBERT's encoder. Start reading here: both of ALBERT's ideas are in :class:`AlbertEncoder`.

1. **Factorised embeddings** (arXiv:1909.11942 §3.1): tokens arrive E wide (128) and one matrix widens them to H, so that the
   vocabulary costs V x E parameters instead of V x H.
2. **Shared layers**: L layers are applied, but only G groups have parameters; layer i uses those of group i * G // L.
   With one group, as published, the same layer runs L times.

One layer, residuals to the left (post-norm, as in BERT)::

    hidden ──┬──────────────────┐
             │        query, key, value
             │        attention over the sequence
             │        dense, dropout
             └───────────────── + ── LayerNorm ──┬─────────────────────┐
                                                 │          ffn (H → F), activation
                                                 │          ffn_output (F → H), dropout
                                                 └──────────────────── + ── full_layer_layer_norm ── hidden

Shapes: B batch · L sequence · T tokens of a packed batch · E embedding · H hidden · F intermediate · N heads · G groups.
``*tokens`` is ``B L`` (padded) or ``T`` (packed): only attention asks which.
"""

from __future__ import annotations

from torch import Tensor, nn

from albertkit.config import AlbertConfig
from albertkit.models.shapes import Float
from albertkit.models.torch.activations import find_activation
from albertkit.models.torch.attention import AlbertAttention
from albertkit.models.torch.packing import Layout
from albertkit.models.torch.recomputation import Recomputable
from albertkit.outputs import BaseModelOutput

__all__ = ["AlbertEncoder", "AlbertLayer", "AlbertLayerGroup"]


class AlbertEncoder(nn.Module):
    """Widen the embeddings, then apply ``num_hidden_layers`` layers that share the parameters of G groups."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding_hidden_mapping_in = nn.Linear(config.embedding_size, config.hidden_size)
        self.albert_layer_groups = nn.ModuleList(AlbertLayerGroup(config) for _ in range(config.num_hidden_groups))

    def forward(
        self,
        embedded: Float[Tensor, "*tokens E"],
        layout: Layout,
        head_mask: Float[Tensor, "layers N"] | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> BaseModelOutput:
        """Encode tokens.

        Args:
            embedded: What the embeddings gave.
            layout: How the tokens lie: padded or packed.
            head_mask: For each layer, a factor for each head's attention.
            output_attentions: Keep every inner layer's attention probabilities (padded layout only).
            output_hidden_states: Keep what enters the first layer and what leaves each.
        """
        hidden = self.embedding_hidden_mapping_in(embedded)  # idea 1: E → H, once
        states: tuple[Tensor, ...] = (hidden,)
        attentions: tuple[Tensor, ...] = ()
        for layer in range(self.config.num_hidden_layers):
            group = self.albert_layer_groups[self.config.group_of(layer)]  # idea 2: L layers, G sets of parameters
            hidden, probabilities = group(hidden, layout, None if head_mask is None else head_mask[layer], output_attentions)
            attentions += probabilities
            states += (hidden,) if output_hidden_states else ()
        return BaseModelOutput(
            last_hidden_state=hidden,
            hidden_states=states if output_hidden_states else None,
            attentions=attentions if output_attentions else None,
        )


class AlbertLayerGroup(Recomputable):
    """The parameters that several layers share: ``inner_group_num`` inner layers, applied one after the other."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.albert_layers = nn.ModuleList(AlbertLayer(config) for _ in range(config.inner_group_num))

    def forward(
        self,
        hidden: Float[Tensor, "*tokens H"],
        layout: Layout,
        head_mask: Float[Tensor, " N"] | None = None,
        output_attentions: bool = False,
    ) -> tuple[Float[Tensor, "*tokens H"], tuple[Float[Tensor, "B N L L"], ...]]:
        """Apply the group once; also returned: each inner layer's attention probabilities, if asked for."""
        attentions: tuple[Tensor, ...] = ()
        for inner_layer in self.albert_layers:
            hidden, probabilities = inner_layer(hidden, layout, head_mask, output_attentions)
            attentions += () if probabilities is None else (probabilities,)
        return hidden, attentions


class AlbertLayer(nn.Module):
    """One inner layer: attention, then the feed-forward network, each with its residual and LayerNorm."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.attention = AlbertAttention(config)
        self.ffn = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = find_activation(config)
        self.ffn_output = nn.Linear(config.intermediate_size, config.hidden_size)
        # Google drops out here (modeling.py, attention_ffn_block); transformers makes this dropout and never calls it.
        self.dropout = nn.Dropout(config.hidden_dropout_prob if config.training_convention == "google" else 0.0)
        self.full_layer_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self,
        hidden: Float[Tensor, "*tokens H"],
        layout: Layout,
        head_mask: Float[Tensor, " N"] | None = None,
        output_attentions: bool = False,
    ) -> tuple[Float[Tensor, "*tokens H"], Float[Tensor, "B N L L"] | None]:
        """Apply the layer; the arguments are those of :class:`~albertkit.models.torch.attention.AlbertAttention`."""
        attended, probabilities = self.attention(hidden, layout, head_mask, output_attentions)
        projected = self.ffn_output(self.activation(self.ffn(attended)))
        return self.full_layer_layer_norm(attended + self.dropout(projected)), probabilities
