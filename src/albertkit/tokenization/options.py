"""The arguments of a tokenizer call, checked and settled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from albertkit.errors import InputError, suggest
from albertkit.tokenization import truncation as truncation_rules

__all__ = ["CallOptions", "Inputs", "refuse_unknown", "resolve_truncation"]


@dataclass(frozen=True)
class CallOptions:
    """Settled arguments of a call.

    Attributes:
        add_special_tokens: Put ``[CLS]`` and ``[SEP]`` around the texts.
        padding: One of :data:`albertkit.tokenization.padding.STRATEGIES`.
        truncation: One of :data:`albertkit.tokenization.truncation.STRATEGIES`.
        max_length: Tokens that truncation leaves and ``padding="max_length"`` fills up to.
        stride: Tokens that overflowing rows share.
        pad_to_multiple_of: Round padded lengths up to a multiple of this.
        columns: Names of the columns to return beside ``input_ids``.
        overflow: Return overflowing rows too.
    """

    add_special_tokens: bool
    padding: str
    truncation: str
    max_length: int
    stride: int
    pad_to_multiple_of: int | None
    columns: frozenset[str]
    overflow: bool

    def __post_init__(self) -> None:
        for name, value, least in (
            ("max_length", self.max_length, 1),
            ("stride", self.stride, 0),
            ("pad_to_multiple_of", self.pad_to_multiple_of, 1),
        ):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise InputError(f"{name} is a whole number of at least {least}", received=repr(value))
        multiple = self.pad_to_multiple_of or 1
        if self.truncation != "do_not_truncate" and self.padding != "do_not_pad" and self.max_length % multiple:
            raise InputError(
                "with truncation, max_length is a multiple of pad_to_multiple_of",
                received=f"max_length={self.max_length} and pad_to_multiple_of={self.pad_to_multiple_of}",
            )

    @property
    def ids_only(self) -> bool:
        """Nothing is wanted but the plain ids of each text."""
        return not (
            self.add_special_tokens
            or self.columns
            or self.overflow
            or self.padding != "do_not_pad"
            or self.truncation != "do_not_truncate"
        )


def resolve_truncation(truncation: bool | str | None, *, only_max_length: bool) -> str:
    """The strategy that a ``truncation`` argument names.

    Args:
        truncation: As users give it; ``True`` is ``longest_first``.
        only_max_length: ``max_length`` is given and neither truncation nor padding is: then it is there to truncate.

    Raises:
        InputError: If it names none.
    """
    if truncation is None:
        return "longest_first" if only_max_length else "do_not_truncate"
    if isinstance(truncation, bool):
        return "longest_first" if truncation else "do_not_truncate"
    if truncation not in truncation_rules.STRATEGIES:
        names = ", ".join(map(repr, truncation_rules.STRATEGIES))
        raise InputError(f"truncation is True, False, {names}", received=repr(truncation))
    return str(truncation)


@dataclass(frozen=True)
class Inputs:
    """Texts as given, brought to one shape.

    Attributes:
        texts: Per text of a sample (one, or two for pairs): per sample the text, or its words.
        batched: Whether several samples were given rather than one.
        split: Whether each text is a list of words.
    """

    texts: tuple[list[Any], ...]
    batched: bool
    split: bool

    @classmethod
    def of(cls, text: Any, text_pair: Any, *, split: bool) -> Inputs:
        """Tell single texts, pairs and batches of either apart.

        Raises:
            InputError: If the arguments are not such, or the two lists differ in length.
        """
        if text_pair is None and not split and _is_list(text) and text and all(_is_list(item) for item in text):
            if not all(len(item) == 2 for item in text):
                raise InputError(
                    "a list of lists is a list of pairs of texts",
                    received=f"an inner list of {next(len(item) for item in text if len(item) != 2)}",
                    fix="pass is_split_into_words=True for texts that are already split",
                )
            text, text_pair = [item[0] for item in text], [item[1] for item in text]
        batched = _is_list(text) and (not split or not text or _is_list(text[0]))
        sides = [text] if text_pair is None else [text, text_pair]
        for side in sides:
            if _is_list(side) is not batched and not (split and not batched):
                raise InputError("both texts of a pair are single texts or lists of the same length", received=_describe(side))
        samples = tuple(list(side) if batched else [side] for side in sides)
        if len({len(side) for side in samples}) > 1:
            received = f"{len(samples[0])} and {len(samples[1])}"
            raise InputError("both lists of a batch of pairs have the same length", received=received)
        for side in samples:
            _check_types(side, split)
        return cls(samples, batched, split)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _check_types(samples: Sequence[Any], split: bool) -> None:
    for sample in samples:
        if split:
            if not _is_list(sample) or not all(isinstance(word, str) for word in sample):
                raise InputError("with is_split_into_words, a text is a list of strings", received=_describe(sample))
        elif not isinstance(sample, str):
            raise InputError(
                "a text is a string, and a batch a list of strings", received=_describe(sample), fix="convert it to that first"
            )


def _describe(value: object) -> str:
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}"


def refuse_unknown(names: Iterable[str], allowed: Sequence[str], rule: str) -> None:
    """Refuse a name that is not ``allowed``, with the one that is likely meant.

    Raises:
        InputError: If there is one.
    """
    for name in names:
        if name not in allowed:
            raise InputError(rule, received=name, fix=suggest(name, allowed) or f"they are {', '.join(allowed)}")
