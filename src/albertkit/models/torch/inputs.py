"""From what a caller gives to what the encoder reads, with every check on the way.

Shapes: B batch · L sequence · T tokens of a packed batch · E embedding. ``*tokens`` is ``B L`` or ``T``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.models.inputs import check_length, check_range, check_shape
from albertkit.models.torch.losses import IGNORED
from albertkit.models.torch.packing import Layout, Packed, Padded

__all__ = [
    "Batch",
    "check_labels",
    "check_probabilities",
    "check_tensor",
    "read_batch",
    "read_column",
    "read_head_mask",
    "read_spans",
]


@dataclass(frozen=True, eq=False)
class Batch:
    """The tokens of a batch in the encoder's order, and how they lie.

    Attributes:
        input_ids: ``[*tokens]``, or ``None`` with ``inputs_embeds``.
        token_type_ids: ``[*tokens]``, or ``None`` for all 0.
        position_ids: ``[*tokens]``, or ``None`` for 0, 1, 2 … along a padded batch.
        inputs_embeds: ``[*tokens, E]``, or ``None``.
        layout: Padded or packed.
    """

    input_ids: Tensor | None
    token_type_ids: Tensor | None
    position_ids: Tensor | None
    inputs_embeds: Tensor | None
    layout: Layout


def check_tensor(name: str, given: Any) -> None:
    """Raise :class:`InputError` if argument ``name`` is there, and no tensor."""
    if given is None or isinstance(given, Tensor):
        return
    fix = "call model(**inputs)" if isinstance(given, Mapping) else 'tokenize with return_tensors="pt", or use torch.tensor'
    raise InputError(f"{name} must be a tensor of PyTorch", received=type(given).__name__, fix=fix)


def read_batch(config: AlbertConfig, batch: Batch, attention_mask: Tensor | None, cu_seqlens: Tensor | None) -> Batch:
    """Check the tensors of ``batch``, find their layout, and put a packed batch in the encoder's order.

    Args:
        config: The model's.
        batch: The caller's tensors; its layout is not read.
        attention_mask: ``[B, L]`` for a padded batch.
        cu_seqlens: ``[B + 1]`` for a packed one.

    Raises:
        InputError: If anything does not fit the model or the rest.
    """
    for name in ("input_ids", "token_type_ids", "position_ids", "inputs_embeds"):
        check_tensor(name, getattr(batch, name))
    check_tensor("attention_mask", attention_mask)
    check_tensor("cu_seqlens", cu_seqlens)
    name, given = _find_input(batch)
    shape = _find_shape(config, name, given, packed=cu_seqlens is not None)
    if cu_seqlens is None:
        layout: Layout = Padded.from_attention_mask(attention_mask, shape)
        check_length(shape[1], config)
    else:
        if attention_mask is not None:
            raise InputError("a packed batch (cu_seqlens) has no padding to mask", received="an attention_mask too")
        layout = Packed.from_cu_seqlens(cu_seqlens, shape[0], given.device)
        check_length(layout.longest, config)
    if batch.token_type_ids is not None:
        check_shape("token_type_ids", batch.token_type_ids.shape, shape, name)
    if batch.position_ids is not None and (
        cu_seqlens is not None or batch.position_ids.shape not in ((1, shape[-1]), shape[-1:])
    ):
        check_shape("position_ids", batch.position_ids.shape, shape, name)
    _check_numbers("input_ids", batch.input_ids, config.vocab_size, "vocab_size")
    _check_numbers("token_type_ids", batch.token_type_ids, config.type_vocab_size, "type_vocab_size")
    _check_numbers("position_ids", batch.position_ids, config.max_position_embeddings, "max_position_embeddings")
    if isinstance(layout, Padded):
        return replace(batch, layout=layout)
    tensors = (batch.input_ids, batch.token_type_ids, batch.inputs_embeds)
    ids, types, embeds = (None if tensor is None else layout.sort(tensor) for tensor in tensors)
    positions = layout.position_ids if batch.position_ids is None else layout.sort(batch.position_ids)
    return Batch(ids, types, positions, embeds, layout)


def _find_input(batch: Batch) -> tuple[str, Tensor]:
    """The one input given, by name."""
    if batch.input_ids is not None and batch.inputs_embeds is None:
        return "input_ids", batch.input_ids
    if batch.inputs_embeds is not None and batch.input_ids is None:
        return "inputs_embeds", batch.inputs_embeds
    raise InputError("give exactly one of input_ids and inputs_embeds", received="neither" if batch.input_ids is None else "both")


def _find_shape(config: AlbertConfig, name: str, given: Tensor, packed: bool) -> tuple[int, ...]:
    """The shape ``[*tokens]`` of the input."""
    rank = 1 if name == "input_ids" else 2
    layout = "[tokens]" if packed else "[batch, sequence]"
    if given.dim() != (rank if packed else rank + 1) or 0 in given.shape:
        raise InputError(
            f"{name} must have the shape {layout}{'' if rank == 1 else ' + [embedding_size]'}, none of them 0",
            received=f"shape {tuple(given.shape)}",
            fix=None if packed else "add the batch dimension with tensor[None]",
        )
    shape = tuple(given.shape[: 1 if packed else 2])
    if rank == 2:
        check_shape(name, given.shape, (*shape, config.embedding_size), "the tokens and embedding_size")
    return shape


def _check_numbers(name: str, numbers: Tensor | None, size: int, setting: str) -> None:
    """Whole numbers from 0 to ``size - 1``; the range is read on the CPU only, where that costs microseconds."""
    if numbers is None:
        return
    _check_whole(name, numbers)
    if _readable(numbers) and numbers.numel():
        smallest, largest = torch.aminmax(numbers)
        check_range(name, int(smallest), int(largest), size, setting)


def _check_whole(name: str, numbers: Tensor) -> None:
    if numbers.is_floating_point():
        raise InputError(f"{name} must be whole numbers", received=f"dtype {numbers.dtype}", fix=f"{name}.long()")


def read_head_mask(config: AlbertConfig, head_mask: Tensor | None) -> Tensor | None:
    """``[layers, N]`` from a mask for every layer alike, ``[N]``, or for each, ``[layers, N]``.

    Raises:
        InputError: If it has another shape.
    """
    check_tensor("head_mask", head_mask)
    if head_mask is None:
        return None
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    if tuple(head_mask.shape) not in ((heads,), (layers, heads)):
        raise InputError(
            f"head_mask must have the shape ({heads},) or ({layers}, {heads}): [heads] or [layers, heads]",
            received=f"shape {tuple(head_mask.shape)}",
        )
    return head_mask.expand(layers, heads)


def read_column(name: str, numbers: Tensor, sequences: int) -> Tensor:
    """``[B]`` from one number for each sequence, ``[B]`` or ``[B, 1]``.

    Raises:
        InputError: If there is not one for each of the ``sequences``.
    """
    check_tensor(name, numbers)
    column = numbers.squeeze(-1) if numbers.dim() == 2 else numbers
    check_shape(name, column.shape, (sequences,), "the sequences")
    return column


def read_spans(starts: Tensor | None, ends: Tensor | None, sequences: int) -> tuple[Tensor, Tensor]:
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
    return columns


def check_labels(name: str, labels: Tensor, shape: tuple[int, ...], classes: int) -> None:
    """Raise :class:`InputError` unless ``labels`` have ``shape`` and are classes or :data:`IGNORED` (read on the CPU only)."""
    check_tensor(name, labels)
    check_shape(name, labels.shape, shape, "what they label")
    _check_whole(name, labels)
    if _readable(labels):
        wrong = labels[((labels < 0) & (labels != IGNORED)) | (labels >= classes)]
        if wrong.numel():
            raise InputError(
                f"{name} must be from 0 to {classes - 1}, or {IGNORED} where nothing is predicted", received=int(wrong[0])
            )


def check_probabilities(name: str, labels: Tensor, shape: tuple[int, ...]) -> None:
    """Raise :class:`InputError` unless ``labels`` have ``shape`` and are from 0 to 1 (read on the CPU only)."""
    check_shape(name, labels.shape, shape, "what they label")
    if _readable(labels):
        wrong = labels[(labels < 0) | (labels > 1)]
        if wrong.numel():
            raise InputError(f"{name} must be from 0, a no, to 1, a yes", received=wrong[0].item())


def _readable(numbers: Tensor) -> bool:
    """Tell whether a look at the numbers costs nothing: on the CPU, and outside a compiler's trace."""
    return numbers.device.type == "cpu" and not torch.compiler.is_compiling()
