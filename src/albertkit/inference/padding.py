"""A packed batch as padded blocks of similar length, for engines whose attention reads a rectangle.

Shapes: T tokens of the packed batch · b sequences of a block · L its longest · t its tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from albertkit.inference.batching import TokenBatch

__all__ = ["PaddedBlock", "pad_blocks"]


@dataclass(frozen=True, eq=False)
class PaddedBlock:
    """Some sequences of a batch, padded to the longest of them.

    Attributes:
        sequences: ``[b]`` their numbers in the batch.
        mask: ``[b, L]`` bool: token or padding.
        tokens: ``[t]`` where the tokens stand in the packed batch, in the order of the mask.
    """

    sequences: np.ndarray
    mask: np.ndarray
    tokens: np.ndarray

    def pad(self, values: np.ndarray) -> np.ndarray:
        """``[b, L]`` from a column ``[T]`` of the batch, 0 at padding."""
        padded = np.zeros(self.mask.shape, np.int64)
        padded[self.mask] = values[self.tokens]
        return padded


def pad_blocks(batch: TokenBatch, most_padding: float, most_places: int) -> Iterator[PaddedBlock]:
    """Group sequences by length.

    Args:
        batch: Sequences end to end.
        most_padding: Largest share of padding in a block.
        most_places: Most tokens and padding in a block; a longer sequence stands alone.
    """
    lengths = np.diff(batch.cu_seqlens)
    block: list[int] = []
    total = 0
    for number in np.argsort(lengths, kind="stable").tolist():
        length = int(lengths[number])
        places = length * (len(block) + 1)
        if block and (places > most_places or total + length < (1 - most_padding) * places):
            yield _make_block(batch, np.array(block), lengths)
            block, total = [], 0
        block.append(number)
        total += length
    yield _make_block(batch, np.array(block), lengths)


def _make_block(batch: TokenBatch, sequences: np.ndarray, lengths: np.ndarray) -> PaddedBlock:
    columns = np.arange(lengths[sequences].max())
    mask = columns < lengths[sequences][:, None]
    return PaddedBlock(sequences, mask, (batch.cu_seqlens[sequences][:, None] + columns)[mask])
