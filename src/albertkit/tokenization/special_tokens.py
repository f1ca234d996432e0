"""Special and added tokens: strings that stand for one id each and are looked for in a text before it is segmented.

They are found as transformers 4.57.6's Python ("slow") tokenizer finds them: leftmost first, the longest where several
start at one place; where the tokenizer lower-cases, in the lower-cased text, but one with capitals exactly as written.
So ``[mask]`` is no mask while ``<PAD>`` is a padding token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from albertkit.errors import InputError, VocabularyError

__all__ = ["SPECIAL_TOKENS", "WORDPIECE_SPECIAL_TOKENS", "AddedToken", "AddedTokens", "Section"]

SPECIAL_TOKENS: dict[str, str] = {
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "unk_token": "<unk>",
    "sep_token": "[SEP]",
    "pad_token": "<pad>",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
"""The seven named special tokens and ALBERT's string for each."""

WORDPIECE_SPECIAL_TOKENS = SPECIAL_TOKENS | {"unk_token": "[UNK]", "pad_token": "[PAD]"}
"""The same of a WordPiece vocabulary, as Chinese ALBERT has."""

_ODD_CAPITALS = "ϴẞΩKÅ"
"""Characters with a lower case whose own capital is another character."""


@dataclass(frozen=True)
class AddedToken:
    """A string that is one token wherever it stands in a text.

    Attributes:
        content: The string.
        single_word: Take it only where white space (or the text's border) surrounds it.
        lstrip: Take the white space on its left with it.
        rstrip: Take the white space on its right with it.
        normalized: Look for it in the lower-cased text, where the tokenizer lower-cases.
        special: It belongs to the model's format: decoding can skip it.
    """

    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = True
    special: bool = False

    def __str__(self) -> str:
        return self.content

    def to_dict(self) -> dict[str, Any]:
        """The fields in the order of Hugging Face's JSON files."""
        return {
            "content": self.content, "single_word": self.single_word, "lstrip": self.lstrip, "rstrip": self.rstrip,
            "normalized": self.normalized, "special": self.special,
        }  # fmt: skip

    @classmethod
    def of(cls, value: object, *, special: bool) -> AddedToken:
        """Make one from a string, another added token, or an entry of a Hugging Face JSON file.

        Args:
            value: What names the token.
            special: Whether the token is special; a mere string is ``normalized`` exactly if it is not.

        Raises:
            InputError: If ``value`` is none of these or empty.
        """
        if isinstance(value, str) and value:
            return cls(value, normalized=not special, special=special)
        if isinstance(value, Mapping) and isinstance(value.get("content"), str) and value["content"]:
            flags = {name: bool(value[name]) for name in ("single_word", "lstrip", "rstrip", "normalized") if name in value}
            return cls(value["content"], **({"normalized": not special} | flags), special=special)
        if isinstance(value, AddedToken) and value.content:
            return replace(value, special=special or value.special)
        raise InputError("a token is a non-empty string or an AddedToken", received=repr(value))


class Section(NamedTuple):
    """A stretch of a text: one added token, or what lies between two.

    Attributes:
        start: First character.
        stop: Character after the last.
        token_id: The added token's id; ``None`` for text to segment.
    """

    start: int
    stop: int
    token_id: int | None


class AddedTokens:
    """The added tokens of a tokenizer and the search for them.

    Args:
        do_lower_case: Whether the tokenizer lower-cases.
    """

    def __init__(self, *, do_lower_case: bool) -> None:
        self._do_lower_case = do_lower_case
        self.by_id: dict[int, AddedToken] = {}
        self.ids: dict[str, int] = {}
        self._starts: list[str] = []
        self._pattern = re.compile("(?!)")
        self._group_ids: list[int] = []

    def add(self, token: AddedToken, token_id: int) -> AddedToken:
        """Add ``token`` under ``token_id`` and return it as it is looked for (lower-cased if that is its rule).

        Raises:
            VocabularyError: If the string is already another id's.
        """
        if self.lower_cases(token):
            token = replace(token, content=token.content.lower())
        if self.ids.get(token.content, token_id) != token_id:
            raise VocabularyError(
                "an added token has one id", received=f"{token.content!r} as {self.ids[token.content]} and {token_id}"
            )
        self.by_id[token_id] = token
        self.ids[token.content] = token_id
        self._compile()
        return token

    def lower_cases(self, token: AddedToken) -> bool:
        """Whether ``token`` is lower-cased itself when it is added."""
        return self._do_lower_case and token.normalized and not token.special

    def _compile(self) -> None:
        """Build the search: one alternation, longest first, and the characters a match can start with."""
        tokens = sorted(self.by_id.values(), key=lambda token: (-len(token.content), self._is_folded(token)))
        self._group_ids = [self.ids[token.content] for token in tokens]
        spellings = [[_spellings(letter) if self._is_folded(token) else letter for letter in token.content] for token in tokens]
        self._pattern = re.compile("|".join(f"({''.join(map(_one_of, letters))})" for letters in spellings))
        self._starts = sorted(set().union(*(letters[0] for letters in spellings)))

    def _is_folded(self, token: AddedToken) -> bool:
        """Whether capitals in the text count as the small letters of ``token``."""
        return self._do_lower_case and token.content == token.content.lower()

    def find(self, texts: Sequence[str]) -> list[int]:
        """Indices of the texts that hold an added token; texts without one cost next to nothing."""
        joined = "\n".join(texts)
        if not any(start in joined for start in self._starts):
            return []
        starts, search = self._starts, self._pattern.search
        return [index for index, text in enumerate(texts) if any(start in text for start in starts) and search(text) is not None]

    def cut(self, text: str) -> list[Section]:
        """Cut a text at its added tokens; sections of no characters are left out."""
        sections: list[Section] = []
        position = 0
        for match in self._pattern.finditer(text):
            if match.start() > position:
                sections.append(Section(position, match.start(), None))
            sections.append(Section(*match.span(), self._group_ids[(match.lastindex or 1) - 1]))
            position = match.end()
        if position < len(text):
            sections.append(Section(position, len(text), None))
        for index, section in enumerate(sections):
            if section.token_id is not None:
                self._settle(text, sections, index, self.by_id[section.token_id])
        return [section for section in sections if section.stop > section.start]

    @staticmethod
    def _settle(text: str, sections: list[Section], index: int, token: AddedToken) -> None:
        """Let the token at ``index`` take white space from its neighbours, or give it back to one as plain text."""
        if not (token.single_word or token.lstrip or token.rstrip):
            return
        left = sections[index - 1] if index > 0 else None
        right = sections[index + 1] if index + 1 < len(sections) else None
        if token.lstrip and left is not None and left.token_id is None:
            kept = text[left.start : left.stop].rstrip()
            sections[index - 1] = left._replace(stop=left.start + len(kept))
        if token.rstrip and right is not None and right.token_id is None:
            kept = text[right.start : right.stop].lstrip()
            sections[index + 1] = right._replace(start=right.stop - len(kept))
        if not token.single_word:
            return
        here = sections[index]
        if left is not None and left.stop > left.start and text[left.stop - 1] != " ":
            sections[index - 1] = Section(left.start, here.stop, None)
            sections[index] = here._replace(start=here.stop, token_id=None)
        elif right is not None and right.stop > right.start and text[right.start] != " ":
            sections[index + 1] = Section(here.start, right.stop, None)
            sections[index] = here._replace(stop=here.start, token_id=None)


def _spellings(letter: str) -> str:
    """The characters whose lower case is ``letter``: itself, its capital, and what Unicode has beside."""
    return "".join(
        sorted({other for other in (letter, letter.upper(), letter.title(), *_ODD_CAPITALS) if other.lower() == letter})
    )


def _one_of(letters: str) -> str:
    return re.escape(letters) if len(letters) == 1 else f"[{re.escape(letters)}]"


def special_token_arguments(values: Mapping[str, object], defaults: Mapping[str, str] = SPECIAL_TOKENS) -> dict[str, AddedToken]:
    """The seven named special tokens from constructor arguments; SentencePiece's ``[MASK]`` takes the space on its left.

    Args:
        values: Name → string or added token, for those that differ from ``defaults`` or all.
        defaults: :data:`SPECIAL_TOKENS` or :data:`WORDPIECE_SPECIAL_TOKENS`.
    """
    tokens = {}
    for name, default in defaults.items():
        value = values.get(name)
        token = AddedToken.of(default if value is None else value, special=True)
        if name == "mask_token" and not isinstance(value, AddedToken | Mapping):
            token = replace(token, lstrip=defaults is SPECIAL_TOKENS)
        tokens[name] = token
    return tokens


def contents(tokens: Iterable[AddedToken]) -> list[str]:
    """The tokens' strings, each once, in order."""
    return list(dict.fromkeys(token.content for token in tokens))
