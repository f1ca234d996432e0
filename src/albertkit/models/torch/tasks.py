"""The models of single tasks: classes of a text, of its tokens, of choices, and the ends of an answer.

Their arguments are those of :mod:`albertkit.models.torch.models`, in both layouts, but for the labels, and

- ``num_choices``: in a packed batch of multiple choice, how many sequences in a row are choices of one question.

Shapes: B batch · L sequence · T tokens of a packed batch · E embedding · H hidden · C classes or choices. ``*tokens`` is ``B L``
or ``T``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.models.inputs import check_shape
from albertkit.models.shapes import Float, Int, Shaped
from albertkit.models.torch.inputs import check_labels, check_probabilities, check_tensor, read_column, read_spans
from albertkit.models.torch.losses import mean_binary_cross_entropy, mean_cross_entropy, mean_squared_error, span_loss
from albertkit.models.torch.models import AlbertWithHeads
from albertkit.models.torch.packing import unpack
from albertkit.outputs import (
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

__all__ = [
    "AlbertForMultipleChoice",
    "AlbertForQuestionAnswering",
    "AlbertForSequenceClassification",
    "AlbertForTokenClassification",
]


class AlbertForSequenceClassification(AlbertWithHeads):
    """The encoder with a classifier of whole sequences (or pairs) over the pooled output: classes, several at once, or numbers.

    The loss is that of ``config.problem_type``; where it is ``None``, the labels of each call decide, and it stays ``None``:

    - ``regression``, with one label: mean squared error; ``labels [B]``, or ``[B, C]`` for several numbers;
    - ``single_label_classification``, with whole numbers: cross-entropy; ``labels [B]``, -100 where nothing is predicted;
    - ``multi_label_classification``, with floating ones: C decisions; ``labels [B, C]`` from 0 to 1.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config, HEADS_OF_CLASS["AlbertForSequenceClassification"])
        self.dropout = nn.Dropout(config.classifier_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels or 1)
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
    ) -> SequenceClassifierOutput | tuple[Any, ...]:
        """Score the classes of every sequence, logits ``[B, C]``; ``labels`` as the class says."""
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = self.albert(*inputs, output_attentions, output_hidden_states, True, cu_seqlens=cu_seqlens)
        logits = self.classifier(self.dropout(encoded.pooler_output))
        loss = None if labels is None else self._loss(logits, labels)
        output = SequenceClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self._as_asked(output, return_dict)

    def _loss(self, logits: Float[Tensor, "B C"], labels: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
        """The loss of the problem that the configuration, or else the labels, name."""
        sequences, classes = logits.shape
        single = "regression" if classes == 1 else "single_label_classification"
        check_tensor("labels", labels)
        decisions = labels.is_floating_point() or labels.dtype == torch.bool
        problem = self.config.problem_type or ("multi_label_classification" if decisions and classes > 1 else single)
        if problem == "single_label_classification":
            if classes > 1 and labels.shape == logits.shape:
                raise InputError(
                    "labels of one class for each sequence must have the shape [batch]",
                    received=f"{labels.dtype} of shape {tuple(labels.shape)}",
                    fix="several labels at once are labels.float()",
                )
            labels = read_column("labels", labels, sequences)
            check_labels("labels", labels, (sequences,), classes)
            return mean_cross_entropy(logits, labels)
        labels = labels[:, None] if classes == 1 and labels.dim() == 1 else labels
        if problem == "multi_label_classification":
            check_probabilities("labels", labels, (sequences, classes))
            return mean_binary_cross_entropy(logits, labels)
        check_shape("labels", labels.shape, (sequences, classes), "the logits [batch, num_labels]")
        return mean_squared_error(logits, labels)


class AlbertForMultipleChoice(AlbertWithHeads):
    """The encoder with one score for each sequence over the pooled output; the choices of a question compete."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config, HEADS_OF_CLASS["AlbertForMultipleChoice"])
        self.dropout = nn.Dropout(config.classifier_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self._initialize_heads()

    def forward(
        self,
        input_ids: Int[Tensor, "..."] | None = None,
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
        num_choices: int | None = None,
    ) -> MultipleChoiceModelOutput | tuple[Any, ...]:
        """Score the choices of every question, logits ``[B, C]``.

        Inputs have the shape ``[B, C, L]`` (embeddings ``[B, C, L, E]``), or ``[T]`` packed: C sequences in a row are the choices
        of a question. ``labels [B]``: the number of the right choice, -100 where nothing is predicted.
        """
        tensors: tuple[Tensor | None, ...] = (input_ids, attention_mask, token_type_ids, position_ids)
        if cu_seqlens is None:
            num_choices = _count_choices(input_ids, inputs_embeds, num_choices)
            tensors = tuple(_flatten_choices(tensor, 3) for tensor in tensors)
            inputs_embeds = _flatten_choices(inputs_embeds, 4)
        inputs = (*tensors, head_mask, inputs_embeds)
        encoded = self.albert(*inputs, output_attentions, output_hidden_states, True, cu_seqlens=cu_seqlens)
        scores = self.classifier(self.dropout(encoded.pooler_output))
        if num_choices is None or num_choices < 1 or scores.shape[0] % num_choices:
            received = f"num_choices={num_choices} and {scores.shape[0]} sequences"
            raise InputError("a packed batch must hold num_choices sequences for each question", received=received)
        logits = scores.view(-1, num_choices)
        loss = None
        if labels is not None:
            labels = read_column("labels", labels, logits.shape[0])
            check_labels("labels", labels, (logits.shape[0],), num_choices)
            loss = mean_cross_entropy(logits, labels)
        output = MultipleChoiceModelOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self._as_asked(output, return_dict)


class AlbertForTokenClassification(AlbertWithHeads):
    """The encoder, without a pooler, with a classifier of every token."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config, HEADS_OF_CLASS["AlbertForTokenClassification"])
        self.dropout = nn.Dropout(config.classifier_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels or 1)
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
    ) -> TokenClassifierOutput | tuple[Any, ...]:
        """Score the classes of every token, logits ``[*tokens, C]``; ``labels [*tokens]``, -100 where nothing is predicted."""
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = self.albert(*inputs, output_attentions, output_hidden_states, True, cu_seqlens=cu_seqlens)
        logits = self.classifier(self.dropout(encoded.last_hidden_state))
        loss = None
        if labels is not None:
            check_labels("labels", labels, tuple(logits.shape[:-1]), logits.shape[-1])
            loss = mean_cross_entropy(logits.flatten(0, -2), labels.flatten())
        output = TokenClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self._as_asked(output, return_dict)


class AlbertForQuestionAnswering(AlbertWithHeads):
    """The encoder, without a pooler, with two scores for every token: of being an answer's first, and its last (SQuAD 1.1)."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config, HEADS_OF_CLASS["AlbertForQuestionAnswering"])
        self.qa_outputs = nn.Linear(config.hidden_size, 2)  # whatever num_labels says
        self._initialize_heads()

    def forward(
        self,
        input_ids: Int[Tensor, "*tokens"] | None = None,
        attention_mask: Shaped[Tensor, "..."] | None = None,
        token_type_ids: Int[Tensor, "..."] | None = None,
        position_ids: Int[Tensor, "..."] | None = None,
        head_mask: Float[Tensor, "..."] | None = None,
        inputs_embeds: Float[Tensor, "... E"] | None = None,
        start_positions: Shaped[Tensor, "..."] | None = None,
        end_positions: Shaped[Tensor, "..."] | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        cu_seqlens: Int[Tensor, "..."] | None = None,
    ) -> QuestionAnsweringModelOutput | tuple[Any, ...]:
        """Score every token as an answer's first and last, both ``[*tokens]``.

        ``start_positions [B]`` and ``end_positions [B]`` count from the first token of their own sequence; one beyond its end is
        ignored, one below 0 counts as 0. A padded loss counts padding among the places, as Google's and transformers' do.
        """
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = self.albert(*inputs, output_attentions, output_hidden_states, True, cu_seqlens=cu_seqlens)
        start_logits, end_logits = self.qa_outputs(encoded.last_hidden_state).unbind(-1)
        loss = None
        if start_positions is not None or end_positions is not None:
            sequences = start_logits.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
            starts, ends = read_spans(start_positions, end_positions, sequences)
            loss = (_place_loss(start_logits, starts, cu_seqlens) + _place_loss(end_logits, ends, cu_seqlens)) / 2
        output = QuestionAnsweringModelOutput(loss, start_logits, end_logits, encoded.hidden_states, encoded.attentions)
        return self._as_asked(output, return_dict)


def _place_loss(
    logits: Float[Tensor, "*tokens"], positions: Int[Tensor, " B"], cu_seqlens: Int[Tensor, "..."] | None
) -> Float[Tensor, ""]:
    """The loss of one end of the answers, along each sequence of either layout."""
    if cu_seqlens is None:
        return span_loss(logits, positions, logits.shape[1])
    lengths = cu_seqlens.diff().to(positions.device)
    return span_loss(unpack(logits.float(), cu_seqlens, float("-inf")), positions, lengths)


def _count_choices(input_ids: Tensor | None, inputs_embeds: Tensor | None, num_choices: int | None) -> int:
    """C of a padded batch ``[B, C, L]``.

    Raises:
        InputError: If the inputs have another rank, or ``num_choices`` says otherwise.
    """
    name, given, rank = ("input_ids", input_ids, 3) if inputs_embeds is None else ("inputs_embeds", inputs_embeds, 4)
    if given is None:
        return num_choices or 1  # the encoder says that an input is missing
    check_tensor(name, given)
    if given.dim() != rank:
        shape = "[batch, choices, sequence]" if rank == 3 else "[batch, choices, sequence, embedding_size]"
        raise InputError(
            f"{name} of multiple choice must have the shape {shape}",
            received=f"shape {tuple(given.shape)}",
            fix="one question's choices are tensor[None]",
        )
    if num_choices not in (None, given.shape[1]):
        raise InputError(f"num_choices must be the second size of {name}, {given.shape[1]}", received=num_choices)
    return given.shape[1]


def _flatten_choices(tensor: Tensor | None, rank: int) -> Tensor | None:
    """``[B * C, L, …]`` from ``[B, C, L, …]``; what has another rank, as positions that all sequences share, stays."""
    return tensor.flatten(0, 1) if isinstance(tensor, Tensor) and tensor.dim() == rank else tensor
