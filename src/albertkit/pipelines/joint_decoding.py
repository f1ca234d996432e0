"""Filling several masks of one text together: the most certain position first, then the others with it filled.

Masks filled each on its own do not know of one another (``new [MASK]`` and ``[MASK] york`` may both answer ``york``). Here a
hypothesis fills one mask at a time, at the position where the model is most certain, and the model is asked again with that token
in place. A beam keeps the likeliest hypotheses; the score of one is the product of the probabilities that the model gave to
its tokens when they were filled.

Limits: the conditionals of a masked language model belong to no one joint distribution (arXiv:2301.00068), so that the product
depends on the order of filling, which each hypothesis chooses for itself; the number of tokens is given, so that a word of more
pieces than masks is never found; and the cost is one run of the model for each mask and each hypothesis of the beam.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["Candidates", "Hypothesis", "extend"]

Candidates = list[tuple[int, float]]
"""Tokens for one mask with their probabilities, best first."""


class Hypothesis(NamedTuple):
    """One way to fill some of the masks.

    Attributes:
        ids: The sequence.
        places: Where it has masks that are still to be filled.
        log_probability: Sum over the filled ones.
    """

    ids: tuple[int, ...]
    places: tuple[int, ...]
    log_probability: float = 0.0


def extend(beam: Sequence[tuple[Hypothesis, Mapping[int, Candidates]]], width: int) -> list[Hypothesis]:
    """Fill one more mask of every hypothesis of a text.

    Args:
        beam: Hypotheses, each with what the model proposes: place → candidates.
        width: Hypotheses to keep.

    Returns:
        At most ``width`` hypotheses that differ, best first.
    """
    found: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
    for hypothesis, proposed in beam:
        certainties = [proposed[place][0][1] for place in hypothesis.places]
        place = hypothesis.places[certainties.index(max(certainties))]
        rest = tuple(other for other in hypothesis.places if other != place)
        for token, probability in proposed[place]:
            key = ((*hypothesis.ids[:place], token, *hypothesis.ids[place + 1 :]), rest)
            score = hypothesis.log_probability + (math.log(probability) if probability else -math.inf)
            found[key] = max(score, found.get(key, -math.inf))  # the same tokens may have been filled in two orders
    best = sorted(found, key=lambda key: -found[key])[:width]
    return [Hypothesis(ids, places, found[ids, places]) for ids, places in best]
