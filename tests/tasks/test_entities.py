"""Entities and their scores against seqeval, on any tags that may come."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as seqeval_lenient
from seqeval.metrics.v1 import precision_recall_fscore_support as seqeval_strict
from seqeval.scheme import IOB2, IOBES

from albertkit.tasks.entities import Entity, find_entities, score_entities

TYPES = ("PER", "creative-work")


def sentences(prefixes: str) -> st.SearchStrategy[list[tuple[list[str], list[str]]]]:
    """Sentences with right and given tags."""
    tag = st.sampled_from(["O", *(f"{prefix}-{name}" for prefix in prefixes for name in TYPES)])
    sentence = st.lists(st.tuples(tag, tag), min_size=1, max_size=9)
    return st.lists(sentence.map(lambda pairs: tuple(map(list, zip(*pairs, strict=True)))), min_size=1, max_size=4)


def check(found, expected_each, expected_all):
    """Compare with seqeval's scores of each type and of all."""
    everything, types = found
    precision, recall, f1, number = expected_each
    assert [score.precision for score in types.values()] == pytest.approx(list(precision))
    assert [score.recall for score in types.values()] == pytest.approx(list(recall))
    assert [score.f1 for score in types.values()] == pytest.approx(list(f1))
    assert [score.number for score in types.values()] == list(number)
    assert tuple(everything) == pytest.approx(expected_all)


@given(sentences("BIES"))
def test_lenient_scores_are_those_of_seqeval(found):
    right, answers = (list(side) for side in zip(*found, strict=True))
    for tags in right:
        assert find_entities(tags) == [(name, start, last + 1) for name, start, last in get_entities(tags)]
    with warnings.catch_warnings():  # it warns of what it cannot divide
        warnings.simplefilter("ignore")
        expected = [seqeval_lenient(right, answers, average=average, zero_division=0) for average in (None, "micro")]
    check(score_entities(right, answers), *expected)


@settings(max_examples=60)
@pytest.mark.parametrize(("prefixes", "scheme", "peer"), [("BI", "IOB2", IOB2), ("BIES", "IOBES", IOBES)])
@given(data=st.data())
def test_strict_scores_are_those_of_seqeval(data, prefixes, scheme, peer):
    right, answers = (list(side) for side in zip(*data.draw(sentences(prefixes)), strict=True))
    if not any(find_entities(tags, scheme) for tags in right + answers):
        assert score_entities(right, answers, scheme) == ((0, 0, 0, 0), {})  # which seqeval cannot do
        return
    expected = [seqeval_strict(right, answers, average=average, scheme=peer, zero_division=0) for average in (None, "micro")]
    check(score_entities(right, answers, scheme), *expected)


def test_tags_without_a_type_are_of_one_type():
    assert find_entities(["B", "I", "O", "B", "B", "I"]) == [Entity("_", 0, 2), Entity("_", 3, 4), Entity("_", 4, 6)]


def test_iob1_is_understood():
    assert find_entities(["I-PER", "I-PER", "B-PER", "I-LOC", "O"]) == [("PER", 0, 2), ("PER", 2, 3), ("LOC", 3, 4)]


def test_no_words_have_no_entities():
    assert find_entities([]) == []
    assert score_entities([], []) == ((0, 0, 0, 0), {})
