"""Exact match and F1 of answers by the rules of SQuAD's evaluators, and the best threshold for "no answer".

Source: ``evaluate-v1.1.py`` and ``evaluate-v2.0.py`` of SQuAD. Shapes: N questions.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

__all__ = ["compare_answers", "find_best_threshold", "normalize_answer"]

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and superfluous white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def compare_answers(
    right: Sequence[Sequence[str]], given: Sequence[str], *, may_be_impossible: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Compare each given answer with the right one that is most like it.

    Args:
        right: For each question its right answers; none where the passage does not answer.
        given: For each the answer given; empty for none.
        may_be_impossible: Follow the rules of SQuAD 2.0, where nothing against nothing has an F1 of 1; in 1.1 it has 0.

    Returns:
        Exact match, 0 or 1, and F1 over words, 0 to 1, both ``[N]`` float64.
    """
    exact, f1 = np.zeros(len(given)), np.zeros(len(given))
    for number, (answers, answer) in enumerate(zip(right, given, strict=True)):
        golds = set(map(normalize_answer, answers))
        if may_be_impossible:
            golds = golds - {""} or {""}
        normal = normalize_answer(answer)
        exact[number] = normal in golds
        f1[number] = max((_word_f1(gold.split(), normal.split(), may_be_impossible) for gold in golds), default=0.0)
    return exact, f1


def _word_f1(right: Sequence[str], given: Sequence[str], may_be_impossible: bool) -> float:
    if may_be_impossible and not (right and given):
        return float(right == given)
    same = (Counter(right) & Counter(given)).total()
    # As the evaluators write it: 2 * same / (all words) differs in the last digit.
    precision, recall = same / max(len(given), 1), same / max(len(right), 1)
    return 2 * precision * recall / (precision + recall) if same else 0.0


def find_best_threshold(
    scores: np.ndarray, is_answered: np.ndarray, has_answer: np.ndarray, null_odds: np.ndarray
) -> tuple[float, float]:
    """The null odds above which "no answer" is best said, and the mean score that this gives.

    Args:
        scores: ``[N]`` of the answers as given, 0 to 1.
        is_answered: ``[N]`` bool; false where "no answer" was given.
        has_answer: ``[N]`` bool; whether there is a right answer.
        null_odds: ``[N]``; greater where "no answer" is likelier.

    Returns:
        The score, from 0 to 100, and the threshold: the greatest odds at which the answer is still given, or 0.0 where it is best
        never to answer. Of questions with equal odds some may fall on either side, as in the evaluator.
    """
    order = np.argsort(null_odds, kind="stable")
    gains = np.where(has_answer, scores, -is_answered.astype(float))[order]
    totals = np.cumsum([float(np.sum(~has_answer)), *gains])
    best = int(totals.argmax())
    return 100 * float(totals[best]) / len(scores), float(null_odds[order[best - 1]]) if best else 0.0
