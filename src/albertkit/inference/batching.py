"""Token budgets: which texts run together, so that no batch is padded and none is too large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["TokenBatch", "plan_batches"]


@dataclass(frozen=True)
class TokenBatch:
    """Sequences end to end, without padding.

    Attributes:
        input_ids: ``[T]`` int64.
        token_type_ids: ``[T]`` int64.
        cu_seqlens: ``[B + 1]`` int64: sequence i is ``input_ids[cu_seqlens[i]:cu_seqlens[i + 1]]``.
    """

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    cu_seqlens: np.ndarray

    @classmethod
    def from_sequences(cls, input_ids: Sequence[Sequence[int]], token_type_ids: Sequence[Sequence[int]]) -> TokenBatch:
        """Lay sequences end to end.

        Args:
            input_ids: One list of ids per sequence.
            token_type_ids: One list of segment numbers per sequence, of the same lengths.
        """
        lengths = [len(sequence) for sequence in input_ids]
        return cls(
            input_ids=np.concatenate([np.asarray(sequence, np.int64) for sequence in input_ids]),
            token_type_ids=np.concatenate([np.asarray(sequence, np.int64) for sequence in token_type_ids]),
            cu_seqlens=np.concatenate([[0], np.cumsum(lengths)]),
        )


def plan_batches(lengths: Sequence[int], token_budget: int, batch_size: int | None = None) -> list[list[int]]:
    """Group sequences of similar length into batches of at most ``token_budget`` tokens (a longer one stands alone).

    Args:
        lengths: Tokens of each sequence.
        token_budget: Most tokens in a batch.
        batch_size: Most sequences in a batch, if there is a limit.

    Returns:
        Batches of sequence numbers, shortest first; equal lengths are adjacent, so that attention can take them together.
    """
    batches: list[list[int]] = []
    total = 0
    for index in np.argsort(lengths, kind="stable").tolist():
        if not batches or total + lengths[index] > token_budget or len(batches[-1]) == batch_size:
            batches.append([])
            total = 0
        batches[-1].append(index)
        total += lengths[index]
    return batches
