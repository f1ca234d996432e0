"""A packed batch as padded blocks of similar length, for engines whose models read a rectangle of tokens.

Shapes: T tokens of the packed batch · b sequences of a block · L its longest · t its tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from albertkit.inference.batching import TokenBatch

__all__ = ["PaddedBlock", "next_power", "pad_blocks", "pad_to_powers"]

_SHORTEST = 16  # of the lengths that texts are padded to: below it there is little to save


@dataclass(frozen=True, eq=False)
class PaddedBlock:
    """Some sequences of a batch, padded to the longest of them.

    Attributes:
        sequences: ``[b]`` their numbers in the batch.
        mask: ``[b, L]`` bool: token or padding; it may have rows of padding below them.
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
            yield _make_block(batch, lengths, np.array(block), len(block), int(lengths[block[-1]]))
            block, total = [], 0
        block.append(number)
        total += length
    yield _make_block(batch, lengths, np.array(block), len(block), int(lengths[block[-1]]))


def pad_to_powers(batch: TokenBatch, longest: int, most_places: int) -> Iterator[PaddedBlock]:
    """Blocks of few shapes, for engines that compile for each: lengths and numbers of sequences are powers of two.

    Args:
        batch: Sequences end to end.
        longest: Largest length that the model has positions for, which is a block's largest too.
        most_places: Most tokens and padding in a block; a longer sequence stands alone.
    """
    lengths = np.diff(batch.cu_seqlens)
    padded = np.array([min(next_power(max(length, _SHORTEST)), longest) for length in lengths.tolist()])
    for width in np.unique(padded).tolist():
        sequences = np.flatnonzero(padded == width)
        most = 1 << max(most_places // width, 1).bit_length() - 1
        for start in range(0, len(sequences), most):
            chosen = sequences[start : start + most]
            yield _make_block(batch, lengths, chosen, next_power(len(chosen)), width)


def next_power(number: int) -> int:
    """The smallest power of two that is not below ``number``."""
    return 1 << (number - 1).bit_length()


def _make_block(batch: TokenBatch, lengths: np.ndarray, sequences: np.ndarray, rows: int, width: int) -> PaddedBlock:
    """Sequences of ``lengths`` as the first rows of a block ``[rows, width]``."""
    columns = np.arange(width)
    mask = np.zeros((rows, width), bool)
    mask[: len(sequences)] = columns < lengths[sequences][:, None]
    return PaddedBlock(sequences, mask, (batch.cu_seqlens[sequences][:, None] + columns)[mask[: len(sequences)]])
