"""Tables of names, read both ways: what another format calls each parameter of the contract."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from albertkit.errors import CheckpointError

__all__ = ["NameTable", "Renamed", "Row"]

# No leading zeros, so that every number has one spelling and the way back gives the same name.
_NUMBER = "0|[1-9][0-9]*"


@dataclass(frozen=True)
class Row:
    """One parameter, or one for each group and inner layer, in both formats.

    Attributes:
        ours: The contract's name; ``{group}`` and ``{inner}`` stand for numbers.
        theirs: The other format's name, with the same placeholders.
        transposed: Whether the other format stores the transpose, as [in, out] kernels are of the contract's [out, in].
    """

    ours: str
    theirs: str
    transposed: bool = False


@dataclass(frozen=True)
class Renamed:
    """What a table made of a file's tensors.

    Attributes:
        parameters: Contract name → array, a view of what was given.
        unknown: The file's names that the table does not list, in the file's order.
    """

    parameters: dict[str, np.ndarray]
    unknown: tuple[str, ...]


class NameTable:
    """All rows of a format; :meth:`to_contract` and :meth:`from_contract` undo each other.

    Args:
        rows: In any order; no name may stand twice on a side.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)
        self._to_ours = _Side((row.theirs, row.ours, row.transposed) for row in self.rows)
        self._to_theirs = _Side((row.ours, row.theirs, row.transposed) for row in self.rows)

    def to_contract(self, tensors: Mapping[str, np.ndarray]) -> Renamed:
        """Give a file's tensors the contract's names and orientation."""
        found = {name: self._to_ours.rename(name, array) for name, array in tensors.items()}
        return Renamed(
            parameters=dict(renamed for renamed in found.values() if renamed is not None),
            unknown=tuple(name for name, renamed in found.items() if renamed is None),
        )

    def from_contract(self, parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Give the contract's parameters the format's names and orientation.

        Raises:
            CheckpointError: If the format has no name for a parameter.
        """
        tensors = {}
        for name, array in parameters.items():
            renamed = self._to_theirs.rename(name, array)
            if renamed is None:
                raise CheckpointError("a parameter must have a name in the format that is written", received=name)
            tensors[renamed[0]] = renamed[1]
        return tensors


class _Side:
    """One direction of a table."""

    def __init__(self, rows: Iterable[tuple[str, str, bool]]) -> None:
        self._rows: dict[str, tuple[str, bool]] = {}
        for source, target, transposed in rows:
            if source in self._rows:
                raise ValueError(f"{source} stands twice in a table of names")
            self._rows[source] = (target, transposed)

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        """Made when they are needed: a table is built at import, and most programs read safetensors."""
        return {source: re.compile(_to_pattern(source)) for source in self._rows if "{" in source}

    def rename(self, name: str, array: np.ndarray) -> tuple[str, np.ndarray] | None:
        """The other side's name and orientation, ``None`` if no row has the name."""
        if "{" in name:  # a placeholder is no name
            return None
        numbers: dict[str, str] = {}
        if name not in self._rows:
            matched = ((source, pattern.fullmatch(name)) for source, pattern in self._patterns.items())
            row = next(((source, match) for source, match in matched if match), None)
            if row is None:
                return None
            name, numbers = row[0], row[1].groupdict()
        target, transposed = self._rows[name]
        return target.format(**numbers), array.T if transposed else array


def _to_pattern(template: str) -> str:
    """A regular expression that matches a row's names and captures its numbers."""
    return re.sub(r"\\\{(\w+)\\\}", lambda match: f"(?P<{match[1]}>{_NUMBER})", re.escape(template))
