"""Padded blocks hold every token once, with no more padding and no more places than allowed."""

from __future__ import annotations

import numpy as np
import pytest

from albertkit.inference import TokenBatch
from albertkit.inference.padding import pad_blocks

LENGTHS = [5, 40, 7, 7, 130, 6, 90, 5, 41]


@pytest.fixture
def batch() -> TokenBatch:
    numbers = iter(range(1, 1000))
    sequences = [[next(numbers) for _ in range(length)] for length in LENGTHS]
    return TokenBatch.from_sequences(sequences, sequences)


@pytest.mark.parametrize(("most_padding", "most_places"), [(0.25, 1024), (0.25, 100), (0.0, 1024), (0.9, 64), (1.0, 10_000)])
def test_blocks_keep_to_their_limits(batch: TokenBatch, most_padding: float, most_places: int) -> None:
    found = {}
    for block in pad_blocks(batch, most_padding, most_places):
        assert len(block.sequences) == 1 or block.mask.size <= most_places
        assert np.mean(~block.mask) <= most_padding
        padded = block.pad(batch.input_ids)
        for sequence, row, real in zip(block.sequences.tolist(), padded, block.mask, strict=True):
            assert sequence not in found
            assert not row[~real].any()
            found[sequence] = row[real].tolist()
    whole = np.split(batch.input_ids, batch.cu_seqlens[1:-1])
    assert [found[number] for number in range(len(LENGTHS))] == [ids.tolist() for ids in whole]
