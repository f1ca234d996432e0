"""From the scores of tokens to entities: what gets one label together, and which neighbours make one entity.

The five strategies and the grouping are those of Hugging Face's pipeline. What a word is, the vocabulary says: in SentencePiece
one begins at every ``▁``, whatever white space the text had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["STRATEGIES", "Unit", "group_units", "label_units", "name_entity"]

STRATEGIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda rows: rows[0],
    "simple": lambda rows: rows[0],
    "first": lambda rows: rows[0],
    "average": lambda rows: rows.mean(axis=0),
    "max": lambda rows: rows[rows.max(axis=1).argmax()],
}
"""Aggregation strategy → how the probabilities ``[tokens, C]`` of what is labelled together become one row ``[C]``."""

_BY_TOKEN = ("none", "simple")  # each token by itself; the others label whole words


class Unit(NamedTuple):
    """A token, or a word, and its label.

    Attributes:
        start: Its first token.
        stop: The one after its last.
        label: Number of the class.
        score: Its probability.
    """

    start: int
    stop: int
    label: int
    score: float


def label_units(probabilities: np.ndarray, words: Sequence[int], strategy: str) -> list[Unit]:
    """Give each token or each word of a text its most likely class.

    Args:
        probabilities: ``[tokens, C]``.
        words: The word of each token.
        strategy: One of :data:`STRATEGIES`.
    """
    if not words:
        return []
    starts = [i for i, word in enumerate(words) if i == 0 or strategy in _BY_TOKEN or word != words[i - 1]]
    bounds = list(zip(starts, [*starts[1:], len(words)], strict=True))
    merge = STRATEGIES[strategy]
    merged = np.stack([merge(probabilities[start:stop]) for start, stop in bounds])
    labels, scores = merged.argmax(axis=1).tolist(), merged.max(axis=1).tolist()
    return [Unit(start, stop, label, score) for (start, stop), label, score in zip(bounds, labels, scores, strict=True)]


def group_units(units: Sequence[Unit], names: Mapping[int, str]) -> list[list[Unit]]:
    """Put neighbours of one entity together.

    A unit goes on with the entity before it if both have one tag, it does not begin a new one (``B-``, ``S-``), and the one
    before did not end its own (``E-``, ``S-``).

    Args:
        units: Of a text, in order.
        names: Number of a class → its label: a tag behind ``B-``, ``I-``, and in BIOES ``E-`` and ``S-``; or a bare tag, which
            counts as going on.
    """
    prefixes = "BIES" if _has_ends(names.values()) else "BI"
    groups: list[list[Unit]] = []
    previous, ended = None, False
    for unit in units:
        label = names[unit.label]
        place, tag = (label[0], label[2:]) if label[1:2] == "-" and label[0] in prefixes else ("I", label)
        if tag == previous and place not in "BS" and not ended:
            groups[-1].append(unit)
        else:
            groups.append([unit])
        previous, ended = tag, place in "ES"
    return groups


def _has_ends(labels: Iterable[str]) -> bool:
    """Whether labels are those of BIOES: some tag has a beginning and an end. A bare tag may begin with ``E-`` too (E-MAIL)."""
    labels = set(labels)
    return any(label[:2] == "E-" and f"B-{label[2:]}" in labels for label in labels)


def name_entity(label: str) -> str:
    """What an entity is called whose first unit has ``label``: the label without its prefix."""
    return label.split("-", 1)[-1]
