"""Stretches of sentences, and the two segments each is cut into for the sentence-order objective.

    document   s0 s1 s2 │ s3 s4 s5 s6 │ s7 s8        stretches: sentences until the target length is reached
    stretch    s3 s4 s5 s6  →  A = s3, B = s4 s5 s6  cut at a random sentence boundary
    example    [CLS] A [SEP] B [SEP]  label 0        or, as often, [CLS] B [SEP] A [SEP]  label 1

Source: ``create_instances_from_document`` and ``truncate_seq_pair`` of google-research/albert, ``create_pretraining_data.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from albertkit.data.options import ExampleOptions

__all__ = ["NUM_SPECIAL_TOKENS", "Stretches", "draw_targets", "find_stretches", "truncate_pair"]

NUM_SPECIAL_TOKENS = 3
"""``[CLS]`` and two ``[SEP]``."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stretches:
    """Runs of consecutive sentences of one document, one for each example of an epoch."""

    first: Integers
    """Number of the first sentence, shape [N]."""
    end: Integers
    """Number of the sentence after the last, shape [N]."""
    document: Integers
    """Number of the document, shape [N]."""
    target: Integers
    """Tokens that it was to reach, shape [N]."""


def draw_targets(options: ExampleOptions, number: int, generator: np.random.Generator) -> Integers:
    """Draw how many tokens (special ones aside) stretches are to reach.

    Args:
        options: ``max_seq_length`` and ``short_seq_prob``.
        number: N.
        generator: Gives two numbers for each.

    Returns:
        Lengths of shape [N], mostly the longest possible, else anything from 2.
    """
    longest = options.max_seq_length - NUM_SPECIAL_TOKENS
    is_short, length = generator.random((2, number))
    return np.where(is_short < options.short_seq_prob, 2 + (length * (longest - 1)).astype(np.int64), longest)


def find_stretches(
    sentence_offsets: Integers,
    document_offsets: Integers,
    choose_targets: Callable[[Integers], Integers],
    one_sentence: Literal["neighbour", "skip", "other_document"],
) -> Stretches:
    """Cut documents into stretches: sentences are added until the target is reached or the document ends.

    All documents advance together, a stretch a round, so that the work is vectorised.

    Args:
        sentence_offsets: Token offsets at which sentences begin, and the end, shape [S + 1].
        document_offsets: Sentence numbers at which documents begin, and the end, shape [D + 1].
        choose_targets: Called every round: numbers of documents [n] → tokens that the next stretch of each is to reach [n].
        one_sentence: What becomes of stretches of one sentence, see :class:`ExampleOptions`; under ``other_document`` they stay.
    """
    rounds: list[tuple[Integers, Integers, Integers, Integers]] = []
    document = np.flatnonzero(np.diff(document_offsets))
    first = document_offsets[document]
    while document.size:
        last_end = document_offsets[document + 1]
        target = choose_targets(document)
        end = np.minimum(np.searchsorted(sentence_offsets, sentence_offsets[first] + target), last_end)
        rounds.append((first, end, document, target))
        goes_on = end < last_end
        first, document = end[goes_on], document[goes_on]
    columns = [np.concatenate([one[column] for one in rounds]) if rounds else np.empty(0, np.int64) for column in range(4)]
    stretches = Stretches(*columns)
    return stretches if one_sentence == "other_document" else _without_single_sentences(stretches, document_offsets, one_sentence)


def _without_single_sentences(
    stretches: Stretches, document_offsets: Integers, one_sentence: Literal["neighbour", "skip"]
) -> Stretches:
    first, end, document, target = stretches.first, stretches.end, stretches.document, stretches.target
    if one_sentence == "neighbour":
        is_single = end - first == 1
        has_previous = first > document_offsets[document]
        has_next = end < document_offsets[document + 1]
        first = first - (is_single & has_previous)
        end = end + (is_single & ~has_previous & has_next)
    keep = end - first > 1
    return Stretches(first[keep], end[keep], document[keep], target[keep])


def truncate_pair(
    first: npt.NDArray[np.int32],
    second: npt.NDArray[np.int32],
    longest: int,
    front_prob: float,
    generator: np.random.Generator,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Shorten two segments until they fit: one token at a time from the longer (the second when equal), front or back at random.

    Args:
        first: Ids of the first segment.
        second: Ids of the second segment.
        longest: Tokens that both may have together, at least 2.
        front_prob: Probability that a token is taken from the front.
        generator: Gives one number a token too many; none when nothing is too long.
    """
    surplus = len(first) + len(second) - longest
    if surplus <= 0:
        return first, second
    # Taking from the longer one levels the two; what is left over after that is taken in turns, from the second first.
    from_longer = min(surplus, abs(len(first) - len(second)))
    in_turns = surplus - from_longer
    from_first = in_turns // 2 + (from_longer if len(first) > len(second) else 0)
    at_front = generator.random(surplus) < front_prob
    return _shorten(first, at_front[:from_first]), _shorten(second, at_front[from_first:])


def _shorten(segment: npt.NDArray[np.int32], at_front: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Drop one token for each entry, from the front where it is true."""
    front = int(np.count_nonzero(at_front))
    return segment[front : len(segment) - (len(at_front) - front)]
