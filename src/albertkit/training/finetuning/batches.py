"""Batches of a fine-tuning run: which units each step takes is a pure function of seed and step.

The order is that of one permutation of all units after the other, one for each epoch, so that a batch may end one epoch and begin
the next; a run that resumes needs no more than its step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from albertkit.config import AlbertConfig
from albertkit.models.torch.losses import IGNORED
from albertkit.models.torch.packing import send, unpack
from albertkit.tasks.base import Features
from albertkit.tasks.features import pack
from albertkit.training.flops import count_encoder_flops

__all__ = ["Batch", "make_batches", "to_padded", "to_tensors", "units_of_step"]

_OF_TOKENS = ("input_ids", "token_type_ids", "p_mask")  # what the padded layout sets side by side


@dataclass(frozen=True, eq=False)
class Batch:
    """A process's share of a batch.

    Attributes:
        parts: Arguments of the model, packed; none where there are fewer units than processes.
        labelled: What each part's loss is the mean of: labels, or units.
        tokens: Number of tokens, special ones included.
        flops: See :func:`albertkit.training.flops.count_flops`.
    """

    parts: list[dict[str, np.ndarray]]
    labelled: list[int]
    tokens: int
    flops: int


def units_of_step(step: int, *, size: int, num_units: int, seed: int) -> np.ndarray:
    """The units of an update.

    Args:
        step: Updates made before.
        size: Units of a batch.
        num_units: All there are.
        seed: Of the order.
    """
    epochs, places = np.divmod(np.arange(step * size, (step + 1) * size), num_units)
    return np.concatenate([_order(seed, int(epoch), num_units)[places[epochs == epoch]] for epoch in np.unique(epochs)])


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, num_units: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, epoch)))).permutation(num_units)


def make_batches(
    features: Features,
    config: AlbertConfig,
    steps: range,
    *,
    size: int,
    seed: int,
    micro_batch_tokens: int | None,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Batch]:
    """Give a process its share of each batch: every ``world_size``-th unit of it.

    Args:
        features: Of all training examples.
        config: For the count of operations.
        steps: To make.
        size: Units of a batch, of all processes together.
        seed: Of the order.
        micro_batch_tokens: The most tokens of a part, unless a single unit has more; ``None`` cuts nothing.
        rank: Of this process.
        world_size: Number of processes.
    """
    unit_tokens = np.diff(features.boundaries[features.units])
    for step in steps:
        units = units_of_step(step, size=size, num_units=features.num_units, seed=seed)[rank::world_size]
        parts = [pack(features, part) for part in _cut(units, unit_tokens[units], micro_batch_tokens)]
        lengths = np.concatenate([np.diff(part["cu_seqlens"]) for part in parts]) if parts else np.zeros(0, np.int64)
        yield Batch(
            parts=parts,
            labelled=[_count_labelled(part) for part in parts],
            tokens=int(lengths.sum()),
            flops=count_encoder_flops(config, lengths),
        )


def to_tensors(part: dict[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    """The arguments of a model for a packed part; boundaries, which it looks at before it computes, stay on the CPU.

    Args:
        part: Of a :class:`Batch`.
        device: Where the model is.
    """
    tensors = {name: torch.from_numpy(values) for name, values in part.items()}
    return {name: tensor if name == "cu_seqlens" else send(tensor, device) for name, tensor in tensors.items()}


def to_padded(part: dict[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    """The same in the padded layout, for Google's head of questions, whose probabilities run along a sequence.

    Args:
        part: Of a :class:`Batch`.
        device: Where the model is.
    """
    tensors = {name: torch.from_numpy(values) for name, values in part.items()}
    boundaries = tensors.pop("cu_seqlens")
    tensors["attention_mask"] = torch.ones_like(tensors["input_ids"])
    padded = {
        name: unpack(tensor, boundaries) if name in (*_OF_TOKENS, "attention_mask") else tensor
        for name, tensor in tensors.items()
    }
    return {name: send(tensor, device) for name, tensor in padded.items()}


def _cut(units: np.ndarray, tokens: np.ndarray, most: int | None) -> list[np.ndarray]:
    """Divide units, in order, into parts of no more than so many tokens."""
    if most is None or tokens.sum() <= most:
        return [units] if len(units) else []
    ends = np.append(0, np.cumsum(tokens))
    parts, first = [], 0
    while first < len(units):
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + most, side="right")) - 1)
        parts.append(units[first:last])
        first = last
    return parts


def _count_labelled(part: dict[str, np.ndarray]) -> int:
    """Number of what the model's loss is the mean of."""
    labels = next(values for name, values in part.items() if name in ("labels", "start_positions"))
    return int((labels != IGNORED).sum()) if labels.ndim == 1 and labels.dtype.kind == "i" else len(labels)
