"""The models: the encoder alone, and with the heads of pre-training; those of single tasks are in :mod:`.tasks`.

Every call takes ``input_ids [B, L]`` with ``attention_mask [B, L]``, not 0 at real tokens. The other arguments, all optional:

- ``token_type_ids [B, L]``: segment of each token; 0 when absent.
- ``position_ids [B, L]``: position of each token; 0, 1, 2 … when absent.
- ``head_mask [N]`` or ``[layers, N]``: a factor for each head's attention, 0 to silence it.
- ``inputs_embeds [B, L, E]``: word embeddings, in place of ``input_ids``.
- ``labels [B, L]``: the right vocabulary id at the positions to predict, -100 at all others.
- ``sentence_order_label [B]``: 0 = segments in order, 1 = swapped.
- ``params``: a tree like :attr:`~albertkit.models.jax.weights.AlbertPreTrainedModel.params`, in place of the model's own.
- ``train``: drop out, by ``dropout_rng``, a key.
- ``output_attentions``, ``output_hidden_states``, ``return_dict``: as the configuration says when absent.

Arrays are JAX's or NumPy's. What cannot be right is refused with an :class:`~albertkit.errors.InputError`.

Shapes: B batch · L sequence · E embedding · H hidden · N heads · V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from albertkit.checkpoints.parameters import Head
from albertkit.config import AlbertConfig
from albertkit.models.jax.embeddings import AlbertEmbeddings
from albertkit.models.jax.encoder import AlbertEncoder
from albertkit.models.jax.heads import AlbertMaskedLMHead, AlbertSentenceOrderHead
from albertkit.models.jax.initialization import make_linear
from albertkit.models.jax.inputs import (
    Given,
    Inputs,
    check_inputs,
    read_batch,
    read_head_mask,
    read_keys,
    read_labels,
    split_key,
)
from albertkit.models.jax.losses import mean_cross_entropy
from albertkit.models.jax.weights import AlbertPreTrainedModel
from albertkit.models.shapes import Float, Shaped
from albertkit.outputs import AlbertForPreTrainingOutput, BaseModelOutputWithPooling, MaskedLMOutput

__all__ = ["AlbertForMaskedLM", "AlbertForPreTraining", "AlbertModel", "AlbertWithHeads"]


class AlbertModel(AlbertPreTrainedModel):
    """The encoder with its pooler (dense and tanh over the first position), without a task head.

    Args:
        config: As all of :class:`~albertkit.models.jax.weights.AlbertPreTrainedModel`'s.
        input_shape: The same.
        seed: The same.
        dtype: The same.
        rngs: The same.
        add_pooling_layer: Have a pooler; an argument of :meth:`from_pretrained` too.
    """

    architecture: ClassVar[str] = "AlbertModel"
    prefix: ClassVar[str] = "albert."
    constructor_options: ClassVar[tuple[str, ...]] = ("add_pooling_layer",)

    def __init__(
        self,
        config: AlbertConfig,
        input_shape: tuple[int, ...] = (1, 1),
        seed: int = 0,
        dtype: DTypeLike = jnp.float32,
        *,
        rngs: nnx.Rngs | None = None,
        add_pooling_layer: bool = True,
    ) -> None:
        heads: tuple[Head, ...] = ("pooler",) if add_pooling_layer else ()
        super().__init__(config, input_shape, seed, dtype, rngs=rngs, heads=heads)

    def _build(self, rngs: nnx.Rngs) -> None:
        config, dtype = self.config, self.dtype
        self.embeddings = AlbertEmbeddings(config, dtype=dtype, rngs=rngs)
        self.encoder = AlbertEncoder(config, dtype=dtype, rngs=rngs)
        pooled = "pooler" in self.heads
        self.pooler = make_linear(config, config.hidden_size, config.hidden_size, dtype, rngs) if pooled else None

    def __call__(
        self,
        input_ids: Shaped[Given, "..."] | None = None,
        attention_mask: Shaped[Given, "..."] | None = None,
        token_type_ids: Shaped[Given, "..."] | None = None,
        position_ids: Shaped[Given, "..."] | None = None,
        head_mask: Shaped[Given, "..."] | None = None,
        inputs_embeds: Float[Given, "..."] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        dropout_rng: Array | None = None,
        train: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutputWithPooling | tuple[Any, ...]:
        """Encode a batch; the arguments are explained at the top of this module."""
        (key,) = read_keys(self.config, train, dropout_rng, 1)
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        model = self if params is None else self.with_params(params)
        return self._as_asked(model.encode(inputs, key, output_attentions, output_hidden_states), return_dict)

    def encode(
        self, inputs: Inputs, key: Array | None, output_attentions: bool | None, output_hidden_states: bool | None
    ) -> BaseModelOutputWithPooling:
        """What a call does, for the models with heads.

        Args:
            inputs: The first six arguments of a call.
            key: Of the dropout; ``None``: without.
            output_attentions: As in a call.
            output_hidden_states: As in a call.
        """
        config = self.config
        check_inputs(inputs)
        input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds = inputs
        batch = read_batch(config, input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        embeddings_key, encoder_key = split_key(key, 2)
        encoded = self.encoder(
            self.embeddings(batch, embeddings_key),
            batch.attention_mask,
            read_head_mask(config, head_mask),
            encoder_key,
            config.output_attentions if output_attentions is None else output_attentions,
            config.output_hidden_states if output_hidden_states is None else output_hidden_states,
        )
        hidden = encoded.last_hidden_state
        pooled = None if self.pooler is None else jnp.tanh(self.pooler(hidden[:, 0]))
        return BaseModelOutputWithPooling(hidden, pooled, encoded.hidden_states, encoded.attentions)


class AlbertWithHeads(AlbertPreTrainedModel):
    """Base of the models with heads: the encoder as ``albert``, with a pooler where one of the heads reads it."""

    def _build(self, rngs: nnx.Rngs) -> None:
        self.albert = AlbertModel(self.config, dtype=self.dtype, rngs=rngs, add_pooling_layer="pooler" in self.heads)

    @property
    def word_embeddings(self) -> Float[Array, "V E"]:
        """The table that the masked-LM head decodes by."""
        table: Array = self.albert.embeddings.word_embeddings.embedding[...]
        return table


class AlbertForPreTraining(AlbertWithHeads):
    """The encoder with both heads of pre-training: masked LM and sentence order (arXiv:1909.11942 §3.1).

    The loss is the sum of those whose labels are given.
    """

    architecture: ClassVar[str] = "AlbertForPreTraining"

    def _build(self, rngs: nnx.Rngs) -> None:
        super()._build(rngs)
        self.predictions = AlbertMaskedLMHead(self.config, dtype=self.dtype, rngs=rngs)
        self.sop_classifier = AlbertSentenceOrderHead(self.config, dtype=self.dtype, rngs=rngs)

    def __call__(
        self,
        input_ids: Shaped[Given, "..."] | None = None,
        attention_mask: Shaped[Given, "..."] | None = None,
        token_type_ids: Shaped[Given, "..."] | None = None,
        position_ids: Shaped[Given, "..."] | None = None,
        head_mask: Shaped[Given, "..."] | None = None,
        inputs_embeds: Float[Given, "..."] | None = None,
        labels: Shaped[Given, "..."] | None = None,
        sentence_order_label: Shaped[Given, "..."] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        dropout_rng: Array | None = None,
        train: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> AlbertForPreTrainingOutput | tuple[Any, ...]:
        """Score both objectives; the arguments are explained at the top of this module."""
        model = self if params is None else self.with_params(params)
        key, head_key = read_keys(self.config, train, dropout_rng, 2)
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = model.albert.encode(inputs, key, output_attentions, output_hidden_states)
        logits = model.predictions(encoded.last_hidden_state, model.word_embeddings)
        sop_logits = model.sop_classifier(encoded.pooler_output, head_key)
        losses = []
        if labels is not None:
            losses.append(_token_loss(logits, labels))
        if sentence_order_label is not None:
            losses.append(
                mean_cross_entropy(sop_logits, read_labels("sentence_order_label", sentence_order_label, sop_logits.shape[:1], 2))
            )
        loss = sum(losses) if losses else None
        output = AlbertForPreTrainingOutput(loss, logits, sop_logits, encoded.hidden_states, encoded.attentions)
        return self._as_asked(output, return_dict)


class AlbertForMaskedLM(AlbertWithHeads):
    """The encoder, without a pooler, with the masked-LM head."""

    architecture: ClassVar[str] = "AlbertForMaskedLM"

    def _build(self, rngs: nnx.Rngs) -> None:
        super()._build(rngs)
        self.predictions = AlbertMaskedLMHead(self.config, dtype=self.dtype, rngs=rngs)

    def __call__(
        self,
        input_ids: Shaped[Given, "..."] | None = None,
        attention_mask: Shaped[Given, "..."] | None = None,
        token_type_ids: Shaped[Given, "..."] | None = None,
        position_ids: Shaped[Given, "..."] | None = None,
        head_mask: Shaped[Given, "..."] | None = None,
        inputs_embeds: Float[Given, "..."] | None = None,
        labels: Shaped[Given, "..."] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        dropout_rng: Array | None = None,
        train: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> MaskedLMOutput | tuple[Any, ...]:
        """Score the vocabulary at every position; the arguments are explained at the top of this module."""
        model = self if params is None else self.with_params(params)
        (key,) = read_keys(self.config, train, dropout_rng, 1)
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = model.albert.encode(inputs, key, output_attentions, output_hidden_states)
        logits = model.predictions(encoded.last_hidden_state, model.word_embeddings)
        loss = None if labels is None else _token_loss(logits, labels)
        return self._as_asked(MaskedLMOutput(loss, logits, encoded.hidden_states, encoded.attentions), return_dict)


def _token_loss(logits: Float[Array, "B L V"], labels: Given) -> Float[Array, ""]:
    """The loss at the labelled positions."""
    return mean_cross_entropy(logits, read_labels("labels", labels, logits.shape[:2], logits.shape[2]))
