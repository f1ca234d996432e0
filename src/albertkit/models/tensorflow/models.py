"""The models: the encoder alone, and with the heads of pre-training; those of single tasks are in :mod:`.tasks`.

Every call takes ``input_ids [B, L]`` with ``attention_mask [B, L]``, not 0 at real tokens: by name, or as one mapping. The other
arguments, all optional:

- ``token_type_ids [B, L]``: segment of each token; 0 when absent.
- ``position_ids [B, L]`` or ``[L]``: position of each token; counted when absent.
- ``inputs_embeds [B, L, E]``: word embeddings, in place of ``input_ids``.
- ``head_mask [N]`` or ``[layers, N]``: a factor for each head's attention, 0 to silence it.
- ``labels [B, L]``: the right vocabulary id at the positions to predict, -100 at all others.
- ``sentence_order_label [B]``: 0 = segments in order, 1 = swapped.
- ``output_attentions``, ``output_hidden_states``, ``return_dict``: as the configuration says when absent.
- ``training``: whether to drop out.

What cannot be right is refused with an :class:`~albertkit.errors.InputError`.

Shapes: B batch · L sequence · E embedding · H hidden · N heads · V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from albertkit.checkpoints.parameters import HEADS_OF_CLASS, PRETRAINING_HEADS, Head
from albertkit.config import AlbertConfig
from albertkit.models.shapes import Float, Shaped
from albertkit.models.tensorflow.embeddings import AlbertEmbeddings
from albertkit.models.tensorflow.encoder import AlbertEncoder
from albertkit.models.tensorflow.heads import AlbertMaskedLMHead, AlbertSentenceOrderHead
from albertkit.models.tensorflow.initialization import Policy, make_dense
from albertkit.models.tensorflow.inputs import check_labels, check_tokens, read_head_mask
from albertkit.models.tensorflow.losses import mean_cross_entropy
from albertkit.models.tensorflow.weights import AlbertPreTrainedModel
from albertkit.outputs import AlbertForPreTrainingOutput, BaseModelOutputWithPooling, MaskedLMOutput

__all__ = ["AlbertForMaskedLM", "AlbertForPreTraining", "AlbertModel", "AlbertWithHeads"]


class AlbertModel(AlbertPreTrainedModel):
    """The encoder with its pooler (dense and tanh over the first position), without a task head.

    Args:
        config: Sizes, rates and convention.
        add_pooling_layer: Have a pooler; an argument of :meth:`from_pretrained` too.
        dtype: Keras' policy; the global one when absent.
        name: Keras' name of the model; another for each model when absent.
    """

    prefix: ClassVar[str] = "albert."
    constructor_options: ClassVar[tuple[str, ...]] = ("add_pooling_layer",)

    def __init__(
        self, config: AlbertConfig, add_pooling_layer: bool = True, *, dtype: Policy = None, name: str | None = None
    ) -> None:
        super().__init__(config, ("pooler",) if add_pooling_layer else (), dtype=dtype, name=name)
        policy, hidden = self.dtype_policy, config.hidden_size
        with keras.name_scope("albert"):
            self.embeddings = AlbertEmbeddings(config, dtype=policy)
            self.encoder = AlbertEncoder(config, dtype=policy)
            self.pooler = make_dense(config, hidden, hidden, "pooler", policy) if add_pooling_layer else None
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """What Keras' own files keep of a model beside its variables."""
        return {**super().get_config(), "add_pooling_layer": self.pooler is not None}

    def call(
        self,
        input_ids: Shaped[Any, "..."] | None = None,
        attention_mask: Shaped[Any, "..."] | None = None,
        token_type_ids: Shaped[Any, "..."] | None = None,
        position_ids: Shaped[Any, "..."] | None = None,
        head_mask: Shaped[Any, "..."] | None = None,
        inputs_embeds: Shaped[Any, "..."] | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> BaseModelOutputWithPooling | tuple[Any, ...]:
        """Encode a batch; the arguments are explained at the top of this module."""
        config = self.config
        check_tokens(config, input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        embedded = self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds, training=training)
        encoded = self.encoder(
            embedded,
            attention_mask,
            read_head_mask(config, head_mask),
            output_attentions=config.output_attentions if output_attentions is None else output_attentions,
            output_hidden_states=config.output_hidden_states if output_hidden_states is None else output_hidden_states,
            training=training,
        )
        hidden = encoded.last_hidden_state
        pooled = None if self.pooler is None else tf.tanh(self.pooler(hidden[:, 0]))
        output = BaseModelOutputWithPooling(hidden, pooled, encoded.hidden_states, encoded.attentions)
        return self._as_asked(output, return_dict)


class AlbertWithHeads(AlbertPreTrainedModel):
    """Base of the models with heads: the encoder as ``albert``, with a pooler where one of ``heads`` reads it.

    Args:
        config: Sizes, rates and convention.
        heads: As :data:`~albertkit.checkpoints.parameters.HEADS_OF_CLASS` lists them.
        dtype: Keras' policy; the global one when absent.
        name: Keras' name of the model.
    """

    def __init__(self, config: AlbertConfig, heads: tuple[Head, ...], *, dtype: Policy = None, name: str | None = None) -> None:
        super().__init__(config, heads, dtype=dtype, name=name)
        self.albert = AlbertModel(config, add_pooling_layer="pooler" in heads, dtype=self.dtype_policy, name="albert")
        self.built = True

    @property
    def word_embeddings(self) -> Float[Any, "V E"]:
        """The table of the embeddings, which is the masked-LM decoder too."""
        return self.albert.embeddings.word_embeddings.embeddings.value

    def _encode(
        self, inputs: tuple[Any, ...], output_attentions: bool | None, output_hidden_states: bool | None, training: bool
    ) -> BaseModelOutputWithPooling:
        """Run the encoder on its first six arguments."""
        return self.albert(
            *inputs,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
            training=training,
        )

    def _conclude(self, output: Any, labels: Mapping[str, Any], return_dict: bool | None) -> Any:
        """Put the loss of the labels that are given into the output."""
        output.loss = self.compute_own_loss(output, {name: label for name, label in labels.items() if label is not None})
        return self._as_asked(output, return_dict)


class AlbertForPreTraining(AlbertWithHeads):
    """The encoder with both heads of pre-training: masked LM and sentence order (arXiv:1909.11942 §3.1).

    The loss is the sum of those whose labels are given.
    """

    label_names: ClassVar[tuple[str, ...]] = ("labels", "sentence_order_label")

    def __init__(self, config: AlbertConfig, *, dtype: Policy = None, name: str | None = None) -> None:
        super().__init__(config, PRETRAINING_HEADS, dtype=dtype, name=name)
        self.predictions = AlbertMaskedLMHead(config, dtype=self.dtype_policy)
        self.sop_classifier = AlbertSentenceOrderHead(config, dtype=self.dtype_policy)

    def call(
        self,
        input_ids: Shaped[Any, "..."] | None = None,
        attention_mask: Shaped[Any, "..."] | None = None,
        token_type_ids: Shaped[Any, "..."] | None = None,
        position_ids: Shaped[Any, "..."] | None = None,
        head_mask: Shaped[Any, "..."] | None = None,
        inputs_embeds: Shaped[Any, "..."] | None = None,
        labels: Shaped[Any, "..."] | None = None,
        sentence_order_label: Shaped[Any, "..."] | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> AlbertForPreTrainingOutput | tuple[Any, ...]:
        """Score both objectives; the arguments are explained at the top of this module."""
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = self._encode(inputs, output_attentions, output_hidden_states, training)
        logits = self.predictions(encoded.last_hidden_state, self.word_embeddings)
        sop_logits = self.sop_classifier(encoded.pooler_output, training=training)
        output = AlbertForPreTrainingOutput(None, logits, sop_logits, encoded.hidden_states, encoded.attentions)
        return self._conclude(output, {"labels": labels, "sentence_order_label": sentence_order_label}, return_dict)

    def compute_own_loss(self, output: AlbertForPreTrainingOutput, labels: Mapping[str, Any]) -> Any:
        """The sum of the losses whose labels are given."""
        losses = [
            _token_loss(name, logits, labels[name])
            for name, logits in (("labels", output.prediction_logits), ("sentence_order_label", output.sop_logits))
            if name in labels
        ]
        return sum(losses) if losses else None


class AlbertForMaskedLM(AlbertWithHeads):
    """The encoder, without a pooler, with the masked-LM head."""

    label_names: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(self, config: AlbertConfig, *, dtype: Policy = None, name: str | None = None) -> None:
        super().__init__(config, HEADS_OF_CLASS["AlbertForMaskedLM"], dtype=dtype, name=name)
        self.predictions = AlbertMaskedLMHead(config, dtype=self.dtype_policy)

    def call(
        self,
        input_ids: Shaped[Any, "..."] | None = None,
        attention_mask: Shaped[Any, "..."] | None = None,
        token_type_ids: Shaped[Any, "..."] | None = None,
        position_ids: Shaped[Any, "..."] | None = None,
        head_mask: Shaped[Any, "..."] | None = None,
        inputs_embeds: Shaped[Any, "..."] | None = None,
        labels: Shaped[Any, "..."] | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> MaskedLMOutput | tuple[Any, ...]:
        """Score the vocabulary at every position; the arguments are explained at the top of this module."""
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = self._encode(inputs, output_attentions, output_hidden_states, training)
        logits = self.predictions(encoded.last_hidden_state, self.word_embeddings)
        output = MaskedLMOutput(None, logits, encoded.hidden_states, encoded.attentions)
        return self._conclude(output, {"labels": labels}, return_dict)

    def compute_own_loss(self, output: MaskedLMOutput, labels: Mapping[str, Any]) -> Any:
        """The mean over the labelled positions."""
        return _token_loss("labels", output.logits, labels["labels"]) if labels else None


def _token_loss(name: str, logits: Any, labels: Any) -> Any:
    """Cross-entropy of labels that are checked against the logits ``[…, C]``."""
    check_labels(name, labels, logits.shape[:-1], logits.shape[-1])
    return mean_cross_entropy(logits, labels)
