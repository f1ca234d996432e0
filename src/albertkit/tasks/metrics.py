"""Metrics, right answers first. What would divide by zero is 0, as it is in scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = [
    "accuracy",
    "confusion",
    "f1",
    "macro_f1",
    "matthews",
    "mean_squared_error",
    "micro_f1",
    "paper_average",
    "pearson",
    "precision_recall_f1",
    "spearman",
]


def accuracy(right: np.ndarray, given: np.ndarray) -> float:
    """Share of the answers ``[N]`` that are right; of rows of labels ``[N, C]``, those that are right in every one."""
    equal = np.asarray(right) == np.asarray(given)
    return float(equal.reshape(len(equal), -1).all(axis=1).mean()) if equal.size else 0.0


def precision_recall_f1(hits: float, given: float, right: float) -> tuple[float, float, float]:
    """Precision, recall and their harmonic mean, from counts.

    Args:
        hits: Answers given that are right.
        given: Answers given.
        right: Right answers there are.
    """
    return _divide(hits, given), _divide(hits, right), _divide(2 * hits, given + right)


def f1(right: np.ndarray, given: np.ndarray) -> float:
    """F1 of class 1 among classes ``[N]`` of 0 and 1."""
    return _f1_of(*_count_labels(np.asarray(right)[:, None] == 1, np.asarray(given)[:, None] == 1))[0]


def micro_f1(right: np.ndarray, given: np.ndarray) -> float:
    """F1 over all labels together.

    Args:
        right: ``[N, C]``, not 0 where example n has label c.
        given: The same of the answers.
    """
    return _f1_of(*(counts.sum(keepdims=True) for counts in _count_labels(right, given)))[0]


def macro_f1(right: np.ndarray, given: np.ndarray) -> float:
    """Mean F1 of the labels, each counted alike; arguments as of :func:`micro_f1`."""
    return float(np.mean(_f1_of(*_count_labels(right, given))))


def confusion(right: np.ndarray, given: np.ndarray, num_labels: int) -> np.ndarray:
    """How often class r ``[N]`` was answered as class g: counts ``[r, g]``."""
    pairs = np.asarray(right, np.int64) * num_labels + np.asarray(given, np.int64)
    return np.bincount(pairs, minlength=num_labels**2).reshape(num_labels, num_labels)


def matthews(right: np.ndarray, given: np.ndarray) -> float:
    """Matthews' correlation of two or more classes ``[N]`` (Gorodkin 2004), from -1 to 1; 0 where one side is constant."""
    _, classes = np.unique(np.concatenate([right, given]), return_inverse=True)
    counts = confusion(classes[: len(right)], classes[len(right) :], int(classes.max(initial=-1)) + 1).astype(np.float64)
    of_right, of_given, total = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    right_spread, given_spread = (total**2 - (sums**2).sum() for sums in (of_right, of_given))
    return _divide(total * np.trace(counts) - of_right @ of_given, np.sqrt(right_spread) * np.sqrt(given_spread))


def pearson(right: np.ndarray, given: np.ndarray) -> float:
    """Pearson's correlation of numbers ``[N]``; 0 where one side is constant (SciPy has no number there)."""
    x, y = (_standardize(np.asarray(values, np.float64)) for values in (right, given))
    return float(np.clip(x @ y, -1.0, 1.0))


def spearman(right: np.ndarray, given: np.ndarray) -> float:
    """Spearman's correlation of numbers ``[N]``, equal ones sharing the mean of their ranks; 0 where one side is constant."""
    return pearson(_rank(right), _rank(given))


def mean_squared_error(right: np.ndarray, given: np.ndarray) -> float:
    """Mean squared difference of numbers ``[N]``."""
    return float(np.mean((np.asarray(right, np.float64) - np.asarray(given, np.float64)) ** 2)) if len(right) else 0.0


def paper_average(values: Mapping[str, float], squad: Mapping[str, float], squad_v2: Mapping[str, float]) -> float:
    """The average in the table of ALBERT's repository: of five tasks, in percent, SQuAD as the mean of F1 and exact match.

    Args:
        values: ``mnli``, ``sst-2`` and ``race``, in percent.
        squad: ``f1`` and ``exact_match`` of SQuAD 1.1, in percent.
        squad_v2: The same of SQuAD 2.0.
    """
    questions = [(scores["f1"] + scores["exact_match"]) / 2 for scores in (squad, squad_v2)]
    return float(np.mean([*questions, *(values[name] for name in ("mnli", "sst-2", "race"))]))


def _divide(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else 0.0


def _count_labels(right: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits, answers given and right answers ``[C]`` of every label."""
    right, given = np.asarray(right, bool), np.asarray(given, bool)
    return (right & given).sum(axis=0), given.sum(axis=0), right.sum(axis=0)


def _f1_of(hits: np.ndarray, given: np.ndarray, right: np.ndarray) -> list[float]:
    return [precision_recall_f1(*counts)[2] for counts in zip(hits, given, right, strict=True)]


def _standardize(values: np.ndarray) -> np.ndarray:
    """Values less their mean, of length 1; zeros for constant ones, whose mean may differ from them by rounding."""
    if not len(values) or (values == values[0]).all():
        return np.zeros_like(values)
    values = values - values.mean()
    values = values / np.abs(values).max()  # squares of tiny differences would vanish
    return np.asarray(values / np.linalg.norm(values))


def _rank(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of theirs."""
    _, places, counts = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[places])
