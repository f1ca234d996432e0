"""Truncation and windows, as properties; parity with transformers is tested beside."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albertkit.errors import InputError
from albertkit.testing import tiny_tokenizer
from albertkit.tokenization.truncation import list_windows

LENGTHS = st.integers(0, 40)


@given(LENGTHS, LENGTHS, st.integers(0, 60))
def test_longest_first_shortens_the_longer_text_and_keeps_as_much_as_fits(first: int, second: int, budget: int) -> None:
    (((start, kept), (other_start, other)),) = list_windows((first, second), budget, "longest_first")
    assert start == other_start == 0
    assert kept + other == min(first + second, budget)
    if kept < first:
        assert kept >= other - 1
    if other < second:
        assert other >= kept - 1


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ((5, 10), (4, 5)),
        ((10, 5), (5, 4)),
        ((7, 7), (4, 5)),
        ((2, 10), (2, 7)),
        ((10, 2), (7, 2)),
        ((12, 0), (9, 0)),
        ((4, 5), (4, 5)),
    ],
)
def test_longest_first_by_example(lengths: tuple[int, int], expected: tuple[int, int]) -> None:
    (((_, first), (_, second)),) = list_windows(lengths, 9, "longest_first")
    assert (first, second) == expected


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 19))
def test_windows_cover_a_text_and_overlap_by_the_stride(length: int, size: int, stride: int) -> None:
    if stride >= size < length:
        with pytest.raises(InputError, match="stride"):
            list_windows((length,), size, "longest_first", stride=stride, overflow=True)
        return
    windows = [window for (window,) in list_windows((length,), size, "longest_first", stride=stride, overflow=True)]
    assert windows[0][0] == 0
    assert windows[-1][1] == length
    assert all(stop - start == min(size, length) for start, stop in windows[:-1])
    assert all(previous[1] - following[0] == stride for previous, following in itertools.pairwise(windows))


@given(LENGTHS, LENGTHS, st.integers(1, 40), st.sampled_from(["only_first", "only_second"]))
def test_one_text_alone_is_shortened_or_the_call_refused(first: int, second: int, budget: int, strategy: str) -> None:
    lengths = (first, second)
    shortened = strategy == "only_second"
    if first + second > budget <= lengths[not shortened]:
        with pytest.raises(InputError, match=f"{strategy} must leave at least one token"):
            list_windows(lengths, budget, strategy)
        return
    ((windows),) = list_windows(lengths, budget, strategy)
    assert windows[not shortened] == (0, lengths[not shortened])
    assert sum(stop for _start, stop in windows) == min(budget, first + second)


def test_overflowing_rows_hold_every_token_of_the_document_with_its_question() -> None:
    tokenizer = tiny_tokenizer()
    question, document = "is it a model", "the cat sat on the dog and the dog sat on the cat in Paris"
    whole = tokenizer(question, document, return_offsets_mapping=True)
    rows = tokenizer(
        [question, question], [document, "a cat"], truncation="only_second", max_length=14, stride=3,
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    assert rows["overflow_to_sample_mapping"] == [0] * (len(rows["input_ids"]) - 1) + [1]
    seen = set()
    for row in range(len(rows["input_ids"]) - 1):
        assert len(rows["input_ids"][row]) <= 14
        assert rows["input_ids"][row][:6] == whole["input_ids"][:6]
        for offsets, sequence in zip(rows["offset_mapping"][row], rows.sequence_ids(row), strict=True):
            if sequence == 1:
                seen.add(offsets)
    assert seen == {
        offsets for offsets, sequence in zip(whole["offset_mapping"], whole.sequence_ids(), strict=True) if sequence == 1
    }


def test_truncation_without_a_length_leaves_what_the_model_takes() -> None:
    tokenizer = tiny_tokenizer()
    assert len(tokenizer("cat " * 600, truncation=True)["input_ids"]) == tokenizer.model_max_length == 43
    assert len(tokenizer("cat " * 600)["input_ids"]) == 602
    assert tokenizer("cat " * 600, truncation=True, max_length=2)["input_ids"] == [2, 3]
