"""Which tokens of a text, or of a pair, a row keeps: the truncation strategies, and the windows of what overflows.

The rules are those of the ``tokenizers`` package that Hugging Face's fast tokenizers run on.
"""

from __future__ import annotations

from albertkit.errors import InputError

__all__ = ["STRATEGIES", "Windows", "list_windows"]

Windows = tuple[tuple[int, int], ...]
"""First and last + 1 token kept of the first sequence and, for a pair, of the second."""

STRATEGIES = ("longest_first", "only_first", "only_second", "do_not_truncate")
"""Names of the truncation strategies."""


def list_windows(
    lengths: tuple[int, ...], budget: int, strategy: str, *, stride: int = 0, overflow: bool = False
) -> list[Windows]:
    """Windows of the rows that one text or pair becomes.

    Args:
        lengths: Tokens of the sequence, or of both sequences of a pair.
        budget: Tokens that a row has room for, special tokens not counted; at least 0.
        strategy: One of :data:`STRATEGIES`.
        stride: Tokens that consecutive windows share.
        overflow: Give a row for every window instead of the first one only.

    Returns:
        The row that is kept, then the overflowing ones: each later window of the first sequence with all of the
        second, then the first window with each later one of the second.

    Raises:
        InputError: If the strategy cannot bring the row down to ``budget``, or windows cannot advance by ``stride``.
    """
    if sum(lengths) <= budget or strategy == "do_not_truncate":
        return [tuple((0, length) for length in lengths)]
    kept = _kept_lengths(lengths, budget, strategy)
    if not overflow:
        return [tuple((0, length) for length in kept)]
    first, *second = [_windows(length, keep, stride) for length, keep in zip(lengths, kept, strict=True)]
    if not second:
        return [(window,) for window in first]
    others = second[0]
    rows: list[Windows] = [(first[0], others[0])]
    rows += [(window, other) for window in first[1:] for other in others]
    rows += [(first[0], other) for other in others[1:]]
    return rows


def _kept_lengths(lengths: tuple[int, ...], budget: int, strategy: str) -> tuple[int, ...]:
    """Tokens that each sequence keeps, for a row that is too long."""
    if budget == 0:
        return (0,) * len(lengths)
    if strategy == "longest_first":
        return (budget,) if len(lengths) == 1 else _balance(lengths[0], lengths[1], budget)
    index = ("only_first", "only_second").index(strategy)
    if index >= len(lengths):
        raise InputError("only_second truncates the second text of a pair", received="a single text", fix="use only_first")
    keep = lengths[index] - (sum(lengths) - budget)
    if keep <= 0:
        raise InputError(
            f"{strategy} must leave at least one token of the text that it truncates",
            received=f"{lengths[index]} tokens there, of which {sum(lengths) - budget} would have to go",
            fix="use longest_first or a larger max_length",
        )
    return tuple(keep if position == index else length for position, length in enumerate(lengths))


def _balance(first: int, second: int, budget: int) -> tuple[int, int]:
    """Shorten the longer sequence, and both to (almost) equal lengths if that is not enough."""
    short, long = sorted((first, second))
    long = max(short, budget - short)
    if short + long > budget:
        short = budget // 2
        long = budget - short
    return (short, long) if first <= second else (long, short)


def _windows(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """Windows of ``size`` tokens that overlap by ``stride`` and cover ``length`` tokens."""
    if size >= length:
        return [(0, length)]
    if size == 0:
        return [(0, 0), (0, length)]
    if stride >= size:
        raise InputError(
            "stride must be smaller than the tokens of the text that fit into a row",
            received=f"stride {stride} with room for {size}",
            fix="use a larger max_length or a smaller stride",
        )
    starts = range(0, max(length - stride, 1), size - stride)
    return [(start, min(start + size, length)) for start in starts]
