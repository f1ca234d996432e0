"""What is aimed at: bars and goals, and what was measured beside them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.machine import spread


@dataclass(frozen=True)
class Bar:
    """A ratio to reach.

    Attributes:
        bar: What is wanted.
        goal: What is hoped for, if more is.
        at_most: Less is better.
    """

    bar: float
    goal: float | None = None
    at_most: bool = False

    def judge(self, values: Sequence[float]) -> str:
        """Cells of a table: bar, goal, the median and spread of what was measured, and which of the two it meets."""
        measured = statistics.median(values)
        goal, bar = (
            limit is not None and (measured <= limit if self.at_most else measured >= limit) for limit in (self.goal, self.bar)
        )
        shown = spread(list(values)) if len(values) > 1 else f"{measured:.2f}"
        met = "goal" if goal else "bar" if bar else "no"
        return f"{'≤' if self.at_most else '≥'} {self.bar:g} | {'—' if self.goal is None else f'{self.goal:g}'} | {shown} | {met}"


def bar_table(rows: Iterable[tuple[str, str, Bar, Sequence[float]]]) -> list[str]:
    """A row for each job: what is done, against what, the bar and the ratios measured."""
    lines = [f"| {job} | {against} | {bar.judge(values)} |" for job, against, bar, values in rows]
    if not lines:
        return []
    head = ["## Bars", "", "| job | against | bar | goal | measured | meets |", "| --- | --- | --- | --- | --- | --- |"]
    return [*head, *lines, ""]
