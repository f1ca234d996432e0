"""ALBERT's encoder. Start reading here: both of ALBERT's ideas are in :class:`AlbertEncoder`.

1. **Factorised embeddings** (arXiv:1909.11942 §3.1): tokens arrive E wide (128) and one matrix widens them to H, so that the
   vocabulary costs V x E parameters instead of V x H.
2. **Shared layers**: L layers are applied, but only G groups have parameters; layer i uses those of group i * G // L.
   With one group, as published, the same layer runs L times: one loop of the compiler, whose program does not grow with L.

One layer, residuals to the left (post-norm, as in BERT)::

    hidden ──┬──────────────────┐
             │        query, key, value
             │        attention over the sequence
             │        dense, dropout
             └───────────────── + ── LayerNorm ──┬─────────────────────┐
                                                 │          ffn (H → F), activation
                                                 │          ffn_output (F → H), dropout
                                                 └──────────────────── + ── full_layer_layer_norm ── hidden

Shapes: B batch · L sequence · E embedding · H hidden · F intermediate · N heads · G groups.
"""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
from flax import nnx
from jax import Array

from albertkit.config import AlbertConfig
from albertkit.models.jax.activations import activate
from albertkit.models.jax.attention import AlbertAttention
from albertkit.models.jax.initialization import make_linear, make_norm
from albertkit.models.jax.inputs import split_key
from albertkit.models.shapes import Bool, Float, Shaped
from albertkit.outputs import BaseModelOutput

__all__ = ["AlbertEncoder", "AlbertLayer", "AlbertLayerGroup"]


class AlbertEncoder(nnx.Module):
    """Widen the embeddings, then apply ``num_hidden_layers`` layers that share the parameters of G groups."""

    def __init__(self, config: AlbertConfig, *, dtype: np.dtype, rngs: nnx.Rngs) -> None:
        self.config = config
        self.embedding_hidden_mapping_in = make_linear(config, config.embedding_size, config.hidden_size, dtype, rngs)
        self.albert_layer_groups = nnx.List(
            [AlbertLayerGroup(config, dtype=dtype, rngs=rngs) for _ in range(config.num_hidden_groups)]
        )

    def __call__(
        self,
        embedded: Float[Array, "B L E"],
        mask: Bool[Array, "B L"] | None = None,
        head_mask: Float[Array, "layers N"] | None = None,
        key: Array | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> BaseModelOutput:
        """Encode tokens.

        Args:
            embedded: What the embeddings gave.
            mask: True at real tokens; ``None``: all are.
            head_mask: For each layer, a factor for each head's attention.
            key: Of the dropout; ``None``: without.
            output_attentions: Keep every inner layer's attention probabilities.
            output_hidden_states: Keep what enters the first layer and what leaves each.
        """
        hidden = self.embedding_hidden_mapping_in(embedded)  # idea 1: E → H, once
        states: tuple[Array, ...] = (hidden,)
        attentions: tuple[Array, ...] = ()
        layers = [self.config.group_of(layer) for layer in range(self.config.num_hidden_layers)]
        keys = None if key is None else jax.random.split(key, len(layers))
        for number, group in enumerate(self.albert_layer_groups):  # idea 2: L layers, G sets of parameters
            first, times = layers.index(number), layers.count(number)
            rows = slice(first, first + times)
            hidden, kept_attentions, kept_states = group.repeat(
                hidden,
                mask,
                None if head_mask is None else head_mask[rows],
                None if keys is None else keys[rows],
                times,
                output_attentions,
                output_hidden_states,
            )
            attentions += kept_attentions
            states += kept_states
        return BaseModelOutput(
            last_hidden_state=hidden,
            hidden_states=states if output_hidden_states else None,
            attentions=attentions if output_attentions else None,
        )


class AlbertLayerGroup(nnx.Module):
    """The parameters that several layers share: ``inner_group_num`` inner layers, applied one after the other."""

    def __init__(self, config: AlbertConfig, *, dtype: np.dtype, rngs: nnx.Rngs) -> None:
        self.albert_layers = nnx.List([AlbertLayer(config, dtype=dtype, rngs=rngs) for _ in range(config.inner_group_num)])

    # Compiled here too, so that a call outside jit compiles the loop once for each shape, and equal groups share the program.
    @partial(jax.jit, static_argnames=("times", "output_attentions", "output_hidden_states"))
    def repeat(
        self,
        hidden: Float[Array, "B L H"],
        mask: Bool[Array, "B L"] | None,
        head_mask: Float[Array, "times N"] | None,
        keys: Shaped[Array, "times ..."] | None,
        times: int,
        output_attentions: bool,
        output_hidden_states: bool,
    ) -> tuple[Float[Array, "B L H"], tuple[Float[Array, "B N L L"], ...], tuple[Float[Array, "B L H"], ...]]:
        """Apply the group ``times`` times; also returned: attention probabilities and hidden states, if asked for.

        One loop, whatever the number of layers: what differs between them, head mask and keys, comes along in rows.
        """

        def apply(hidden: Array, own: tuple[Array | None, Array | None]) -> tuple[Array, tuple[tuple[Array, ...], Array | None]]:
            hidden, probabilities = self(hidden, mask, *own)
            return hidden, (probabilities if output_attentions else (), hidden if output_hidden_states else None)

        hidden, (probabilities, states) = jax.lax.scan(apply, hidden, (head_mask, keys), length=times)
        attentions = tuple(inner[layer] for layer in range(times) for inner in probabilities)
        return hidden, attentions, () if states is None else tuple(states)

    def __call__(
        self,
        hidden: Float[Array, "B L H"],
        mask: Bool[Array, "B L"] | None = None,
        head_mask: Float[Array, " N"] | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B L H"], tuple[Float[Array, "B N L L"], ...]]:
        """Apply the group once; also returned: each inner layer's attention probabilities."""
        attentions: tuple[Array, ...] = ()
        for inner_layer, own_key in zip(self.albert_layers, split_key(key, len(self.albert_layers)), strict=True):
            hidden, probabilities = inner_layer(hidden, mask, head_mask, own_key)
            attentions += (probabilities,)
        return hidden, attentions


class AlbertLayer(nnx.Module):
    """One inner layer: attention, then the feed-forward network, each with its residual and LayerNorm."""

    def __init__(self, config: AlbertConfig, *, dtype: np.dtype, rngs: nnx.Rngs) -> None:
        self.attention = AlbertAttention(config, dtype=dtype, rngs=rngs)
        self.ffn = make_linear(config, config.hidden_size, config.intermediate_size, dtype, rngs)
        self.activation = config.hidden_act
        self.ffn_output = make_linear(config, config.intermediate_size, config.hidden_size, dtype, rngs)
        # Google drops out here (modeling.py, attention_ffn_block); transformers makes this dropout and never calls it.
        self.dropout = nnx.Dropout(config.hidden_dropout_prob if config.training_convention == "google" else 0.0)
        self.full_layer_layer_norm = make_norm(config, config.hidden_size, dtype, rngs)

    def __call__(
        self,
        hidden: Float[Array, "B L H"],
        mask: Bool[Array, "B L"] | None = None,
        head_mask: Float[Array, " N"] | None = None,
        key: Array | None = None,
    ) -> tuple[Float[Array, "B L H"], Float[Array, "B N L L"]]:
        """Apply the layer; the arguments are those of :class:`~albertkit.models.jax.attention.AlbertAttention`."""
        attention_key, own_key = split_key(key, 2)
        attended, probabilities = self.attention(hidden, mask, head_mask, attention_key)
        projected = self.ffn_output(activate(self.activation, self.ffn(attended)))
        dropped = self.dropout(projected, deterministic=key is None, rngs=own_key)
        return self.full_layer_layer_norm(attended + dropped), probabilities
