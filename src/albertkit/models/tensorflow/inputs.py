"""The checks of what a caller gives: shapes wherever they are known, numbers where a look at them costs nothing.

Shapes: B batch · L sequence · E embedding.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.models.inputs import check_length, check_range, check_shape
from albertkit.models.tensorflow.losses import IGNORED

__all__ = [
    "as_tensor",
    "check_known_shape",
    "check_labels",
    "check_probabilities",
    "check_tokens",
    "read_column",
    "read_head_mask",
    "read_spans",
]


def as_tensor(value: Any) -> Any:
    """A tensor of numbers in Python's own lists, which Keras would hand on as they are; flags and arrays as they are.

    Raises:
        InputError: If it is a tensor that no model can take: ragged, sparse, or of a number of axes that is not known yet.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, tf.RaggedTensor | tf.SparseTensor):
        raise InputError(
            "inputs must be dense tensors", received=type(value).__name__, fix="pad by the tokenizer, and give its attention_mask"
        )
    if not hasattr(value, "shape"):
        return tf.convert_to_tensor(value)
    if isinstance(value, tf.Tensor) and value.shape.rank is None:
        raise InputError(
            "the number of an input's axes must be known",
            received=f"{value.dtype.name} of unknown shape",
            fix="tf.ensure_shape(tensor, [None, None])",
        )
    return value


def check_tokens(
    config: AlbertConfig, input_ids: Any, attention_mask: Any, token_type_ids: Any, position_ids: Any, inputs_embeds: Any
) -> None:
    """Check the tensors of a padded batch against the model and each other.

    Raises:
        InputError: If anything does not fit the model or the rest.
    """
    if (input_ids is None) == (inputs_embeds is None):
        received = "neither" if input_ids is None else "both"
        raise InputError("give exactly one of input_ids and inputs_embeds", received=received)
    name, given, rank = ("input_ids", input_ids, 2) if inputs_embeds is None else ("inputs_embeds", inputs_embeds, 3)
    if len(given.shape) != rank or 0 in given.shape:
        raise InputError(
            f"{name} must have the shape [batch, sequence]{'' if rank == 2 else ' + [embedding_size]'}, none of them 0",
            received=f"shape {tuple(given.shape)}",
            fix="add the batch dimension with tensor[None]",
        )
    shape = tuple(given.shape[:2])
    if rank == 3:
        check_known_shape(name, given.shape, (*shape, config.embedding_size), "the tokens and embedding_size")
    check_length(shape[1] or 0, config)
    for other, tensor in (("attention_mask", attention_mask), ("token_type_ids", token_type_ids), ("position_ids", position_ids)):
        shared = other == "position_ids" and tensor is not None and (len(tensor.shape) == 1 or tensor.shape[0] == 1)
        if tensor is not None:
            expected = shape[-1:] if shared and len(tensor.shape) == 1 else (1, *shape[1:]) if shared else shape
            of = "the tokens [batch, sequence]" if other == "attention_mask" else name
            check_known_shape(other, tensor.shape, expected, of)
    _check_numbers("input_ids", input_ids, config.vocab_size, "vocab_size")
    _check_numbers("token_type_ids", token_type_ids, config.type_vocab_size, "type_vocab_size")
    _check_numbers("position_ids", position_ids, config.max_position_embeddings, "max_position_embeddings")


def check_known_shape(name: str, shape: Any, expected: Any, of: str) -> None:
    """:func:`albertkit.models.inputs.check_shape` where a graph may not know all sizes yet: those agree with any."""
    known = [of_expected if size is None else size for size, of_expected in zip(shape, expected, strict=False)]
    if len(shape) != len(expected) or any(None not in pair and pair[0] != pair[1] for pair in zip(known, expected, strict=True)):
        check_shape(name, tuple(shape), tuple(expected), of)


def _check_numbers(name: str, numbers: Any, size: int, setting: str) -> None:
    """Whole numbers from 0 to ``size - 1``."""
    if numbers is None:
        return
    _check_whole(name, numbers)
    if _readable(numbers):
        check_range(name, int(tf.reduce_min(numbers)), int(tf.reduce_max(numbers)), size, setting)


def _check_whole(name: str, numbers: Any) -> None:
    if not numbers.dtype.is_integer:
        received = f"dtype {numbers.dtype.name}"
        raise InputError(f"{name} must be whole numbers", received=received, fix=f"tf.cast({name}, tf.int32)")


def read_head_mask(config: AlbertConfig, head_mask: Any) -> Any:
    """``[layers, N]`` from a mask for every layer alike, ``[N]``, or for each, ``[layers, N]``.

    Raises:
        InputError: If it has another shape.
    """
    if head_mask is None:
        return None
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    if tuple(head_mask.shape) not in ((heads,), (layers, heads)):
        raise InputError(
            f"head_mask must have the shape ({heads},) or ({layers}, {heads}): [heads] or [layers, heads]",
            received=f"shape {tuple(head_mask.shape)}",
        )
    return tf.broadcast_to(tf.cast(head_mask, tf.float32), (layers, heads))


def read_column(name: str, numbers: Any, sequences: int | None) -> Any:
    """``[B]`` from one number for each sequence, ``[B]`` or ``[B, 1]``; a number alone is that of one sequence.

    Raises:
        InputError: If there is not one for each of the ``sequences``.
    """
    if len(numbers.shape) == 0:
        numbers = numbers[None]
    column = tf.squeeze(numbers, -1) if len(numbers.shape) == 2 and numbers.shape[1] == 1 else numbers
    check_known_shape(name, column.shape, (sequences,), "the sequences")
    return column


def read_spans(starts: Any, ends: Any, sequences: int | None) -> tuple[Any, Any]:
    """The first and the last place of each sequence's answer, ``[B]`` both.

    Raises:
        InputError: If one of the two is missing, or they are not whole numbers, one for each of the ``sequences``.
    """
    if starts is None or ends is None:
        missing = "start_positions" if starts is None else "end_positions"
        raise InputError("give both start_positions and end_positions, or neither", received=f"no {missing}")
    _check_whole("start_positions", starts)
    _check_whole("end_positions", ends)
    return read_column("start_positions", starts, sequences), read_column("end_positions", ends, sequences)


def check_labels(name: str, labels: Any, shape: Any, classes: int) -> None:
    """Raise :class:`InputError` unless ``labels`` have ``shape`` and are classes or :data:`IGNORED`."""
    check_known_shape(name, labels.shape, shape, "what they label")
    _check_whole(name, labels)
    if _readable(labels):
        wrong = labels[((labels < 0) & (labels != IGNORED)) | (labels >= classes)]
        if len(wrong):
            raise InputError(
                f"{name} must be from 0 to {classes - 1}, or {IGNORED} where nothing is predicted", received=int(wrong[0])
            )


def check_probabilities(name: str, labels: Any, shape: Any) -> None:
    """Raise :class:`InputError` unless ``labels`` have ``shape`` and are from 0 to 1."""
    check_known_shape(name, labels.shape, shape, "what they label")
    if _readable(labels):
        numbers = tf.cast(labels, tf.float32)
        wrong = numbers[(numbers < 0) | (numbers > 1)]
        if len(wrong):
            raise InputError(f"{name} must be from 0, a no, to 1, a yes", received=float(wrong[0]))


def _readable(numbers: Any) -> bool:
    """Tell whether a look at the numbers costs nothing: on the CPU, and outside a graph."""
    return tf.executing_eagerly() and "CPU" in numbers.device
