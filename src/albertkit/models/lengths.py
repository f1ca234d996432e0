"""How the sequences of a packed batch group by length, worked out once for a batch and for any framework.

Attention over a packed batch takes the sequences of equal length together, as one dense block without padding. The encoder
therefore sees them sorted by length; the caller's order is restored at the end.

Shapes: B batch · T tokens of a packed batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from albertkit.errors import InputError
from albertkit.models.shapes import Int

__all__ = ["LengthGroups", "group_by_length"]


@dataclass(frozen=True, eq=False)
class LengthGroups:
    """The order in which the encoder sees a packed batch.

    Attributes:
        groups: ``(number of sequences, their length)`` of each run of equal lengths, in the encoder's order.
        position_ids: ``[T]`` position of each token in its own sequence, in the encoder's order.
        order: ``[T]`` where the encoder's tokens stand in the caller's order; ``None`` when both are the same.
        inverse: ``[T]`` where the caller's tokens stand in the encoder's order; ``None`` when both are the same.
        first_tokens: ``[B]`` where each sequence begins, in the caller's order.
    """

    groups: tuple[tuple[int, int], ...]
    position_ids: Int[np.ndarray, " T"]
    order: Int[np.ndarray, " T"] | None
    inverse: Int[np.ndarray, " T"] | None
    first_tokens: Int[np.ndarray, " B"]

    @property
    def longest(self) -> int:
        """Length of the longest sequence."""
        return max(length for _, length in self.groups)

    @property
    def sizes(self) -> list[int]:
        """Tokens of each run."""
        return [count * length for count, length in self.groups]


def group_by_length(cu_seqlens: Sequence[int], tokens: int) -> LengthGroups:
    """Sort the sequences of a batch by length, unless equal lengths already stand together.

    Args:
        cu_seqlens: The B + 1 boundaries of the sequences: 0 first, T last.
        tokens: T.

    Raises:
        InputError: If the boundaries do not rise from 0 to T.
    """
    rising = all(first < second for first, second in pairwise(cu_seqlens))
    if len(cu_seqlens) < 2 or cu_seqlens[0] != 0 or cu_seqlens[-1] != tokens or not rising:
        shown = ", ".join(str(number) for number in cu_seqlens[:8]) + (", …" if len(cu_seqlens) > 8 else "")
        raise InputError(
            f"cu_seqlens must rise from 0 to the number of tokens, {tokens}, one step for each sequence", received=f"[{shown}]"
        )
    boundaries = np.asarray(cu_seqlens, dtype=np.int64)
    starts, lengths = boundaries[:-1], np.diff(boundaries)
    together = np.count_nonzero(np.diff(lengths)) + 1 == len(set(lengths.tolist()))
    if not together:
        by_length = np.argsort(lengths, kind="stable")
        lengths = lengths[by_length]
    position_ids = np.arange(tokens) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    order = None if together else np.repeat(starts[by_length], lengths) + position_ids
    return LengthGroups(
        groups=tuple((len(list(run)), length) for length, run in groupby(lengths.tolist())),
        position_ids=position_ids,
        order=order,
        inverse=None if order is None else np.argsort(order),
        first_tokens=starts,
    )
