"""What goes wrong in fine-tuning, seen while it does, and what to change then. Each thing is told once."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from albertkit.tasks.base import Features, Prediction, Scores

__all__ = ["Guards", "describe_counts"]

_SPIKE = 3.0
_RECENT, _HISTORY = 10, 100  # steps
_OF_LENGTH = ("truncated", "answers cut off")  # counts that longer rows make smaller; questions have a bound of their own
_STEADIER = "lower optimizer.learning_rate, lengthen schedule.warmup_steps or take another seed"


class Guards:
    """Watches losses and answers of a run.

    Args:
        warmup_steps: Until then nothing is told: a model that has hardly begun answers all alike.
        is_regression: Whether answers are numbers.
    """

    def __init__(self, *, warmup_steps: int, is_regression: bool = False) -> None:
        self._warmup_steps, self._is_regression = warmup_steps, is_regression
        self._first: list[float] = []
        self._losses: deque[float] = deque(maxlen=_HISTORY + _RECENT)
        self._told: set[str] = set()

    def after_step(self, step: int, loss: float) -> str | None:
        """A loss that has left where it had come to: the mean of ten is three times the median of the hundred before, and half of
        what it was in the beginning.

        Args:
            step: Updates made.
            loss: Of the last one.

        Returns:
            What to tell, if anything.
        """
        self._losses.append(loss)
        if len(self._first) < _RECENT:
            self._first.append(loss)
        if step <= self._warmup_steps or len(self._losses) < 2 * _RECENT:
            return None
        losses = list(self._losses)
        now, before = float(np.mean(losses[-_RECENT:])), float(np.median(losses[:-_RECENT]))
        if now <= _SPIKE * before or now <= 0.5 * float(np.mean(self._first)):
            return None
        return self._tell("spike", f"the loss has risen from {before:.3f} to {now:.3f} at step {step:,}; {_STEADIER}")

    def after_evaluation(self, step: int, scores: Scores, predictions: Sequence[Prediction]) -> str | None:
        """Answers that are all alike, though the right ones are not.

        Args:
            step: Updates made.
            scores: Of the evaluation.
            predictions: Its answers.

        Returns:
            What to tell, if anything.
        """
        if step <= self._warmup_steps or scores.baseline == 1.0 or len(predictions) < 2:
            return None
        if self._is_regression:
            numbers = np.array([prediction["score"] for prediction in predictions])
            if np.ptp(numbers) > 1e-3 * max(1.0, float(np.abs(numbers).max())):
                return None
            return self._tell("collapse", f"all {len(numbers):,} answers are about {numbers[0]:.3f}; {_STEADIER}")
        answers = set(map(str, chain.from_iterable(map(_answers, predictions))))
        if len(answers) != 1:
            return None
        (answer,) = answers
        return self._tell(
            "collapse", f"all {len(predictions):,} answers are {answer or 'empty'}: the model tells nothing apart; {_STEADIER}"
        )

    def _tell(self, kind: str, sentence: str) -> str | None:
        if kind in self._told:
            return None
        self._told.add(kind)
        return f"warning: {sentence}."


def _answers(prediction: Mapping[str, Any]) -> list[Any]:
    if "tags" in prediction:
        return list(prediction["tags"])
    return [prediction[name] for name in ("label", "labels", "answer") if name in prediction][:1]


def describe_counts(name: str, features: Features) -> list[str]:
    """What happened to examples on their way to the model, in a line each: those cut short, answers lost by it and the like.

    Args:
        name: Which examples: ``train``.
        features: Theirs.
    """
    examples = int(features.owners[-1]) + 1
    lines = []
    for what, number in features.counts.items():
        if number:
            fix = "; raise data.max_seq_length if they matter" if what in _OF_LENGTH else ""
            lines.append(f"{name}: {number:,} of {examples:,} ({number / examples:.1%}) {what}{fix}")
    return lines
