"""What :mod:`benchmarks.inference` makes of its samples: tables, a chart, and the samples themselves."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.bars import Bar, bar_table
from benchmarks.gemm import Rates, gigaflops
from benchmarks.machine import name_result, publish, spread, write_csv
from benchmarks.texts import WORKLOADS

BASELINE = ("transformers SDPA float32", "padded")
SPEED_BARS = {
    ("sst2", "float32"): Bar(2.5, 2.9),
    ("squad", "float32"): Bar(2.9, 3.3),
    ("sst2", "bfloat16"): Bar(4.7, 5.8),
    ("squad", "bfloat16"): Bar(5.2, 6.3),
    ("sst2", "int8"): Bar(7.0, 9.0),
    ("squad", "int8"): Bar(7.0, 9.0),
}
SORTED_BARS = {"float32": Bar(1.0, 1.1), "bfloat16": Bar(1.0, 1.1), "int8": Bar(0.8, 1.1)}
SHARE_BAR, LATENCY_BAR = Bar(0.90, 0.96), Bar(1.1, 0.9, at_most=True)
RATE_TOKENS = {"one-16": 16, "one-128": 128}  # of the limit; else the most that are measured
COLORS = {"float32": "#4c72b0", "bfloat16": "#dd8452", "int8": "#55a868"}


@dataclass
class Row:
    """The samples of one method on one workload."""

    workload: str
    method: str
    dtype: str
    texts: str  # packed (ours), padded or sorted
    tokens: int
    difference: float
    seconds: list[float] = field(default_factory=list)
    noisy: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return f"{self.method} {self.dtype}", self.texts

    @property
    def speed(self) -> float:
        """Real tokens a second."""
        return self.tokens / statistics.median(self.seconds)

    def ratios(self, other: Row) -> list[float]:
        """How many times faster than another, round by round."""
        return [b / a for a, b in zip(self.seconds, other.seconds, strict=True)]

    def times(self, other: Row | None) -> str:
        """The same, for a table."""
        return spread(self.ratios(other)) if other else "—"


@dataclass
class Table:
    """All that was measured."""

    rows: list[Row]
    rates: Rates
    layers: int
    absent: dict[str, str]
    noisy_rates: int = 0
    memory: dict[str, tuple[float, float]] = field(default_factory=dict)

    def share(self, row: Row) -> float | None:
        """Of the machine's limit, from 0 to 1."""
        limit = self.limit(row.workload, row.dtype)
        return row.speed / limit if limit else None

    def limit(self, workload: str, dtype: str) -> float | None:
        """Tokens a second of the linear layers alone."""
        known = [key[1] for key in self.rates.samples]
        rate = self.rates.limit(dtype, RATE_TOKENS.get(workload, max(known, default=0)))
        return rate / self.gigaflops_of_token if rate else None

    @property
    def gigaflops_of_token(self) -> float:
        """Of the linear layers of all layers."""
        return self.layers * gigaflops(1, self.rates.shapes)

    def best(self, workload: str, dtype: str, texts: str) -> Row | None:
        """The fastest row of an arrangement: ``packed`` are ours, the others the peers'."""
        rows = [row for row in self.rows if (row.workload, row.dtype, row.texts) == (workload, dtype, texts)]
        return max(rows, key=lambda row: row.speed, default=None)

    def find(self, workload: str, key: tuple[str, str]) -> Row | None:
        """The row of a method and an arrangement."""
        return next((row for row in self.rows if row.workload == workload and row.key == key), None)


def make_tables(table: Table) -> list[str]:
    """A table for each workload, and those of the bars, the rates and memory."""
    lines = []
    for workload in dict.fromkeys(row.workload for row in table.rows):
        base = table.find(workload, BASELINE)
        rows = [row for row in table.rows if row.workload == workload]
        lines += [
            f"## {WORKLOADS[workload]}: {rows[0].tokens:,} tokens", "",
            "| method | numbers | texts | ms | tokens/s | times transformers | share of limit | difference |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]  # fmt: skip
        for row in rows:
            share = table.share(row)
            milliseconds = spread([1000 * seconds for seconds in row.seconds], 1)
            noise = f" ({row.noisy} noisy)" if row.noisy else ""
            lines.append(
                f"| {row.method} | {row.dtype} | {row.texts} | {milliseconds}{noise} | {row.speed:,.0f} | "
                f"{row.times(base)} | {f'{share:.2f}' if share else '—'} | {row.difference:.0e} |"
            )
        lines.append("")
    return [*lines, *bar_table(_list_bars(table)), *_describe_limits(table), *_describe_memory(table), *_describe_absent(table)]


def _list_bars(table: Table) -> Iterator[tuple[str, str, Bar, list[float]]]:
    """The bars for our fastest at each precision."""
    for workload in dict.fromkeys(row.workload for row in table.rows):
        for dtype in COLORS:
            ours = table.best(workload, dtype, "packed")
            if ours is None:
                continue
            job = f"{workload}, {dtype} ({ours.method})"
            base, ragged = table.find(workload, BASELINE), table.best(workload, dtype, "sorted")
            single = table.best(workload, dtype, "padded")
            if (workload, dtype) in SPEED_BARS and base:
                yield job, "transformers SDPA float32, padded: times its speed", SPEED_BARS[workload, dtype], ours.ratios(base)
            if ragged:
                yield job, f"{ragged.method}, sorted: times its speed", SORTED_BARS[dtype], ours.ratios(ragged)
            elif single:
                latencies = [1 / ratio for ratio in ours.ratios(single)]
                yield job, f"{single.method}: times its latency", LATENCY_BAR, latencies
            limit = table.limit(workload, dtype)
            if ragged and limit and dtype == "float32":
                yield job, "the limit: share of it", SHARE_BAR, [ours.tokens / seconds / limit for seconds in ours.seconds]


def _describe_memory(table: Table) -> list[str]:
    lines = [
        "## Memory, MiB", "", "| method | after its imports | peak above that, all texts |", "| --- | --- | --- |",
        *(f"| {key} | {base:,.0f} | {above:,.0f} |" for key, (base, above) in table.memory.items()), "",
    ]  # fmt: skip
    return lines if table.memory else []


def _describe_limits(table: Table) -> list[str]:
    if not table.rates.samples:
        return []
    flops = f"{1000 * table.gigaflops_of_token:,.3g} MFLOP a token in all layers"
    noisy = f"; {table.noisy_rates} rounds noisy" if table.noisy_rates else ""
    lines = [f"## The machine: GFLOP/s of the products of a layer ({flops}{noisy})", ""]
    return [*lines, *table.rates.table(), ""]


def _describe_absent(table: Table) -> list[str]:
    return [f"- {key}: {' '.join(reason.split())}" for key, reason in table.absent.items()]


def draw_chart(table: Table, path: Path) -> None:
    """Tokens a second of every method, a panel for each workload; lines mark the limits."""
    try:
        import matplotlib
    except ImportError:
        print("no chart: matplotlib is not installed", file=sys.stderr)
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    workloads = list(dict.fromkeys(row.workload for row in table.rows))
    most = max(sum(row.workload == workload for row in table.rows) for workload in workloads)
    figure, panels = plt.subplots(1, len(workloads), figsize=(6 * len(workloads), 1.5 + 0.28 * most), squeeze=False)
    for panel, workload in zip(panels[0], workloads, strict=True):
        rows = sorted((row for row in table.rows if row.workload == workload), key=lambda row: row.speed)
        names = [f"{row.method} {row.dtype}" + ("" if row.texts == "packed" else f", {row.texts}") for row in rows]
        ours = [row.texts == "packed" for row in rows]
        bars = panel.barh(names, [row.speed for row in rows], color=[COLORS[row.dtype] for row in rows])
        for bar, own in zip(bars, ours, strict=True):
            bar.set_alpha(1.0 if own else 0.45)
        for label, own in zip(panel.get_yticklabels(), ours, strict=True):
            label.set_fontweight("bold" if own else "normal")
        for dtype, color in COLORS.items():
            limit = table.limit(workload, dtype)
            if limit and any(row.dtype == dtype for row in rows):
                panel.axvline(limit, color=color, linestyle=":", linewidth=1.5)
        panel.set_title(WORKLOADS[workload], fontsize=9)
        panel.set_xlabel("tokens/s (dotted: the linear layers alone at the machine's rate)", fontsize=8)
        panel.tick_params(labelsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def keep(table: Table, lines: list[str], folder: Path) -> None:
    """Write the tables, the samples and the chart."""
    path = folder / name_result("inference")
    chart = path.with_suffix(".png")
    draw_chart(table, chart)
    publish([*lines, *(["", f"![Tokens a second]({chart.name})"] if chart.exists() else [])], path.with_suffix(".md"))
    samples: list[dict[str, object]] = []
    for row in table.rows:
        plain = asdict(row)
        for number, seconds in enumerate(plain.pop("seconds")):
            measured = {"share": table.share(row), "peak_mib": sum(table.memory[row.key[0]])}
            samples.append(plain | measured | {"round": number + 1, "seconds": seconds})
    write_csv(samples, path.with_suffix(".csv"))
