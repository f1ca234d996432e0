"""Paragraphs that are no running text, told by their form alone: lists, tables, headers.

tables    begins with ``|``, ``{|`` or a tag such as ``<td>``; or has three columns or more, divided by `` | `` or tabs; or is a
          rule of ``-``, ``=``, ``+``, ``|``, ``:`` as in ``+----+----+``
lists     begins with a bullet (``- * + • ‣ ◦ ▪ · –`` …) or a number or letter (``1.`` ``12)`` ``(a)`` ``iv.``), and white space;
          or with ``BULLET::::`` or ``NUMBERED::::``, as WikiExtractor marks them
headers   ``= Heading =``, ``== Heading ==`` …; ``# Heading``; ``<h2>``; ``Section::::``; and a short line that could be a title:
          10 words and 60 characters at most, a digit or letter in front that is not lower-case, no punctuation at its end;
          of 4 words at most it may end in a full stop, for WikiExtractor writes headings as ``Early life.``

A paragraph is what a reader gives: a line. So these rules fit text with a paragraph a line; in verse, in dialogue, or in text
broken into short lines, ``headers`` takes more than headings. A dash (``—``) opens speech and is no bullet. The first rule that
holds, in this order, is counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

__all__ = ["exclude_paragraphs"]

_TABLE = re.compile(
    r"\||\{\||</?(?:table|thead|tbody|tr|td|th)\b|[^|]*(?<=\s)\|(?=\s)[^|]*(?<=\s)\|(?:\s|$)|[^\t]*\t[^\t]*\t|[-=+|:\s]{3,}$",
    re.IGNORECASE,
)
_LIST = re.compile(
    r"(?:[-*+•‣⁃◦▪▫●○■□·–]|\(?\d{1,3}[.)]|\(?[a-zA-Z]\)|\(?[ivxlc]{1,6}[.)])\s+\S|(?:BULLET|NUMBERED)::::", re.IGNORECASE
)
_HEADING = re.compile(r"(?:=\s?){1,6}[^\s=].*=$|#{1,6}\s+\S|<h[1-6]\b|Section::::", re.IGNORECASE)
_TITLE_WORDS, _TITLE_CHARACTERS = 10, 60
_STOPPED_TITLE_WORDS = 4
_PUNCTUATION = frozenset(".!?…,;:-–—\"'”’»«“‘)]}。！？，；：、」』》）؟۔।॥")


def exclude_paragraphs(paragraphs: Sequence[str], kinds: Sequence[str]) -> tuple[list[str], Counter[str]]:
    """Leave out the paragraphs of some kinds.

    Args:
        paragraphs: Of one document, without white space around them.
        kinds: Of ``lists``, ``tables`` and ``headers``.

    Returns:
        The others, and how many of each kind were left out.
    """
    rules = [(kind, rule) for kind, rule in _RULES.items() if kind in kinds]
    counts: Counter[str] = Counter()
    kept = []
    for paragraph in paragraphs:
        found = next((kind for kind, holds in rules if holds(paragraph)), None)
        if found is None:
            kept.append(paragraph)
        else:
            counts[found] += 1
    return kept, counts


def _is_table(paragraph: str) -> bool:
    return _TABLE.match(paragraph) is not None


def _is_list(paragraph: str) -> bool:
    return _LIST.match(paragraph) is not None


def _is_header(paragraph: str) -> bool:
    if _HEADING.match(paragraph):
        return True
    num_words = len(paragraph.split()) if len(paragraph) <= _TITLE_CHARACTERS else _TITLE_WORDS + 1
    line = paragraph.removesuffix(".") if num_words <= _STOPPED_TITLE_WORDS else paragraph
    begins_title = line[:1].isalnum() and not line[0].islower()
    return begins_title and num_words <= _TITLE_WORDS and line[-1] not in _PUNCTUATION


_RULES: dict[str, Callable[[str], bool]] = {"tables": _is_table, "lists": _is_list, "headers": _is_header}
