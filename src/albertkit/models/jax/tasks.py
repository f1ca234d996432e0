"""The models of single tasks: classes of a text, of its tokens, of choices, and the ends of an answer.

Their arguments are those of :mod:`albertkit.models.jax.models`, but for the labels.

Shapes: B batch · L sequence · E embedding · H hidden · C classes or choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx
from jax import Array

from albertkit.errors import InputError
from albertkit.models.inputs import check_shape
from albertkit.models.jax.initialization import make_linear
from albertkit.models.jax.inputs import (
    Given,
    check_array,
    check_inputs,
    read_column,
    read_keys,
    read_labels,
    read_probabilities,
    read_spans,
)
from albertkit.models.jax.losses import mean_binary_cross_entropy, mean_cross_entropy, mean_squared_error, span_loss
from albertkit.models.jax.models import AlbertWithHeads
from albertkit.models.shapes import Float, Shaped
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


class AlbertWithClassifier(AlbertWithHeads):
    """Base of the models whose head is dropout and one linear layer, ``classifier``."""

    def _build(self, rngs: nnx.Rngs) -> None:
        super()._build(rngs)
        classes = 1 if "multiple_choice" in self.heads else self.config.num_labels or 1
        self.dropout = nnx.Dropout(self.config.classifier_dropout_prob)
        self.classifier = make_linear(self.config, self.config.hidden_size, classes, self.dtype, rngs)

    def classify(self, features: Float[Array, "*items H"], key: Array | None) -> Float[Array, "*items C"]:
        """Scores of the classes; ``key`` is that of the dropout, ``None``: without."""
        return self.classifier(self.dropout(features, deterministic=key is None, rngs=key))


class AlbertForSequenceClassification(AlbertWithClassifier):
    """The encoder with a classifier of whole sequences (or pairs) over the pooled output: classes, several at once, or numbers.

    The loss is that of ``config.problem_type``; where it is ``None``, the labels of each call decide, and it stays ``None``:

    - ``regression``, with one label: mean squared error; ``labels [B]``, or ``[B, C]`` for several numbers;
    - ``single_label_classification``, with whole numbers: cross-entropy; ``labels [B]``, -100 where nothing is predicted;
    - ``multi_label_classification``, with floating ones: C decisions; ``labels [B, C]`` from 0 to 1.
    """

    architecture: ClassVar[str] = "AlbertForSequenceClassification"

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
    ) -> SequenceClassifierOutput | tuple[Any, ...]:
        """Score the classes of every sequence, logits ``[B, C]``; ``labels`` as the class says."""
        model = self if params is None else self.with_params(params)
        key, head_key = read_keys(self.config, train, dropout_rng, 2)
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = model.albert.encode(inputs, key, output_attentions, output_hidden_states)
        logits = model.classify(encoded.pooler_output, head_key)
        loss = None if labels is None else self._loss(logits, labels)
        return self._as_asked(SequenceClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions), return_dict)

    def _loss(self, logits: Float[Array, "B C"], labels: Given) -> Float[Array, ""]:
        """The loss of the problem that the configuration, or else the labels, name."""
        check_array("labels", labels)
        sequences, classes = logits.shape
        single = "regression" if classes == 1 else "single_label_classification"
        decisions = jnp.issubdtype(labels.dtype, jnp.floating) or labels.dtype == jnp.bool_
        problem = self.config.problem_type or ("multi_label_classification" if decisions and classes > 1 else single)
        if problem == "single_label_classification":
            if classes > 1 and labels.shape == logits.shape:
                raise InputError(
                    "labels of one class for each sequence must have the shape [batch]",
                    received=f"{labels.dtype} of shape {tuple(labels.shape)}",
                    fix="several labels at once are labels.astype(float)",
                )
            column = read_column("labels", labels, sequences)
            return mean_cross_entropy(logits, read_labels("labels", column, (sequences,), classes))
        labels = labels[:, None] if classes == 1 and labels.ndim == 1 else labels
        if problem == "multi_label_classification":
            return mean_binary_cross_entropy(logits, read_probabilities("labels", labels, (sequences, classes)))
        check_shape("labels", labels.shape, (sequences, classes), "the logits [batch, num_labels]")
        return mean_squared_error(logits, jnp.asarray(labels))


class AlbertForMultipleChoice(AlbertWithClassifier):
    """The encoder with one score for each sequence over the pooled output; the choices of a question compete."""

    architecture: ClassVar[str] = "AlbertForMultipleChoice"

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
    ) -> MultipleChoiceModelOutput | tuple[Any, ...]:
        """Score the choices of every question, logits ``[B, C]``.

        Inputs have the shape ``[B, C, L]`` (embeddings ``[B, C, L, E]``). ``labels [B]``: the number of the right choice, -100
        where nothing is predicted.
        """
        model = self if params is None else self.with_params(params)
        key, head_key = read_keys(self.config, train, dropout_rng, 2)
        check_inputs((input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds))
        choices = _count_choices(input_ids, inputs_embeds)
        inputs = (
            _flatten_choices(input_ids, 3),
            _flatten_choices(attention_mask, 3),
            _flatten_choices(token_type_ids, 3),
            _flatten_choices(position_ids, 3),
            head_mask,
            _flatten_choices(inputs_embeds, 4),
        )
        encoded = model.albert.encode(inputs, key, output_attentions, output_hidden_states)
        logits = model.classify(encoded.pooler_output, head_key)[:, 0].reshape(-1, choices)
        loss = None
        if labels is not None:
            column = read_column("labels", labels, logits.shape[0])
            loss = mean_cross_entropy(logits, read_labels("labels", column, logits.shape[:1], choices))
        return self._as_asked(MultipleChoiceModelOutput(loss, logits, encoded.hidden_states, encoded.attentions), return_dict)


class AlbertForTokenClassification(AlbertWithClassifier):
    """The encoder, without a pooler, with a classifier of every token."""

    architecture: ClassVar[str] = "AlbertForTokenClassification"

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
    ) -> TokenClassifierOutput | tuple[Any, ...]:
        """Score the classes of every token, logits ``[B, L, C]``; ``labels [B, L]``, -100 where nothing is predicted."""
        model = self if params is None else self.with_params(params)
        key, head_key = read_keys(self.config, train, dropout_rng, 2)
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = model.albert.encode(inputs, key, output_attentions, output_hidden_states)
        logits = model.classify(encoded.last_hidden_state, head_key)
        loss = None
        if labels is not None:
            loss = mean_cross_entropy(logits, read_labels("labels", labels, logits.shape[:2], logits.shape[2]))
        return self._as_asked(TokenClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions), return_dict)


class AlbertForQuestionAnswering(AlbertWithHeads):
    """The encoder, without a pooler, with two scores for every token: of being an answer's first, and its last (SQuAD 1.1)."""

    architecture: ClassVar[str] = "AlbertForQuestionAnswering"

    def _build(self, rngs: nnx.Rngs) -> None:
        super()._build(rngs)
        self.qa_outputs = make_linear(self.config, self.config.hidden_size, 2, self.dtype, rngs)  # whatever num_labels says

    def __call__(
        self,
        input_ids: Shaped[Given, "..."] | None = None,
        attention_mask: Shaped[Given, "..."] | None = None,
        token_type_ids: Shaped[Given, "..."] | None = None,
        position_ids: Shaped[Given, "..."] | None = None,
        head_mask: Shaped[Given, "..."] | None = None,
        inputs_embeds: Float[Given, "..."] | None = None,
        start_positions: Shaped[Given, "..."] | None = None,
        end_positions: Shaped[Given, "..."] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        dropout_rng: Array | None = None,
        train: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> QuestionAnsweringModelOutput | tuple[Any, ...]:
        """Score every token as an answer's first and last, both ``[B, L]``.

        ``start_positions [B]`` and ``end_positions [B]`` count from the first token of their own sequence; one beyond its end is
        ignored, one below 0 counts as 0. The loss counts padding among the places, as Google's and transformers' do.
        """
        model = self if params is None else self.with_params(params)
        (key,) = read_keys(self.config, train, dropout_rng, 1)
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = model.albert.encode(inputs, key, output_attentions, output_hidden_states)
        scores = model.qa_outputs(encoded.last_hidden_state)
        start_logits, end_logits = scores[..., 0], scores[..., 1]
        loss = None
        if start_positions is not None or end_positions is not None:
            starts, ends = read_spans(start_positions, end_positions, start_logits.shape[0])
            loss = (span_loss(start_logits, starts) + span_loss(end_logits, ends)) / 2
        output = QuestionAnsweringModelOutput(loss, start_logits, end_logits, encoded.hidden_states, encoded.attentions)
        return self._as_asked(output, return_dict)


def _count_choices(input_ids: Given | None, inputs_embeds: Given | None) -> int:
    """C of a batch ``[B, C, L]``.

    Raises:
        InputError: If the inputs have another rank.
    """
    name, given, rank = ("input_ids", input_ids, 3) if inputs_embeds is None else ("inputs_embeds", inputs_embeds, 4)
    if given is None:
        return 1  # the encoder says that an input is missing
    if given.ndim != rank:
        shape = "[batch, choices, sequence]" if rank == 3 else "[batch, choices, sequence, embedding_size]"
        raise InputError(
            f"{name} of multiple choice must have the shape {shape}",
            received=f"shape {tuple(given.shape)}",
            fix="one question's choices are array[None]",
        )
    return given.shape[1]


def _flatten_choices(array: Given | None, rank: int) -> Given | None:
    """``[B * C, L, …]`` from ``[B, C, L, …]``; positions that all sequences share are left as they are."""
    return array.reshape(-1, *array.shape[2:]) if array is not None and array.ndim == rank else array
