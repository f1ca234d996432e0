from __future__ import annotations

from itertools import chain
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albertkit.data.options import ExampleOptions
from albertkit.data.segments import draw_targets, find_stretches, truncate_pair

SENTENCE_LENGTHS = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=12), min_size=1, max_size=8)


def offsets(lengths: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def read_stretches(documents: list[list[int]], target: int, rule: Literal["neighbour", "skip", "other_document"]) -> list:
    bounds = offsets([*chain(*documents)]), offsets([len(document) for document in documents])
    found = find_stretches(*bounds, lambda documents: np.full(len(documents), target), rule)
    assert (found.target == target).all()
    return sorted(zip(found.document.tolist(), found.first.tolist(), found.end.tolist(), strict=True))


@given(SENTENCE_LENGTHS, st.integers(2, 60))
def test_sentences_are_added_until_the_target_is_reached(documents: list[list[int]], target: int) -> None:
    expected, sentence = [], 0
    for number, document in enumerate(documents):
        first, length = sentence, 0
        for tokens in document:
            sentence += 1
            length += tokens
            if length >= target:
                expected.append((number, first, sentence))
                first, length = sentence, 0
        if first < sentence:
            expected.append((number, first, sentence))
    assert read_stretches(documents, target, "other_document") == expected
    assert read_stretches(documents, target, "skip") == [one for one in expected if one[2] - one[1] > 1]


def test_a_single_sentence_joins_the_one_before_or_after_it() -> None:
    documents = [[9, 3, 3, 9], [9], [4, 9], [9, 9]]
    assert read_stretches(documents, 6, "neighbour") == [(0, 0, 2), (0, 1, 3), (0, 2, 4), (2, 5, 7), (3, 7, 9), (3, 7, 9)]
    assert read_stretches(documents, 6, "skip") == [(0, 1, 3), (2, 5, 7)]
    assert read_stretches([], 6, "neighbour") == []


@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 50), st.sampled_from([0.0, 0.5, 1.0]))
def test_truncation_takes_one_token_at_a_time_from_the_longer_segment(a: int, b: int, longest: int, front: float) -> None:
    first, second = np.arange(a, dtype=np.int32), np.arange(100, 100 + b, dtype=np.int32)
    expected = [a, b]
    while sum(expected) > longest:
        expected[int(expected[0] <= expected[1])] -= 1
    for whole, cut, length in zip(
        (first, second), truncate_pair(first, second, longest, front, np.random.default_rng(0)), expected, strict=True
    ):
        assert len(cut) == length
        assert (np.diff(cut) == 1).all()
        assert {0.0: cut[0] == whole[0], 1.0: cut[-1] == whole[-1]}.get(front, True)


def test_truncation_takes_from_both_ends_alike() -> None:
    generator = np.random.default_rng(0)
    ids = np.arange(1000, dtype=np.int32)
    pairs = [truncate_pair(ids, ids, 1000, 0.5, generator) for _ in range(40)]
    for side in zip(*pairs, strict=True):
        assert np.mean([cut[0] for cut in side]) == pytest.approx(250, abs=10)


def test_targets_are_full_or_evenly_shorter() -> None:
    targets = draw_targets(ExampleOptions(max_seq_length=12), 100_000, np.random.default_rng(0))
    counts = np.bincount(targets)
    assert len(counts) == 10
    assert counts[:2].sum() == 0
    assert counts[2:9] == pytest.approx(100_000 * 0.1 / 8, rel=0.1)
    assert counts[9] == pytest.approx(100_000 * (0.9 + 0.1 / 8), rel=0.01)
    assert (draw_targets(ExampleOptions(max_seq_length=12, short_seq_prob=0), 1000, np.random.default_rng(0)) == 9).all()
