"""Scores of SQuAD: as torchmetrics (1.1) and transformers 4.57.6 (2.0) have them, and by their properties."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.text import squad

from albertkit.tasks.question_answering import QuestionAnsweringTask
from albertkit.tasks.squad import Answer, QuestionExample
from albertkit.tasks.squad_scores import compare_answers, find_best_threshold, normalize_answer

CASES = json.loads((Path(__file__).parents[1] / "golden" / "squad_scores.json").read_text(encoding="utf-8"))["cases"]

texts = st.text("aAnthe cxÇİßςΣ東½.,-'“”_\t\u00a0\u2009\u0301\x1c", max_size=12)
parts = st.sampled_from(["the", "An", "cat", "cat.", "the cat"]) | texts


@pytest.mark.parametrize("case", CASES, ids=[f"{case['kind']} {number}" for number, case in enumerate(CASES)])
def test_scores_with_unanswerable_questions_are_those_of_the_official_rules(case):
    examples = [
        QuestionExample(
            id=str(number),
            place="",
            question="?",
            context="",
            answers=tuple(Answer(text, 0) for text in golds),
            is_impossible=not golds,
        )
        for number, golds in enumerate(case["golds"])
    ]
    predictions = [
        {"id": str(number), "answer": "" if odds > case["threshold"] else text, "null_odds": odds, "n_best": [{"text": text}]}
        for number, (text, odds) in enumerate(zip(case["given"], case["odds"], strict=True))
    ]
    scores = QuestionAnsweringTask(name="squad-v2", null_threshold=case["threshold"]).score(examples, predictions)
    expected = {"exact_match" if name == "exact" else name: value for name, value in case["scores"].items()}
    assert scores.values == pytest.approx(expected, abs=1e-9)
    assert scores.main == scores.values["f1"]
    assert scores.baseline == pytest.approx(100 * sum(not golds for golds in case["golds"]) / len(examples))
    assert scores.details["best_threshold"] == expected["best_f1_thresh"]


@given(st.lists(st.tuples(st.lists(parts, min_size=1, max_size=3), parts), min_size=1, max_size=5))
def test_scores_without_unanswerable_questions_are_those_of_torchmetrics(rows):
    # Of two answers without words torchmetrics has 2.0's F1 of 1; 1.1's evaluator has 0.
    rows = [(golds, answer) for golds, answer in rows if normalize_answer(answer)] or [(["cat"], "")]
    exact, f1 = compare_answers([golds for golds, _answer in rows], [answer for _golds, answer in rows], may_be_impossible=False)
    expected = squad(
        [{"id": str(number), "prediction_text": answer} for number, (_golds, answer) in enumerate(rows)],
        [
            {"id": str(number), "answers": {"text": golds, "answer_start": [0] * len(golds)}}
            for number, (golds, _answer) in enumerate(rows)
        ],
    )
    assert 100 * exact.mean() == pytest.approx(float(expected["exact_match"]), abs=1e-4)
    assert 100 * f1.mean() == pytest.approx(float(expected["f1"]), abs=1e-4)


def test_normalizing_by_example():
    assert normalize_answer(" The  cat's\ta-n “theatre” \n(an) U.S. ") == "cats “theatre” us"
    assert compare_answers([["the", "the cat sat"]], ["Cat sat down!"], may_be_impossible=True)[1] == pytest.approx([0.8])
    assert [list(scores) for scores in compare_answers([[], ["the"]], ["", "a"], may_be_impossible=True)] == [[1, 1], [1, 1]]
    assert [list(scores) for scores in compare_answers([["the"]], ["a"], may_be_impossible=False)] == [[1], [0]]


@given(texts)
def test_normalizing_twice_changes_nothing(text):
    assert normalize_answer(normalize_answer(text)) == normalize_answer(text)


@given(st.lists(parts, min_size=1, max_size=3))
def test_a_right_answer_scores_one(golds):
    for may_be_impossible in (True, False):
        # By 1.1's rules an answer of articles alone has no F1; by 2.0's it is none of the right ones if there are others.
        real = [text for text in golds if normalize_answer(text)]
        for answer in real:
            assert [list(scores) for scores in compare_answers([golds], [answer], may_be_impossible=may_be_impossible)] == [
                [1],
                [1],
            ]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans(), st.integers(-5, 5).map(float)), min_size=1, max_size=12))
def test_no_threshold_is_better_than_the_best(rows):
    scores, is_answered, has_answer, odds = (np.array(column) for column in zip(*rows, strict=True))
    scores = np.where(has_answer, scores, ~is_answered)
    best, threshold = find_best_threshold(scores, is_answered, has_answer, odds)
    means = [100 * np.where(odds > cut, ~has_answer, scores).mean() for cut in [-np.inf, *odds]]
    assert best >= max(means) - 1e-9
    assert threshold in (0.0, *odds)
    if len(set(odds)) == len(odds) and threshold:  # 0.0 also says that it is best never to answer
        assert best == pytest.approx(100 * np.where(odds > threshold, ~has_answer, scores).mean())
