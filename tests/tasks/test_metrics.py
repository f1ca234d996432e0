"""Metrics against scikit-learn and SciPy, on anything that may come."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from albertkit.tasks import metrics

CLASSES = st.integers(1, 4).flatmap(lambda count: st.lists(st.tuples(*[st.integers(0, count)] * 2), min_size=1, max_size=40))
NUMBERS = st.floats(-1e6, 1e6) | st.integers(-3, 3).map(float)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=40)
LABELS = array_shapes(min_dims=2, max_dims=2, max_side=6).flatmap(lambda shape: arrays(bool, (2, *shape)))


def columns(pairs: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    right, answers = np.array(pairs).T
    return right, answers


@given(CLASSES)
def test_classes_score_as_in_scikit_learn(pairs):
    right, answers = columns(pairs)
    with warnings.catch_warnings():  # it warns of a single class
        warnings.simplefilter("ignore")
        assert metrics.accuracy(right, answers) == pytest.approx(sklearn.metrics.accuracy_score(right, answers))
        assert metrics.matthews(right, answers) == pytest.approx(sklearn.metrics.matthews_corrcoef(right, answers), abs=1e-12)
        found = metrics.confusion(right, answers, 5)
        np.testing.assert_array_equal(found, sklearn.metrics.confusion_matrix(right, answers, labels=range(5)))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_f1_is_that_of_class_1(pairs):
    right, answers = columns(pairs)
    expected = sklearn.metrics.f1_score(right, answers, zero_division=0)
    assert metrics.f1(right.astype(int), answers.astype(int)) == pytest.approx(expected)


@given(LABELS)
def test_many_labels_score_as_in_scikit_learn(labels):
    right, answers = labels
    if right.shape[1] == 1:  # which it takes for classes
        right, answers = np.repeat(right, 2, axis=1), np.repeat(answers, 2, axis=1)
    for average, metric in (("micro", metrics.micro_f1), ("macro", metrics.macro_f1)):
        expected = sklearn.metrics.f1_score(right, answers, average=average, zero_division=0)
        assert metric(right, answers) == pytest.approx(expected)
    assert metrics.accuracy(right, answers) == pytest.approx(sklearn.metrics.accuracy_score(right, answers))


@given(PAIRS)
def test_correlations_are_those_of_scipy(pairs):
    right, answers = columns(pairs)
    if (right == right[0]).all() or (answers == answers[0]).all():
        assert metrics.pearson(right, answers) == metrics.spearman(right, answers) == 0
        return
    assert metrics.spearman(right, answers) == pytest.approx(scipy.stats.spearmanr(right, answers).statistic, abs=1e-9)
    with warnings.catch_warnings():  # it warns of nearly constant numbers, where rounding decides
        warnings.simplefilter("error")
        try:
            expected = scipy.stats.pearsonr(right, answers).statistic
        except scipy.stats.NearConstantInputWarning:
            return
    assert metrics.pearson(right, answers) == pytest.approx(expected, abs=1e-9)


@given(PAIRS)
def test_squared_errors_are_those_of_scikit_learn(pairs):
    right, answers = columns(pairs)
    expected = sklearn.metrics.mean_squared_error(right, answers)
    assert metrics.mean_squared_error(right, answers) == pytest.approx(expected)


def test_constant_numbers_correlate_with_nothing_though_their_mean_is_rounded():
    constant = np.full(7, 0.1)
    assert (constant - constant.mean()).any()
    assert metrics.pearson(constant, np.arange(7)) == 0
    assert metrics.matthews(np.zeros(3), np.arange(3)) == 0


def test_nothing_scores_0():
    nothing = np.array([])
    for metric in (metrics.accuracy, metrics.matthews, metrics.pearson, metrics.spearman, metrics.mean_squared_error):
        assert metric(nothing, nothing) == 0
    assert metrics.precision_recall_f1(0, 0, 0) == (0, 0, 0)


@pytest.mark.parametrize(
    ("squad", "squad_v2", "others", "average"),
    [  # base, large, xlarge and xxlarge, version 2
        ((90.2, 83.2), (82.1, 79.3), (84.6, 92.9, 66.8), 82.3),
        ((91.8, 85.2), (84.9, 81.8), (86.5, 94.9, 75.2), 85.7),
        ((92.9, 86.4), (87.9, 84.1), (87.9, 95.4, 80.7), 87.9),
        ((94.6, 89.1), (89.8, 86.9), (90.6, 96.8, 86.8), 90.9),
    ],
)
def test_the_average_is_that_of_the_published_table(squad, squad_v2, others, average):
    found = metrics.paper_average(
        dict(zip(("mnli", "sst-2", "race"), others, strict=True)),
        *({"f1": f1, "exact_match": exact} for f1, exact in (squad, squad_v2)),
    )
    assert found == pytest.approx(average, abs=0.051)
