"""From scores of tokens to answers: the best spans of all windows of a question, its n-best list, and the odds of no answer.

The rules are Google's (``squad_utils.py`` of ALBERT), save that every span of a window competes, not those of its twenty best
starts and ends alone, which may all be impossible. Shapes: L tokens of a window's part of the passage · S spans.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from albertkit.files import new_file
from albertkit.tasks.base import Prediction

__all__ = ["Spans", "rank_spans", "search_beam", "search_spans", "write_predictions"]

_NEVER = -1e6
"""Score of both ends of "no answer" where the beam holds no answer (Google's)."""

_POSSIBLE = -1e29
"""Log-probabilities below are of places that the head was told to leave out."""


@dataclass(frozen=True, eq=False)
class Spans:
    """Possible answers.

    Attributes:
        first: ``[S]`` first token of each, or character.
        last: ``[S]`` last token of each, or the character after it.
        scores: ``[S, 2]`` float64, of the start and of the end: logits or log-probabilities.
    """

    first: np.ndarray
    last: np.ndarray
    scores: np.ndarray

    @classmethod
    def join(cls, parts: Sequence[Spans]) -> Spans:
        """Those of several windows."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("first", "last", "scores")))


def search_spans(logits: np.ndarray, may_start: np.ndarray, longest: int, count: int) -> Spans:
    """The spans whose start and end have the greatest logits together.

    Args:
        logits: ``[L, 2]``.
        may_start: ``[L]`` bool.
        longest: Most tokens of a span.
        count: Most spans wanted.
    """
    starts, ends = logits.astype(np.float64).T
    reach = min(longest, len(starts))
    # Row i: the ends of the spans that start at token i, -inf beyond the window.
    padded = np.concatenate([ends, np.full(reach - 1, -np.inf)])
    reached = np.lib.stride_tricks.sliding_window_view(padded, reach)
    # So many spans start at no more tokens than that: those whose best span is best.
    first = _largest(np.where(may_start, starts, -np.inf) + reached.max(axis=1), count)
    best = _largest((starts[first, None] + reached[first]).ravel(), count)
    row, length = np.divmod(best, reach)
    first, last = first[row], first[row] + length
    return Spans(first, last, np.stack([starts[first], ends[last]], axis=1))


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Places of the greatest finite values, in order of the places."""
    found = np.argpartition(values, max(len(values) - count, 0))[-count:]
    return np.sort(found[np.isfinite(values[found])])


def search_beam(
    starts: tuple[np.ndarray, np.ndarray], ends: tuple[np.ndarray, np.ndarray], may_start: np.ndarray, begin: int, longest: int
) -> Spans:
    """The possible spans of a beam, K starts with K2 ends each.

    Args:
        starts: Log-probabilities and places in the row, ``[K]`` each.
        ends: The same for each start, ``[K, K2]``.
        may_start: ``[L]`` bool.
        begin: Where the passage begins in the row.
        longest: Most tokens of a span.
    """
    scores = np.stack(np.broadcast_arrays(starts[0][:, None], ends[0]), axis=-1).astype(np.float64)
    first, last = np.broadcast_arrays(starts[1][:, None] - begin, ends[1] - begin)
    possible = (first >= 0) & (first <= last) & (last < np.minimum(len(may_start), first + longest))
    possible &= (scores > _POSSIBLE).all(axis=-1)
    possible[possible] = may_start[first[possible]]
    return Spans(first[possible], last[possible], scores[possible])


def rank_spans(
    context: str, spans: Spans, n_best: int, null: np.ndarray | None, names: tuple[str, str]
) -> tuple[list[dict[str, Any]], tuple[int, int], float]:
    """The n-best list of a question.

    Args:
        context: The passage.
        spans: Of all windows, by characters.
        n_best: Most answers of the list, each with another text.
        null: ``[2]`` scores of "no answer", which then stands among them; ``None``: it does not.
        names: What the list calls the two scores.

    Returns:
        The list, best first, of ``text``, ``probability`` (over the list) and both scores; the characters of the best text, 0 and
        0 where there is none; and its score, the sum of both.
    """
    sums = spans.scores.sum(axis=1)
    texts: dict[str, int] = {}
    for number in np.argsort(-sums, kind="stable").tolist():
        texts.setdefault(context[spans.first[number] : spans.last[number]], number)
        if len(texts) == n_best:
            break
    chosen = list(texts.values())
    place = (int(spans.first[chosen[0]]), int(spans.last[chosen[0]])) if chosen else (0, 0)
    best = float(sums[chosen[0]]) if chosen else 2 * _NEVER
    rows = [(text, *spans.scores[number].tolist()) for text, number in texts.items()]
    if null is not None or not rows:
        rows.append(("", *(np.full(2, _NEVER) if null is None else null).tolist()))
        rows.sort(key=lambda row: -(row[1] + row[2]))
    weights = np.exp([row[1] + row[2] - rows[0][1] - rows[0][2] for row in rows])
    entries = [
        {"text": text, "probability": probability, names[0]: start, names[1]: end}
        for (text, start, end), probability in zip(rows, (weights / weights.sum()).tolist(), strict=True)
    ]
    return entries, place, best


def write_predictions(predictions: Sequence[Prediction], directory: str | Path) -> None:
    """Write the files that SQuAD's evaluators take: ``predictions.json`` (id → answer, empty for none), ``null_odds.json`` (id →
    how much likelier no answer is), and Google's ``nbest_predictions.json`` (id → n-best list).

    Args:
        predictions: Of :class:`~albertkit.tasks.question_answering.QuestionAnsweringTask`.
        directory: Where to; made if need be. Files of these names are replaced.
    """
    for name, key in (("predictions", "answer"), ("nbest_predictions", "n_best"), ("null_odds", "null_odds")):
        content = {prediction["id"]: prediction[key] for prediction in predictions}
        with new_file(Path(directory) / f"{name}.json") as path:
            path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
