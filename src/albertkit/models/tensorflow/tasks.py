"""The models of single tasks: classes of a text, of its tokens, of choices, and the ends of an answer.

Their arguments are those of :mod:`albertkit.models.tensorflow.models`, but for the labels.

Shapes: B batch · L sequence · C classes or choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from albertkit.checkpoints.parameters import HEADS_OF_CLASS, Head
from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.models.shapes import Shaped
from albertkit.models.tensorflow.initialization import Policy, make_dense
from albertkit.models.tensorflow.inputs import check_known_shape, check_labels, check_probabilities, read_column, read_spans
from albertkit.models.tensorflow.losses import mean_binary_cross_entropy, mean_cross_entropy, mean_squared_error, span_loss
from albertkit.models.tensorflow.models import AlbertWithHeads
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
    """Base of the models whose head is dropout and one linear layer, ``classifier``.

    Args:
        config: Sizes, rates and convention.
        heads: As :data:`~albertkit.checkpoints.parameters.HEADS_OF_CLASS` lists them.
        classes: Scores of the classifier.
        dtype: Keras' policy; the global one when absent.
        name: Keras' name of the model.
    """

    label_names: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(self, config: AlbertConfig, heads: tuple[Head, ...], classes: int, *, dtype: Policy, name: str | None) -> None:
        super().__init__(config, heads, dtype=dtype, name=name)
        self.dropout = keras.layers.Dropout(config.classifier_dropout_prob, dtype=self.dtype_policy)
        self.classifier = make_dense(config, config.hidden_size, classes, "classifier", self.dtype_policy)


class AlbertForSequenceClassification(AlbertWithClassifier):
    """The encoder with a classifier of whole sequences (or pairs) over the pooled output: classes, several at once, or numbers.

    The loss is that of ``config.problem_type``; where it is ``None``, the labels of each call decide, and it stays ``None``:

    - ``regression``, with one label: mean squared error; ``labels [B]``, or ``[B, C]`` for several numbers;
    - ``single_label_classification``, with whole numbers: cross-entropy; ``labels [B]``, -100 where nothing is predicted;
    - ``multi_label_classification``, with floating ones: C decisions; ``labels [B, C]`` from 0 to 1.
    """

    def __init__(self, config: AlbertConfig, *, dtype: Policy = None, name: str | None = None) -> None:
        super().__init__(
            config, HEADS_OF_CLASS["AlbertForSequenceClassification"], config.num_labels or 1, dtype=dtype, name=name
        )

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
    ) -> SequenceClassifierOutput | tuple[Any, ...]:
        """Score the classes of every sequence, logits ``[B, C]``; ``labels`` as the class says."""
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = self._encode(inputs, output_attentions, output_hidden_states, training)
        logits = self.classifier(self.dropout(encoded.pooler_output, training=training))
        output = SequenceClassifierOutput(None, logits, encoded.hidden_states, encoded.attentions)
        return self._conclude(output, {"labels": labels}, return_dict)

    def compute_own_loss(self, output: SequenceClassifierOutput, labels: Mapping[str, Any]) -> Any:
        """The loss of the problem that the configuration, or else the labels, name."""
        if not labels:
            return None
        logits, given = output.logits, labels["labels"]
        sequences, classes = logits.shape
        single = "regression" if classes == 1 else "single_label_classification"
        decisions = given.dtype.is_floating or given.dtype == tf.bool
        problem = self.config.problem_type or ("multi_label_classification" if decisions and classes > 1 else single)
        if problem == "single_label_classification":
            if classes > 1 and len(given.shape) == 2 and given.shape[1] == classes:
                raise InputError(
                    "labels of one class for each sequence must have the shape [batch]",
                    received=f"{given.dtype.name} of shape {tuple(given.shape)}",
                    fix="several labels at once are tf.cast(labels, tf.float32)",
                )
            column = read_column("labels", given, sequences)
            check_labels("labels", column, (sequences,), classes)
            return mean_cross_entropy(logits, column)
        numbers = given[:, None] if classes == 1 and len(given.shape) == 1 else given
        if problem == "multi_label_classification":
            check_probabilities("labels", numbers, (sequences, classes))
            return mean_binary_cross_entropy(logits, numbers)
        check_known_shape("labels", numbers.shape, (sequences, classes), "the logits [batch, num_labels]")
        return mean_squared_error(logits, numbers)


class AlbertForMultipleChoice(AlbertWithClassifier):
    """The encoder with one score for each sequence over the pooled output; the choices of a question compete."""

    input_rank: ClassVar[int] = 3

    def __init__(self, config: AlbertConfig, *, dtype: Policy = None, name: str | None = None) -> None:
        super().__init__(config, HEADS_OF_CLASS["AlbertForMultipleChoice"], 1, dtype=dtype, name=name)

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
    ) -> MultipleChoiceModelOutput | tuple[Any, ...]:
        """Score the choices of every question, logits ``[B, C]``.

        Inputs have the shape ``[B, C, L]`` (embeddings ``[B, C, L, E]``). ``labels [B]``: the number of the right choice, -100
        where nothing is predicted.
        """
        choices = _count_choices(input_ids, inputs_embeds)
        tensors = [_flatten_choices(tensor, 3) for tensor in (input_ids, attention_mask, token_type_ids, position_ids)]
        inputs = (*tensors, head_mask, _flatten_choices(inputs_embeds, 4))
        encoded = self._encode(inputs, output_attentions, output_hidden_states, training)
        scores = self.classifier(self.dropout(encoded.pooler_output, training=training))
        logits = tf.reshape(scores, (-1, choices))
        output = MultipleChoiceModelOutput(None, logits, encoded.hidden_states, encoded.attentions)
        return self._conclude(output, {"labels": labels}, return_dict)

    def compute_own_loss(self, output: MultipleChoiceModelOutput, labels: Mapping[str, Any]) -> Any:
        """The mean over the questions that have a label."""
        if not labels:
            return None
        questions, choices = output.logits.shape
        column = read_column("labels", labels["labels"], questions)
        check_labels("labels", column, (questions,), choices)
        return mean_cross_entropy(output.logits, column)


class AlbertForTokenClassification(AlbertWithClassifier):
    """The encoder, without a pooler, with a classifier of every token."""

    def __init__(self, config: AlbertConfig, *, dtype: Policy = None, name: str | None = None) -> None:
        super().__init__(config, HEADS_OF_CLASS["AlbertForTokenClassification"], config.num_labels or 1, dtype=dtype, name=name)

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
    ) -> TokenClassifierOutput | tuple[Any, ...]:
        """Score the classes of every token, logits ``[B, L, C]``; ``labels [B, L]``, -100 where nothing is predicted."""
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = self._encode(inputs, output_attentions, output_hidden_states, training)
        logits = self.classifier(self.dropout(encoded.last_hidden_state, training=training))
        output = TokenClassifierOutput(None, logits, encoded.hidden_states, encoded.attentions)
        return self._conclude(output, {"labels": labels}, return_dict)

    def compute_own_loss(self, output: TokenClassifierOutput, labels: Mapping[str, Any]) -> Any:
        """The mean over the labelled positions."""
        if not labels:
            return None
        check_labels("labels", labels["labels"], output.logits.shape[:-1], output.logits.shape[-1])
        return mean_cross_entropy(output.logits, labels["labels"])


class AlbertForQuestionAnswering(AlbertWithHeads):
    """The encoder, without a pooler, with two scores for every token: of being an answer's first, and its last (SQuAD 1.1)."""

    label_names: ClassVar[tuple[str, ...]] = ("start_positions", "end_positions")

    def __init__(self, config: AlbertConfig, *, dtype: Policy = None, name: str | None = None) -> None:
        super().__init__(config, HEADS_OF_CLASS["AlbertForQuestionAnswering"], dtype=dtype, name=name)
        # Two, whatever num_labels says.
        self.qa_outputs = make_dense(config, config.hidden_size, 2, "qa_outputs", self.dtype_policy)

    def call(
        self,
        input_ids: Shaped[Any, "..."] | None = None,
        attention_mask: Shaped[Any, "..."] | None = None,
        token_type_ids: Shaped[Any, "..."] | None = None,
        position_ids: Shaped[Any, "..."] | None = None,
        head_mask: Shaped[Any, "..."] | None = None,
        inputs_embeds: Shaped[Any, "..."] | None = None,
        start_positions: Shaped[Any, "..."] | None = None,
        end_positions: Shaped[Any, "..."] | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> QuestionAnsweringModelOutput | tuple[Any, ...]:
        """Score every token as an answer's first and last, both ``[B, L]``.

        ``start_positions [B]`` and ``end_positions [B]``: one beyond the sequence is ignored, one below 0 counts as 0. The loss
        counts padding among the places, as Google's and transformers' do.
        """
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = self._encode(inputs, output_attentions, output_hidden_states, training)
        start_logits, end_logits = tf.unstack(self.qa_outputs(encoded.last_hidden_state), axis=-1)
        output = QuestionAnsweringModelOutput(None, start_logits, end_logits, encoded.hidden_states, encoded.attentions)
        return self._conclude(output, {"start_positions": start_positions, "end_positions": end_positions}, return_dict)

    def compute_own_loss(self, output: QuestionAnsweringModelOutput, labels: Mapping[str, Any]) -> Any:
        """The mean of the losses of both ends."""
        if not labels:
            return None
        starts, ends = read_spans(labels.get("start_positions"), labels.get("end_positions"), output.start_logits.shape[0])
        return (span_loss(output.start_logits, starts) + span_loss(output.end_logits, ends)) / 2


def _count_choices(input_ids: Any, inputs_embeds: Any) -> Any:
    """C of a batch ``[B, C, L]``.

    Raises:
        InputError: If the inputs have another rank.
    """
    name, given, rank = ("input_ids", input_ids, 3) if inputs_embeds is None else ("inputs_embeds", inputs_embeds, 4)
    if given is None:
        return 1  # the encoder says that an input is missing
    if len(given.shape) != rank:
        shape = "[batch, choices, sequence]" if rank == 3 else "[batch, choices, sequence, embedding_size]"
        raise InputError(
            f"{name} of multiple choice must have the shape {shape}",
            received=f"shape {tuple(given.shape)}",
            fix="one question's choices are tensor[None]",
        )
    return tf.shape(given)[1] if given.shape[1] is None else given.shape[1]


def _flatten_choices(tensor: Any, rank: int) -> Any:
    """``[B * C, L, …]`` from ``[B, C, L, …]``; positions that all sequences share are left as they are."""
    if tensor is None or len(tensor.shape) != rank:
        return tensor
    return tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], axis=0))
