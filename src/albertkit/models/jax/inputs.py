"""From what a caller gives to what the encoder reads, with every check on the way.

Values are looked at only where they are known and near: not inside ``jit``, ``grad`` or ``vmap``, and not on an accelerator.

Shapes: B batch · L sequence · E embedding · N heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.models.inputs import check_length, check_range, check_shape
from albertkit.models.jax.losses import IGNORED

__all__ = [
    "Batch",
    "Given",
    "Inputs",
    "check_array",
    "check_inputs",
    "read_batch",
    "read_column",
    "read_head_mask",
    "read_keys",
    "read_labels",
    "read_probabilities",
    "read_spans",
    "split_key",
]

Given = Array | np.ndarray
"""What a caller may give: arrays of either kind."""

Inputs = tuple[Given | None, Given | None, Given | None, Given | None, Given | None, Given | None]
"""The arguments of every call, in the order of :data:`INPUT_NAMES`."""

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "head_mask", "inputs_embeds")


@dataclass(frozen=True, eq=False)
class Batch:
    """The tokens of a batch.

    Attributes:
        tokens: ``[B, L]`` vocabulary ids, or ``[B, L, E]`` word embeddings.
        attention_mask: ``[B, L]``, true at real tokens; ``None`` when all are real.
        token_type_ids: ``[B, L]``, or ``None`` for all 0.
        position_ids: ``[B, L]``, ``[1, L]`` or ``[L]``; ``None`` for 0, 1, 2 …
    """

    tokens: Array
    attention_mask: Array | None
    token_type_ids: Array | None
    position_ids: Array | None


def check_array(name: str, given: Any) -> None:
    """Raise :class:`InputError` if argument ``name`` is there, and no array of JAX or NumPy."""
    if given is None or isinstance(given, Array | np.ndarray | nnx.Variable):
        return
    fix = "call model(**inputs)" if isinstance(given, Mapping) else 'tokenize with return_tensors="jax", or use jax.numpy.array'
    raise InputError(f"{name} must be an array of JAX or NumPy", received=type(given).__name__, fix=fix)


def check_inputs(inputs: Inputs) -> None:
    """Raise :class:`InputError` if one of a call's arguments is no array of JAX or NumPy."""
    for name, given in zip(INPUT_NAMES, inputs, strict=True):
        check_array(name, given)


def read_batch(
    config: AlbertConfig,
    input_ids: Given | None,
    attention_mask: Given | None,
    token_type_ids: Given | None,
    position_ids: Given | None,
    inputs_embeds: Given | None,
) -> Batch:
    """Check the arrays of a batch, and put them on the device.

    Raises:
        InputError: If anything does not fit the model or the rest.
    """
    name, tokens = _find_tokens(config, input_ids, inputs_embeds)
    shape = tokens.shape[:2]
    check_length(shape[1], config)
    if attention_mask is not None:
        check_shape("attention_mask", attention_mask.shape, shape, "the tokens [batch, sequence]")
    types = positions = None
    if token_type_ids is not None:
        check_shape("token_type_ids", token_type_ids.shape, shape, name)
        types = _read_numbers("token_type_ids", token_type_ids, config.type_vocab_size, "type_vocab_size")
    if position_ids is not None:
        if position_ids.shape not in ((1, shape[1]), shape[1:]):
            check_shape("position_ids", position_ids.shape, shape, name)
        positions = _read_numbers("position_ids", position_ids, config.max_position_embeddings, "max_position_embeddings")
    return Batch(tokens, None if attention_mask is None else jnp.asarray(attention_mask) != 0, types, positions)


def _find_tokens(config: AlbertConfig, input_ids: Given | None, inputs_embeds: Given | None) -> tuple[str, Array]:
    """The one input given, and its name."""
    given = input_ids if inputs_embeds is None else inputs_embeds
    if given is None or (input_ids is not None and inputs_embeds is not None):
        received = "neither" if given is None else "both"
        raise InputError("give exactly one of input_ids and inputs_embeds", received=received)
    name, rank = ("input_ids", 2) if inputs_embeds is None else ("inputs_embeds", 3)
    if given.ndim != rank or 0 in given.shape:
        raise InputError(
            f"{name} must have the shape [batch, sequence]{'' if rank == 2 else ' + [embedding_size]'}, none of them 0",
            received=f"shape {tuple(given.shape)}",
            fix="add the batch dimension with array[None]",
        )
    if rank == 3:
        check_shape(name, given.shape, (*given.shape[:2], config.embedding_size), "the tokens and embedding_size")
        return name, jnp.asarray(given)
    return name, _read_numbers(name, given, config.vocab_size, "vocab_size")


def _read_numbers(name: str, numbers: Given, size: int, setting: str) -> Array:
    """Whole numbers from 0 to ``size - 1``, on the device."""
    _check_whole(name, numbers)
    if _readable(numbers):
        values = np.asarray(numbers)  # as NumPy's own: what JAX did with constants would be traced
        check_range(name, int(values.min()), int(values.max()), size, setting)
    return jnp.asarray(numbers)


def _check_whole(name: str, numbers: Given) -> None:
    if not jnp.issubdtype(numbers.dtype, jnp.integer) and numbers.dtype != jnp.bool_:
        raise InputError(f"{name} must be whole numbers", received=f"dtype {numbers.dtype}", fix=f"{name}.astype(int)")


def read_head_mask(config: AlbertConfig, head_mask: Given | None) -> Array | None:
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
    return jnp.broadcast_to(jnp.asarray(head_mask), (layers, heads))


def read_keys(config: AlbertConfig, train: bool, dropout_rng: Array | None, count: int) -> tuple[Array | None, ...]:
    """``count`` independent keys for dropout, or as many ``None`` where nothing is dropped out.

    Raises:
        InputError: If something is, and there is no key.
    """
    if dropout_rng is not None and not _is_key(dropout_rng):
        received = f"shape {dropout_rng.shape}" if isinstance(dropout_rng, Array) else type(dropout_rng).__name__
        raise InputError("dropout_rng must be one key", received=received, fix="jax.random.key(0), or one row of several")
    rates = (config.hidden_dropout_prob, config.attention_probs_dropout_prob, config.classifier_dropout_prob)
    if train and dropout_rng is None and any(rates):
        raise InputError("train=True draws dropout from a key", received="none", fix="give dropout_rng=jax.random.key(0)")
    return split_key(dropout_rng if train else None, count)


def _is_key(given: Any) -> bool:
    """Tell whether it is one key of either kind: of a type of its own, or of plain numbers."""
    if not isinstance(given, Array | np.ndarray):
        return False
    return given.ndim == (0 if jnp.issubdtype(given.dtype, jax.dtypes.prng_key) else 1)


def split_key(key: Array | None, count: int) -> tuple[Array | None, ...]:
    """``count`` keys from one, or as many ``None`` from none."""
    return (None,) * count if key is None else tuple(jax.random.split(key, count))


def read_column(name: str, numbers: Given, sequences: int) -> Given:
    """``[B]`` from one number for each sequence, ``[B]`` or ``[B, 1]``.

    Raises:
        InputError: If there is not one for each of the ``sequences``.
    """
    check_array(name, numbers)
    column = numbers[:, 0] if numbers.ndim == 2 and numbers.shape[1] == 1 else numbers
    check_shape(name, column.shape, (sequences,), "the sequences")
    return column


def read_spans(starts: Given | None, ends: Given | None, sequences: int) -> tuple[Array, Array]:
    """The first and the last place of each sequence's answer, ``[B]`` both.

    Raises:
        InputError: If one of the two is missing, or they are not whole numbers, one for each of the ``sequences``.
    """
    if starts is None or ends is None:
        missing = "start_positions" if starts is None else "end_positions"
        raise InputError("give both start_positions and end_positions, or neither", received=f"no {missing}")
    columns = (read_column("start_positions", starts, sequences), read_column("end_positions", ends, sequences))
    _check_whole("start_positions", starts)
    _check_whole("end_positions", ends)
    return jnp.asarray(columns[0]), jnp.asarray(columns[1])


def read_labels(name: str, labels: Given, shape: tuple[int, ...], classes: int) -> Array:
    """Labels on the device.

    Raises:
        InputError: If they have not ``shape``, or are neither classes nor :data:`IGNORED`.
    """
    check_array(name, labels)
    check_shape(name, labels.shape, shape, "what they label")
    _check_whole(name, labels)
    if _readable(labels):
        values = np.asarray(labels)
        wrong = values[((values < 0) & (values != IGNORED)) | (values >= classes)]
        if wrong.size:
            raise InputError(
                f"{name} must be from 0 to {classes - 1}, or {IGNORED} where nothing is predicted", received=int(wrong[0])
            )
    return jnp.asarray(labels)


def read_probabilities(name: str, labels: Given, shape: tuple[int, ...]) -> Array:
    """Labels from 0 to 1, on the device.

    Raises:
        InputError: If they have not ``shape``, or are not from 0 to 1.
    """
    check_array(name, labels)
    check_shape(name, labels.shape, shape, "what they label")
    if _readable(labels):
        values = np.asarray(labels)
        wrong = values[(values < 0) | (values > 1)]
        if wrong.size:
            raise InputError(f"{name} must be from 0, a no, to 1, a yes", received=wrong[0].item())
    return jnp.asarray(labels)


def _readable(numbers: Given) -> bool:
    """Tell whether a look at the numbers costs nothing: outside a trace, and in this computer's memory."""
    if not isinstance(numbers, Array):
        return True
    return not isinstance(numbers, jax.core.Tracer) and all(device.platform == "cpu" for device in numbers.devices())
