"""Padded blocks hold every token once, with no more padding and no more places than allowed."""

from __future__ import annotations

import numpy as np
import pytest

from albertkit.inference import TokenBatch
from albertkit.inference.padding import PaddedBlock, pad_blocks, pad_to_powers

LENGTHS = [5, 40, 7, 7, 130, 6, 90, 5, 41]


@pytest.fixture
def batch() -> TokenBatch:
    numbers = iter(range(1, 1000))
    sequences = [[next(numbers) for _ in range(length)] for length in LENGTHS]
    return TokenBatch.from_sequences(sequences, sequences)


@pytest.mark.parametrize(("most_padding", "most_places"), [(0.25, 1024), (0.25, 100), (0.0, 1024), (0.9, 64), (1.0, 10_000)])
def test_blocks_keep_to_their_limits(batch: TokenBatch, most_padding: float, most_places: int) -> None:
    blocks = list(pad_blocks(batch, most_padding, most_places))
    for block in blocks:
        assert len(block.sequences) == 1 or block.mask.size <= most_places
        assert np.mean(~block.mask) <= most_padding
    assert_whole(batch, blocks)


@pytest.mark.parametrize(("longest", "most_places"), [(130, 256), (150, 100), (512, 4096), (512, 8)])
def test_blocks_of_powers_have_few_shapes(batch: TokenBatch, longest: int, most_places: int) -> None:
    blocks = list(pad_to_powers(batch, longest, most_places))
    for block in blocks:
        rows, width = block.mask.shape
        assert len(block.sequences) == 1 or block.mask.size <= most_places
        assert rows.bit_count() == 1
        assert width == longest or (width.bit_count() == 1 and 16 <= width < longest)
        assert rows < 2 * len(block.sequences)
        assert width <= 16 or block.mask.sum(axis=1).max() > width / 2
    assert_whole(batch, blocks)


def assert_whole(batch: TokenBatch, blocks: list[PaddedBlock]) -> None:
    """Every sequence is in one block, and padding holds zeros."""
    found = {}
    for block in blocks:
        padded = block.pad(batch.input_ids)
        assert not padded[len(block.sequences) :].any()
        for sequence, row, real in zip(block.sequences.tolist(), padded, block.mask, strict=False):
            assert sequence not in found
            assert not row[~real].any()
            found[sequence] = row[real].tolist()
    whole = np.split(batch.input_ids, batch.cu_seqlens[1:-1])
    assert [found[number] for number in range(len(LENGTHS))] == [ids.tolist() for ids in whole]
