"""ALBERT's preparation of text before SentencePiece: white space, quotes, accents, lower case, one character at a time.

The rules are those of google-research/albert ``tokenization.py`` (``preprocess_text``) with the quotes of Hugging Face's
slow tokenizer, which also lower-cases every character on its own before anything else (so Σ becomes σ, never ς).
Every rule but white space and quotes maps one character to its replacement, whatever stands beside it: NFKD decomposes
characters singly, and its reordering of combining marks does not show once they are dropped.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass

from albertkit.errors import InputError

__all__ = ["TextRules", "check_text", "lower_each", "replace_character"]


def check_text(text: object) -> str:
    """The text itself.

    Raises:
        InputError: If it is no string, or holds half a surrogate pair, which no encoding can carry.
    """
    if not isinstance(text, str):
        raise InputError("a text must be a string", received=f"{type(text).__name__} {text!r:.60}")
    for position, character in enumerate(text):
        if "\ud800" <= character <= "\udfff":
            raise InputError(
                "a text must be valid Unicode", received=f"a lone surrogate U+{ord(character):04X} at character {position}",
                fix='decode the bytes with errors="replace"',
            )  # fmt: skip
    return text


def lower_each(text: str) -> str:
    """Lower-case each character on its own: ``str.lower`` without its one rule about neighbours, the final sigma."""
    return text.replace("Σ", "σ").lower()


@dataclass(frozen=True)
class TextRules:
    """Which of ALBERT's rules are on; hashable, so that what follows from them is computed once."""

    do_lower_case: bool = True
    """Lower-case the text."""
    remove_space: bool = True
    """Strip white space at both ends and make one space of every run."""
    keep_accents: bool = False
    """Leave out NFKD and the dropping of combining marks."""

    def apply(self, text: str) -> str:
        """Prepare one text, the plain way: the rule that everything faster must equal."""
        if self.do_lower_case:
            text = lower_each(text)
        if self.remove_space:
            text = " ".join(text.split())
        text = text.replace("``", '"').replace("''", '"')
        if not self.keep_accents and not text.isascii():  # ASCII is its own NFKD and has no accents
            text = unicodedata.normalize("NFKD", text)
            text = "".join(character for character in text if not unicodedata.combining(character))
        return text.lower() if self.do_lower_case else text

    def apply_with_spans(self, text: str) -> tuple[str, list[tuple[int, int]]]:
        """Prepare one text and keep, for each resulting character, the span of ``text`` it came from.

        A character that is dropped belongs to the one before it, as in SentencePiece.
        """
        spans: list[tuple[int, int]] = []
        characters: list[str] = []
        position = 0
        while position < len(text):
            end = self._unit_end(text, position)
            source = text[position:end]
            if self.remove_space and source.isspace():
                inside = position > 0 and end < len(text)
                characters.append(" " if inside else "")
                spans.extend([(position, end)] if inside else [])
            else:
                replacement = '"' if source in ("``", "''") else replace_character(source, self)
                characters.append(replacement)
                spans.extend([(position, end)] * len(replacement))
                if not replacement:
                    _extend_last(spans, end)
            position = end
        prepared = "".join(characters)
        return (prepared.lower() if self.do_lower_case else prepared), spans

    def _unit_end(self, text: str, position: int) -> int:
        """Where the piece of text ends that is replaced as one: a run of white space, a doubled quote, or one character."""
        if text[position] in "`'" and text[position : position + 2] == text[position] * 2:
            return position + 2
        end = position + 1
        if self.remove_space and text[position].isspace():
            while end < len(text) and text[end].isspace():
                end += 1
        return end


def _extend_last(spans: list[tuple[int, int]], end: int) -> None:
    """Let the last source character, which may have become several, end at ``end``."""
    start = spans[-1][0] if spans else None
    for index in range(len(spans) - 1, -1, -1):
        if spans[index][0] != start:
            break
        spans[index] = (spans[index][0], end)


@functools.lru_cache(maxsize=65536)
def replace_character(character: str, rules: TextRules) -> str:
    """What one character becomes under the rules that look at no neighbour: often itself, sometimes several, sometimes nothing.

    A capital sigma that NFKD brings up (from 𝚺) stays: lower-casing the finished text, which looks at a sigma's neighbours, is
    left to the caller; it changes no other character and no length.
    """
    if rules.do_lower_case:
        character = lower_each(character)
    if not rules.keep_accents:
        decomposed = unicodedata.normalize("NFKD", character)
        character = "".join(mark for mark in decomposed if not unicodedata.combining(mark))
    if not rules.do_lower_case:
        return character
    return "".join(mark if mark == "Σ" else mark.lower() for mark in character)
