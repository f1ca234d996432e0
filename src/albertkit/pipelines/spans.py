"""Which spans of a window answer best: by a start and an end score for every token, or by a beam of starts and their ends.

Shapes: L tokens of a row · K starts · K2 ends of each start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from albertkit.pipelines.probabilities import sigmoid, softmax
from albertkit.tasks.windows import Window

__all__ = ["Evidence", "weigh_beam", "weigh_scores"]

_POSSIBLE = -1e29  # log-probabilities below are of places that the head was told to leave out


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a window says of the answer.

    Attributes:
        spans: ``[spans, 2]`` first and last token of the likeliest answers, counted in the window's part of the passage.
        scores: ``[spans]`` their probabilities, best first.
        null_score: The probability that the window holds no answer.
        null_logit: The score behind it: the sum of both ends' at ``[CLS]``, or that of the answer class.
        span_logit: The same of the best span, to compare; 0 where the answer class decides alone.
    """

    spans: np.ndarray
    scores: np.ndarray
    null_score: float
    null_logit: float
    span_logit: float


def weigh_scores(logits: np.ndarray, window: Window, max_answer_len: int, count: int) -> Evidence:
    """Take the product of both ends' probabilities, over the part of the passage and ``[CLS]``, which stands for no answer.

    Args:
        logits: ``[L, 2]``.
        window: The row.
        max_answer_len: Most tokens of an answer.
        count: How many spans to keep.
    """
    kept = np.concatenate([logits[:1], logits[window.part]]).astype(np.float64).T
    probabilities = softmax(kept)
    size = kept.shape[1] - 1
    reach = min(max_answer_len, size)
    starts = np.repeat(np.arange(size), reach)
    ends = starts + np.tile(np.arange(reach), size)
    starts, ends = starts[ends < size], ends[ends < size]
    scores = probabilities[0, 1 + starts] * probabilities[1, 1 + ends]
    best = np.argsort(-scores, kind="stable")[:count]
    return Evidence(
        spans=np.stack([starts[best], ends[best]], axis=1),
        scores=scores[best],
        null_score=float(probabilities[:, 0].prod()),
        null_logit=float(kept[:, 0].sum()),
        span_logit=float(kept[0, 1 + starts[best[0]]] + kept[1, 1 + ends[best[0]]]),
    )


def weigh_beam(
    starts: tuple[np.ndarray, np.ndarray],
    ends: tuple[np.ndarray, np.ndarray],
    null_logit: np.ndarray,
    window: Window,
    max_answer_len: int,
) -> Evidence:
    """Take the probability of a start, of an end given that start, and of there being an answer at all.

    Args:
        starts: Log-probabilities and places, ``[K]`` each.
        ends: The same for each start, ``[K, K2]``.
        null_logit: Scalar; its sigmoid is the probability that there is no answer.
        window: The row.
        max_answer_len: Most tokens of an answer.
    """
    first = np.broadcast_to(starts[1][:, None], ends[1].shape) - window.start
    last = ends[1] - window.start
    size = window.part.stop - window.start
    log_probs = starts[0][:, None].astype(np.float64) + ends[0]
    possible = (first >= 0) & (first <= last) & (last < np.minimum(size, first + max_answer_len)) & (log_probs > _POSSIBLE)
    scores = np.exp(log_probs[possible]) * sigmoid(-null_logit)
    best = np.argsort(-scores, kind="stable")
    return Evidence(
        spans=np.stack([first[possible], last[possible]], axis=1)[best],
        scores=scores[best],
        null_score=float(sigmoid(null_logit)),
        null_logit=float(null_logit),
        span_logit=0.0,
    )
