"""What every model refuses, in one sentence each: rules over plain numbers, shared by the frameworks."""

from __future__ import annotations

from collections.abc import Sequence

from albertkit.config import AlbertConfig
from albertkit.errors import InputError

__all__ = ["check_length", "check_range", "check_shape"]


def check_length(longest: int, config: AlbertConfig) -> None:
    """Raise :class:`InputError` if a sequence of ``longest`` tokens has no position embeddings."""
    if longest > config.max_position_embeddings:
        raise InputError(
            f"a sequence may have at most max_position_embeddings={config.max_position_embeddings} tokens",
            received=f"{longest} tokens",
            fix="tokenize with truncation=True, or cut the text into overlapping windows",
        )


def check_range(name: str, smallest: int, largest: int, size: int, setting: str) -> None:
    """Raise :class:`InputError` unless ``smallest`` and ``largest`` index a table of ``size`` rows.

    Args:
        name: The argument the numbers came in.
        smallest: The smallest number received.
        largest: The largest number received.
        size: How many rows there are.
        setting: The configuration's name for ``size``.
    """
    if smallest < 0 or largest >= size:
        wrong = smallest if smallest < 0 else largest
        raise InputError(
            f"{name} must be from 0 to {size - 1} ({setting}={size})",
            received=wrong,
            fix="use the tokenizer that belongs to this model" if setting == "vocab_size" else None,
        )


def check_shape(name: str, shape: Sequence[int], expected: Sequence[int], of: str) -> None:
    """Raise :class:`InputError` unless argument ``name`` has the shape ``expected``, which is that of ``of``."""
    if tuple(shape) != tuple(expected):
        raise InputError(f"{name} must have the shape {tuple(expected)} of {of}", received=f"shape {tuple(shape)}")
