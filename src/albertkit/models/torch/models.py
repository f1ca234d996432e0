"""The models: the encoder alone, and with the heads of pre-training; those of single tasks are in :mod:`.tasks`.

Every forward takes a batch in one of two layouts:

- padded: ``input_ids [B, L]`` with ``attention_mask [B, L]``, not 0 at real tokens;
- packed: ``input_ids [T]`` with ``cu_seqlens [B + 1]``, the int32 or int64 boundaries of the sequences (0 first, T last).
  On the CPU, ``cu_seqlens`` costs no synchronisation with an accelerator.

The other arguments, all optional:

- ``token_type_ids [*tokens]``: segment of each token; 0 when absent.
- ``position_ids [*tokens]``: position of each token in its sequence; counted when absent.
- ``inputs_embeds [*tokens, E]``: word embeddings, in place of ``input_ids``.
- ``head_mask [N]`` or ``[layers, N]``: a factor for each head's attention, 0 to silence it.
- ``labels [*tokens]``: the right vocabulary id at the positions to predict, -100 at all others; on the CPU, they cost no
  synchronisation either.
- ``labelled_only``: score the vocabulary at the labelled positions alone, logits ``[P, V]`` in the order of the tokens instead
  of ``[*tokens, V]``. By default so when training with labels: 15 % of the work. The loss is the same either way.
- ``sentence_order_label [B]``: 0 = segments in order, 1 = swapped.
- ``output_attentions`` (padded layout only), ``output_hidden_states``, ``return_dict``: as the configuration says when absent.

What cannot be right is refused with an :class:`~albertkit.errors.InputError`.

Shapes: B batch · L sequence · T tokens of a packed batch · E embedding · H hidden · N heads · V vocabulary · P labelled
positions. ``*tokens`` is ``B L`` or ``T``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from albertkit.checkpoints.parameters import PRETRAINING_HEADS, Head
from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.models.shapes import Float, Int, Shaped
from albertkit.models.torch.embeddings import AlbertEmbeddings
from albertkit.models.torch.encoder import AlbertEncoder
from albertkit.models.torch.heads import AlbertMaskedLMHead, AlbertSentenceOrderHead
from albertkit.models.torch.inputs import Batch, check_labels, read_batch, read_head_mask
from albertkit.models.torch.losses import IGNORED, mean_cross_entropy
from albertkit.models.torch.packing import Packed, Padded, send
from albertkit.models.torch.weights import AlbertPreTrainedModel
from albertkit.outputs import AlbertForPreTrainingOutput, BaseModelOutputWithPooling, MaskedLMOutput

__all__ = ["AlbertForMaskedLM", "AlbertForPreTraining", "AlbertModel", "AlbertWithHeads"]


class AlbertModel(AlbertPreTrainedModel):
    """The encoder with its pooler (dense and tanh over the first position), without a task head.

    Args:
        config: Sizes, rates and convention.
        add_pooling_layer: Have a pooler; an argument of :meth:`from_pretrained` too.
    """

    prefix: ClassVar[str] = "albert."
    constructor_options: ClassVar[tuple[str, ...]] = ("add_pooling_layer",)

    def __init__(self, config: AlbertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, ("pooler",) if add_pooling_layer else ())
        self.embeddings = AlbertEmbeddings(config)
        self.encoder = AlbertEncoder(config)
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size) if add_pooling_layer else None
        self.initialize_parameters()

    def forward(
        self,
        input_ids: Int[Tensor, "*tokens"] | None = None,
        attention_mask: Shaped[Tensor, "..."] | None = None,
        token_type_ids: Int[Tensor, "..."] | None = None,
        position_ids: Int[Tensor, "..."] | None = None,
        head_mask: Float[Tensor, "..."] | None = None,
        inputs_embeds: Float[Tensor, "... E"] | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        cu_seqlens: Int[Tensor, "..."] | None = None,
    ) -> BaseModelOutputWithPooling | tuple[Any, ...]:
        """Encode a batch; the arguments are explained at the top of this module."""
        config = self.config
        given = Batch(input_ids, token_type_ids, position_ids, inputs_embeds, Padded(None))
        batch = read_batch(config, given, attention_mask, cu_seqlens)
        want_attentions = config.output_attentions if output_attentions is None else output_attentions
        want_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        if want_attentions and isinstance(batch.layout, Packed):
            raise InputError("attentions come from a padded batch", received="cu_seqlens and output_attentions=True")
        embedded = self.embeddings(batch.input_ids, batch.token_type_ids, batch.position_ids, batch.inputs_embeds)
        heads = read_head_mask(config, head_mask)
        encoded = self.encoder(embedded, batch.layout, heads, want_attentions, want_states)
        hidden, states = encoded.last_hidden_state, encoded.hidden_states
        if isinstance(batch.layout, Packed):
            hidden = batch.layout.restore(hidden)
            states = None if states is None else tuple(batch.layout.restore(state) for state in states)
        first = hidden.index_select(0, batch.layout.first_tokens) if isinstance(batch.layout, Packed) else hidden[:, 0]
        pooled = None if self.pooler is None else torch.tanh(self.pooler(first))
        output = BaseModelOutputWithPooling(hidden, pooled, states, encoded.attentions)
        return self._as_asked(output, return_dict)


class AlbertWithHeads(AlbertPreTrainedModel):
    """Base of the models with heads: the encoder as ``albert``, with a pooler where one of ``heads`` reads it.

    Args:
        config: Sizes, rates and convention.
        heads: As :data:`~albertkit.checkpoints.parameters.HEADS_OF_CLASS` lists them.
    """

    def __init__(self, config: AlbertConfig, heads: tuple[Head, ...]) -> None:
        super().__init__(config, heads)
        self.albert = AlbertModel(config, add_pooling_layer="pooler" in heads)

    def _initialize_heads(self) -> None:
        """Draw what stands on the encoder, which has drawn its own."""
        self.initialize_parameters([name for name in self.named_by_contract() if not name.startswith("albert.")])


class AlbertForPreTraining(AlbertWithHeads):
    """The encoder with both heads of pre-training: masked LM and sentence order (arXiv:1909.11942 §3.1).

    The loss is the sum of those whose labels are given.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config, PRETRAINING_HEADS)
        self.predictions = AlbertMaskedLMHead(config)
        self.sop_classifier = AlbertSentenceOrderHead(config)
        self._initialize_heads()

    def forward(
        self,
        input_ids: Int[Tensor, "*tokens"] | None = None,
        attention_mask: Shaped[Tensor, "..."] | None = None,
        token_type_ids: Int[Tensor, "..."] | None = None,
        position_ids: Int[Tensor, "..."] | None = None,
        head_mask: Float[Tensor, "..."] | None = None,
        inputs_embeds: Float[Tensor, "... E"] | None = None,
        labels: Shaped[Tensor, "..."] | None = None,
        sentence_order_label: Shaped[Tensor, "..."] | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        cu_seqlens: Int[Tensor, "..."] | None = None,
        labelled_only: bool | None = None,
    ) -> AlbertForPreTrainingOutput | tuple[Any, ...]:
        """Score both objectives; the arguments are explained at the top of this module."""
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = self.albert(*inputs, output_attentions, output_hidden_states, True, cu_seqlens=cu_seqlens)
        logits, loss = _predict_tokens(self, encoded.last_hidden_state, labels, labelled_only)
        sop_logits = self.sop_classifier(encoded.pooler_output)
        if sentence_order_label is not None:
            check_labels("sentence_order_label", sentence_order_label, (sop_logits.shape[0],), 2)
            sop_loss = mean_cross_entropy(sop_logits, sentence_order_label)
            loss = sop_loss if loss is None else loss + sop_loss
        output = AlbertForPreTrainingOutput(loss, logits, sop_logits, encoded.hidden_states, encoded.attentions)
        return self._as_asked(output, return_dict)


class AlbertForMaskedLM(AlbertWithHeads):
    """The encoder, without a pooler, with the masked-LM head."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config, ("masked_lm",))
        self.predictions = AlbertMaskedLMHead(config)
        self._initialize_heads()

    def forward(
        self,
        input_ids: Int[Tensor, "*tokens"] | None = None,
        attention_mask: Shaped[Tensor, "..."] | None = None,
        token_type_ids: Int[Tensor, "..."] | None = None,
        position_ids: Int[Tensor, "..."] | None = None,
        head_mask: Float[Tensor, "..."] | None = None,
        inputs_embeds: Float[Tensor, "... E"] | None = None,
        labels: Shaped[Tensor, "..."] | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        cu_seqlens: Int[Tensor, "..."] | None = None,
        labelled_only: bool | None = None,
    ) -> MaskedLMOutput | tuple[Any, ...]:
        """Score the vocabulary at every position, or at the labelled ones; see the top of this module."""
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = self.albert(*inputs, output_attentions, output_hidden_states, True, cu_seqlens=cu_seqlens)
        logits, loss = _predict_tokens(self, encoded.last_hidden_state, labels, labelled_only)
        output = MaskedLMOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self._as_asked(output, return_dict)


def _predict_tokens(
    model: AlbertForPreTraining | AlbertForMaskedLM,
    hidden: Float[Tensor, "*tokens H"],
    labels: Shaped[Tensor, "..."] | None,
    labelled_only: bool | None,
) -> tuple[Float[Tensor, "... V"], Float[Tensor, ""] | None]:
    """Logits, at the labelled positions or at all, and the loss, if there are labels: from the labelled positions only."""
    table = model.get_input_embeddings().weight
    if labels is None:
        if labelled_only:
            raise InputError("labelled_only chooses the positions that have a label", received="no labels")
        return model.predictions(hidden, table), None
    check_labels("labels", labels, tuple(hidden.shape[:-1]), model.config.vocab_size)
    labelled = (labels.flatten() != IGNORED).nonzero().flatten()
    targets, positions = send(labels.flatten()[labelled], hidden.device), send(labelled, hidden.device)
    tokens = hidden.flatten(0, -2)
    if model.training if labelled_only is None else labelled_only:
        logits = model.predictions(tokens.index_select(0, positions), table)
        return logits, mean_cross_entropy(logits, targets)
    logits = model.predictions(hidden, table)
    return logits, mean_cross_entropy(logits.flatten(0, -2).index_select(0, positions), targets)
