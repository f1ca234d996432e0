"""Packed NumPy batches on their way to the model: cut into parts, and as tensors."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from albertkit.data.examples import PretrainingBatch
from albertkit.models.torch.packing import send

__all__ = ["cut_batch", "to_tensors"]


def cut_batch(batch: PretrainingBatch, tokens: int | None) -> list[PretrainingBatch]:
    """Cut a packed batch between sequences.

    Args:
        batch: Any number of sequences; of none there are no parts.
        tokens: The most that a part may have, unless a single sequence has more; ``None`` cuts nothing.
    """
    if not len(batch.input_ids):
        return []
    if tokens is None or len(batch.input_ids) <= tokens:
        return [batch]
    ends = batch.cu_seqlens
    parts, first = [], 0
    while first < len(ends) - 1:
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + tokens, side="right")) - 1)
        inside = slice(ends[first], ends[last])
        parts.append(
            dataclasses.replace(
                batch,
                input_ids=batch.input_ids[inside],
                token_type_ids=batch.token_type_ids[inside],
                labels=batch.labels[inside],
                cu_seqlens=ends[first : last + 1] - ends[first],
                sentence_order_label=batch.sentence_order_label[first:last],
            )
        )
        first = last
    return parts


def to_tensors(batch: PretrainingBatch, device: torch.device) -> dict[str, Tensor]:
    """The arguments of :class:`AlbertForPreTraining` for a packed batch; labels and boundaries, which the model looks at before
    it computes, stay on the CPU.

    Args:
        batch: NumPy arrays.
        device: Where the model is.
    """
    return {
        "input_ids": send(torch.from_numpy(batch.input_ids), device),
        "token_type_ids": send(torch.from_numpy(batch.token_type_ids), device),
        "labels": torch.from_numpy(batch.labels),
        "sentence_order_label": send(torch.from_numpy(batch.sentence_order_label), device),
        "cu_seqlens": torch.from_numpy(batch.cu_seqlens),
    }
