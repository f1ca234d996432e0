"""ALBERT's encoder. Start reading here: both of ALBERT's ideas are in :class:`AlbertEncoder`.

1. **Factorised embeddings** (arXiv:1909.11942 §3.1): tokens arrive E wide (128) and one matrix widens them to H, so that the
   vocabulary costs V x E parameters instead of V x H.
2. **Shared layers**: L layers are applied, but only G groups have parameters; layer i uses those of group i * G // L.
   The layers of a group are one loop, which a graph holds once: it does not grow with depth.

One layer, residuals to the left (post-norm, as in BERT)::

    hidden ──┬──────────────────┐
             │        query, key, value
             │        attention over the sequence
             │        dense, dropout
             └───────────────── + ── LayerNorm ──┬─────────────────────┐
                                                 │          ffn (H → F), activation
                                                 │          ffn_output (F → H), dropout
                                                 └──────────────────── + ── full_layer_layer_norm ── hidden

Shapes: B batch · L sequence · T = B x L tokens · E embedding · H hidden · F intermediate · N heads · G groups. The layers see
tokens as rows; only attention asks how they lie.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import tensorflow as tf

from albertkit.config import AlbertConfig
from albertkit.models.shapes import Float, Int, Shaped
from albertkit.models.tensorflow.activations import find_activation
from albertkit.models.tensorflow.attention import AlbertAttention
from albertkit.models.tensorflow.dropout import drop, fold_seed, split_seed
from albertkit.models.tensorflow.initialization import Policy, make_dense, make_norm
from albertkit.models.tensorflow.layout import Layout
from albertkit.outputs import BaseModelOutput

__all__ = ["AlbertEncoder", "AlbertLayer", "AlbertLayerGroup"]


class AlbertEncoder(keras.layers.Layer):
    """Widen the embeddings, then apply ``num_hidden_layers`` layers that share the parameters of G groups."""

    def __init__(self, config: AlbertConfig, *, dtype: Policy = None, name: str = "encoder") -> None:
        super().__init__(dtype=dtype, name=name)
        self.config = config
        policy = self.dtype_policy
        with keras.name_scope(name):
            self.embedding_hidden_mapping_in = make_dense(
                config, config.embedding_size, config.hidden_size, "embedding_hidden_mapping_in", policy
            )
            self.albert_layer_groups = [
                AlbertLayerGroup(config, dtype=policy, name=f"albert_layer_groups.{group}")
                for group in range(config.num_hidden_groups)
            ]
        for group in self.albert_layer_groups:  # TensorFlow's checkpoints see attributes, not what lists hold
            setattr(self, group.name, group)
        self.drops = config.hidden_dropout_prob > 0 or config.attention_probs_dropout_prob > 0
        self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def call(
        self,
        embedded: Float[Any, "B L E"],
        attention_mask: Shaped[Any, "B L"] | None = None,
        head_mask: Float[Any, "layers N"] | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        training: bool = False,
    ) -> BaseModelOutput:
        """Encode tokens.

        Args:
            embedded: What the embeddings gave.
            attention_mask: Not 0 at real tokens.
            head_mask: For each layer, a factor for each head's attention.
            output_attentions: Keep every inner layer's attention probabilities.
            output_hidden_states: Keep what enters the first layer and what leaves each.
            training: Whether to drop out.
        """
        layers = self.config.num_hidden_layers
        seed = tf.cast(self.seed_generator.next(), tf.int32) if training and self.drops else None

        def apply(group: AlbertLayerGroup, layer: Any, hidden: Any, kept: tuple[Any, ...]) -> tuple[Any, ...]:
            of_layer = None if head_mask is None else head_mask[layer]
            hidden, attentions = group(hidden, of_layer, fold_seed(seed, layer), layout=layout)
            found = ((hidden,) if output_hidden_states else ()) + ((tf.stack(attentions),) if output_attentions else ())
            return layer + 1, hidden, tuple(array.write(layer, value) for array, value in zip(kept, found, strict=True))

        first = self.embedding_hidden_mapping_in(embedded)  # idea 1: E → H, once
        layout = Layout.of(first, attention_mask)
        hidden = layout.to_rows(first)
        kept = tuple(tf.TensorArray(hidden.dtype, layers) for _ in range(output_hidden_states + output_attentions))
        layer = tf.constant(0)
        for number, group in enumerate(self.albert_layer_groups):  # idea 2: L layers, G sets of parameters
            count = sum(self.config.group_of(layer) == number for layer in range(layers))
            layer, hidden, kept = tf.while_loop(
                lambda *_: True, partial(apply, group), (layer, hidden, kept), maximum_iterations=count
            )
        arrays = [tf.unstack(array.stack(), layers) for array in kept]
        return BaseModelOutput(
            last_hidden_state=layout.from_rows(hidden),
            hidden_states=(first, *(layout.from_rows(state) for state in arrays[0])) if output_hidden_states else None,
            attentions=tuple(inner for of_layer in arrays[-1] for inner in tf.unstack(of_layer)) if output_attentions else None,
        )


class AlbertLayerGroup(keras.layers.Layer):
    """The parameters that several layers share: ``inner_group_num`` inner layers, applied one after the other."""

    def __init__(self, config: AlbertConfig, *, dtype: Policy = None, name: str) -> None:
        super().__init__(dtype=dtype, name=name)
        with keras.name_scope(name):
            self.albert_layers = [
                AlbertLayer(config, dtype=self.dtype_policy, name=f"albert_layers.{inner}")
                for inner in range(config.inner_group_num)
            ]
        for inner_layer in self.albert_layers:
            setattr(self, inner_layer.name, inner_layer)
        self.built = True

    def call(
        self,
        hidden: Float[Any, "T H"],
        head_mask: Float[Any, " N"] | None = None,
        seed: Int[Any, "2"] | None = None,
        *,
        layout: Layout,
    ) -> tuple[Float[Any, "T H"], tuple[Float[Any, "B N L L"], ...]]:
        """Apply the group once; also returned: each inner layer's attention probabilities."""
        attentions: tuple[Any, ...] = ()
        for inner_layer, of_inner in zip(self.albert_layers, split_seed(seed, len(self.albert_layers)), strict=True):
            hidden, probabilities = inner_layer(hidden, head_mask, of_inner, layout=layout)
            attentions += (probabilities,)
        return hidden, attentions


class AlbertLayer(keras.layers.Layer):
    """One inner layer: attention, then the feed-forward network, each with its residual and LayerNorm."""

    def __init__(self, config: AlbertConfig, *, dtype: Policy = None, name: str) -> None:
        super().__init__(dtype=dtype, name=name)
        hidden, policy = config.hidden_size, self.dtype_policy
        with keras.name_scope(name):
            self.attention = AlbertAttention(config, dtype=policy)
            self.ffn = make_dense(config, hidden, config.intermediate_size, "ffn", policy)
            self.ffn_output = make_dense(config, config.intermediate_size, hidden, "ffn_output", policy)
            self.full_layer_layer_norm = make_norm(config, hidden, "full_layer_layer_norm", policy)
        self.activation = find_activation(config)
        # Google drops out here (modeling.py, attention_ffn_block); transformers makes this dropout and never calls it.
        self.dropout_prob = config.hidden_dropout_prob if config.training_convention == "google" else 0.0
        self.built = True

    def call(
        self,
        hidden: Float[Any, "T H"],
        head_mask: Float[Any, " N"] | None = None,
        seed: Int[Any, "2"] | None = None,
        *,
        layout: Layout,
    ) -> tuple[Float[Any, "T H"], Float[Any, "B N L L"]]:
        """Apply the layer; the arguments are those of :class:`~albertkit.models.tensorflow.attention.AlbertAttention`."""
        of_attention, of_output = split_seed(seed, 2)
        attended, probabilities = self.attention(hidden, head_mask, of_attention, layout=layout)
        projected = self.ffn_output(self.activation(self.ffn(attended)))
        return self.full_layer_layer_norm(attended + drop(projected, self.dropout_prob, of_output)), probabilities
