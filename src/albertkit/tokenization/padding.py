"""Padding: rows brought to one length on the right, as ALBERT's absolute positions want it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from albertkit.errors import InputError

__all__ = ["STRATEGIES", "gather_columns", "pad_columns", "require_right_side", "resolve_padding", "target_length"]

STRATEGIES = ("do_not_pad", "longest", "max_length")
"""Names of the padding strategies; ``False`` is the first and ``True`` the second."""


def resolve_padding(padding: bool | str | None) -> str:
    """The strategy that a ``padding`` argument names.

    Raises:
        InputError: If it names none.
    """
    if padding is None or isinstance(padding, bool):
        return "longest" if padding else "do_not_pad"
    if padding not in STRATEGIES:
        raise InputError(f"padding is True, False, {', '.join(map(repr, STRATEGIES))}", received=repr(padding))
    return str(padding)


def require_right_side(side: str | None) -> None:
    """Refuse to pad or truncate on the left.

    Raises:
        InputError: If ``side`` is given and not ``"right"``.
    """
    if side not in (None, "right"):
        raise InputError(
            "ALBERT's positions are absolute, so that padding and truncation are on the right",
            received=repr(side),
            fix='leave the side out or give "right"',
        )


def target_length(lengths: Sequence[int], strategy: str, max_length: int, pad_to_multiple_of: int | None) -> int | None:
    """Length that rows are padded to; ``None`` for no padding. Longer rows stay as they are.

    Args:
        lengths: Tokens of each row.
        strategy: One of :data:`STRATEGIES`.
        max_length: Length for the strategy ``max_length``.
        pad_to_multiple_of: Round the length up to a multiple of this.
    """
    if strategy == "do_not_pad":
        return None
    length = max_length if strategy == "max_length" else max(lengths, default=0)
    if pad_to_multiple_of:
        length = -(-length // pad_to_multiple_of) * pad_to_multiple_of
    return length


def pad_columns(columns: Mapping[str, list[Any]], length: int | None, pad_token_id: int) -> dict[str, list[Any]]:
    """Pad the rows of every column that has an entry per token; other columns stay.

    Args:
        columns: Column name → rows.
        length: Target length, or ``None`` for no padding.
        pad_token_id: Fills ``input_ids``.
    """
    if length is None:
        return dict(columns)
    fillers = {
        "input_ids": pad_token_id,
        "token_type_ids": 0,
        "attention_mask": 0,
        "special_tokens_mask": 1,
        "offset_mapping": (0, 0),
    }
    return {
        name: [row + [fillers[name]] * (length - len(row)) for row in rows] if name in fillers else rows
        for name, rows in columns.items()
    }


def gather_columns(encoded: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The columns of an encoding, or of a list of encodings of single texts, as plain lists.

    Raises:
        InputError: If there are no ``input_ids``, or the examples differ in their columns.
    """
    if isinstance(encoded, Mapping):
        columns = {name: _to_list(rows) for name, rows in encoded.items()}
    else:
        names = set(encoded[0]) if encoded else set()
        if any(set(example) != names for example in encoded):
            raise InputError("all examples to pad have the same columns", received="examples that differ in theirs")
        columns = {name: [_to_list(example[name]) for example in encoded] for name in (encoded[0] if encoded else ())}
    if "input_ids" not in columns:
        raise InputError("what is padded has input_ids", received=f"the columns {', '.join(columns) or '(none)'}")
    return columns


def _to_list(values: Any) -> Any:
    """Lists out of arrays and tensors, and out of lists of these."""
    if hasattr(values, "tolist"):
        return values.tolist()
    if isinstance(values, list | tuple) and values and hasattr(values[0], "tolist"):
        return [value.tolist() for value in values]
    return list(values) if isinstance(values, tuple) and not isinstance(values[0], int) else values
