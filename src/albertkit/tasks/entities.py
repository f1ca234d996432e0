"""Entities in tags of words (BIO and BIOES), and the precision, recall and F1 of finding them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from albertkit.tasks.metrics import precision_recall_f1

__all__ = ["OUTSIDE", "PREFIXES", "Entity", "EntityScore", "Scheme", "find_entities", "score_entities", "split_tag"]

OUTSIDE = "O"
"""Tag of a word that is in no entity."""

PREFIXES = ("B", "I", "E", "S")
"""An entity's first word, one inside, its last, and its only one. BIO has the first two."""

Scheme = Literal["lenient", "IOB2", "IOBES"]
"""Which tags make an entity.

- ``lenient``: as ``conlleval`` and seqeval count. Words of one type are one entity until a ``B`` or ``S`` begins another or an
  ``E`` or ``S`` ends it; every word but an ``O`` is in one, whatever its first word has, so that IOB1 is understood too.
- ``IOB2``: an entity is a ``B`` and the ``I`` of its type behind it (seqeval's strict mode); other words are in none.
- ``IOBES``: an entity is an ``S``, or a ``B``, any number of ``I`` and an ``E`` of one type.
"""

_JOINED: dict[Scheme, tuple[str, str]] = {"lenient": ("BI", "IE"), "IOB2": ("BI", "I"), "IOBES": ("BI", "IE")}
"""Prefixes of a word that another of its type may follow in one entity, and those of such a one."""

_COMPLETE: dict[Scheme, tuple[str, str]] = {"lenient": ("BIES", "BIES"), "IOB2": ("B", "BI"), "IOBES": ("BS", "ES")}
"""Prefixes of an entity's first word, and of its last."""


class Entity(NamedTuple):
    """An entity in a sentence."""

    type: str
    """``PER`` …; ``_`` where tags have none."""
    start: int
    """Its first word."""
    stop: int
    """The word after its last."""


class EntityScore(NamedTuple):
    """How well entities were found, as whole ones: type, first and last word."""

    precision: float
    """Share of those given that are right."""
    recall: float
    """Share of the right ones that are given."""
    f1: float
    """Their harmonic mean."""
    number: int
    """Entities that there are."""


def split_tag(tag: str) -> tuple[str, str]:
    """Prefix and type: ``B-creative-work`` → ``B``, ``creative-work``; ``O`` and tags without a type have the type ``_``."""
    return tag[:1], tag[2:] or "_"


def find_entities(tags: Sequence[str], scheme: Scheme = "lenient") -> list[Entity]:
    """The entities of a sentence.

    Args:
        tags: Of its words: ``O``, or one of :data:`PREFIXES` with ``-`` and a type behind it.
        scheme: Which tags make an entity.
    """
    before, behind = _JOINED[scheme]
    first, last = _COMPLETE[scheme]
    words = [split_tag(tag) for tag in tags]
    bounds = [0] + [
        place
        for place in range(1, len(words))
        if words[place - 1][0] not in before or words[place][0] not in behind or words[place - 1][1] != words[place][1]
    ]
    return [
        Entity(words[start][1], start, stop)
        for start, stop in zip(bounds, [*bounds[1:], len(words)], strict=True)
        if start < stop and words[start][0] in first and words[stop - 1][0] in last
    ]


def score_entities(
    right: Iterable[Sequence[str]], given: Iterable[Sequence[str]], scheme: Scheme = "lenient"
) -> tuple[EntityScore, dict[str, EntityScore]]:
    """Score the tags of sentences.

    Args:
        right: Right tags of each sentence.
        given: As many tags for each as there are right ones.
        scheme: Which tags make an entity.

    Returns:
        The score of all entities together (micro average), and that of each type, in order of their names.
    """
    hits, of_right, of_given = Counter[str](), Counter[str](), Counter[str]()
    for right_tags, given_tags in zip(right, given, strict=True):
        there, found = set(find_entities(right_tags, scheme)), set(find_entities(given_tags, scheme))
        for count, entities in ((of_right, there), (of_given, found), (hits, there & found)):
            count.update(entity.type for entity in entities)
    types = {
        name: EntityScore(*precision_recall_f1(hits[name], of_given[name], of_right[name]), of_right[name])
        for name in sorted(of_right.keys() | of_given.keys())
    }
    totals = (hits.total(), of_given.total(), of_right.total())
    return EntityScore(*precision_recall_f1(*totals), totals[2]), types
