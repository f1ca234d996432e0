"""Where sentences end: a rule for any script with full stops, with what English needs about abbreviations.

A mark (``. ! ? …`` and the like, with the quotes and brackets that close after it) ends a sentence when white space follows and
the next word does not begin with a lower-case letter; ``。！？`` end one whatever follows. A single full stop ends none

- after a title or a word that always goes on (``Mr. Smith``, ``e.g. Paris``),
- between a word such as ``No.``, ``vol.`` or ``Jan.`` and a number,
- after initials and words that may end a sentence but mostly do not (``J. R. R. Tolkien``, ``U.S. Army``, ``Smith Jr.``), unless
  a word follows that usually opens a sentence (``in the U.S. The``),
- after a number that opens the sentence (``1. Introduction``), or before a month (``am 3. Oktober``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["split_document", "split_sentences"]

_OPENING = "-\"'“”‘„«‹»(\\[{<—–"
_CLOSING = "\"'”“’»«›)\\]}>"
_CJK_CLOSING = "\"'”’」』》〉）】］\\]"

# Possessive, and never begun in the middle of a row of marks: time grows with the length of the text, whatever it is.
_BOUNDARY = re.compile(
    rf"(?<![.!?…])(?P<mark>[.!?…‽؟۔।॥]++)[{_CLOSING}]*+(?:\[\d++\])*+\s++(?=[{_OPENING}\s]*+(?P<next>\w*+\.?))"
    rf"|[。！？｡]++[{_CJK_CLOSING}]*+\s*+"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_GOES_ON = _words("""
    Mr Mrs Ms Mme Mlle Mssrs Messrs Dr Drs Prof St Ste Sts Rev Revd Hon Rt Gen Brig Lt Col Capt Cpt Cmdr Comdr Maj Sgt Cpl Pvt Adm
    Gov Sen Rep Pres Supt Insp Mt Ft Sra Srta Dra Herr Hr Fr TP PGS
    e.g i.e eg ie cf Cf vs viz esp incl approx ca resp z.B d.h u.a bzw sog Nr bspw vgl Vgl
""")
"""Abbreviations that something must follow."""

_BEFORE_NUMBER = _words("""
    No Nos no nos Nr vol Vol vols Vols p pp P Pp fig Fig figs Figs ch Ch chap Chap art Art sec Sec par v vv c b d r fl op Op Opp
    bk Bk Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Bd S Abs
""")
"""Abbreviations that go on when a number follows."""

_MAY_END = _words(
    "Inc Co Corp Ltd Bros Jr Sr Esq al Ave Blvd Rd Ph.D M.Sc B.Sc Hons Univ Dept Assn Est Ed Eds ed eds trans Trans"
)
"""Abbreviations that end a sentence only when the next word shows it."""

_OPENERS = _words("""
    The A An This That These Those He She It They We You I His Her Its Their Our My Your In On At As By For From With After Before
    When While If Although Though But And Or So Yet However Then There Here Where What Who Why How Since During Until One Some
    Many Most Both Each All Not Also According Later Upon To Under Another Because Despite Following Among Once Several Other
    Today Yes Oh Well Now Only Even Such Which Whether Meanwhile Nevertheless Moreover Furthermore Additionally Instead
    Through Over
""")
"""Words that usually open a sentence."""

_MONTHS = _words("""
    January February March April May June July August September October November December
    Januar Jänner Februar März Mai Juni Juli Oktober Dezember Jahrhundert Jahrhunderts
""")
"""What an ordinal number may stand before."""

_INITIALS = re.compile(r"[^\W\d_](?:\.[^\W\d_])*")
_NUMBER = re.compile(r"\d+|[IVXLC]{2,}")
_BEFORE_WORD = re.compile(rf".*[{_OPENING}\s/]", re.DOTALL)
_LONGEST_WORD = 24


def split_document(paragraphs: Iterable[str]) -> list[str]:
    """Split paragraphs into one list of sentences.

    Args:
        paragraphs: The text of one document; a sentence never reaches over the end of a paragraph.
    """
    return [sentence for paragraph in paragraphs for sentence in split_sentences(paragraph)]


def split_sentences(text: str) -> list[str]:
    """Split a paragraph into sentences; nothing but white space between them is lost.

    Args:
        text: A paragraph in any language.

    Returns:
        Non-empty pieces of ``text``, in order, without white space around them.
    """
    sentences = []
    start = 0
    for match in _BOUNDARY.finditer(text):
        if _ends_sentence(text, start, match):
            sentences.append(text[start : match.end()].strip())
            start = match.end()
    sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if sentence]


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    """Tell whether the mark found ends the sentence that began at ``start``."""
    mark, following = match.group("mark", "next")
    if mark is None:
        return True
    if following[:1].islower() or following == ".":
        return False
    if mark != ".":
        return True
    end = match.start()
    nearby = text[max(start, end - _LONGEST_WORD) : end]
    word = _BEFORE_WORD.sub("", nearby)
    if word in _GOES_ON:
        return False
    if word in _BEFORE_NUMBER and _NUMBER.match(following):
        return False
    if word in _MAY_END or _INITIALS.fullmatch(word):
        return following in _OPENERS
    if word.isdigit() and len(word) <= 2:
        return following.removesuffix(".") not in _MONTHS and text[start:end].strip() != word
    return True
