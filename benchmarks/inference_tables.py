"""What :mod:`benchmarks.inference` makes of its samples: tables, a chart, and the samples themselves."""

from __future__ import annotations

import statistics
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.gemm import Rates, gigaflops
from benchmarks.machine import name_result, publish, spread, write_csv
from benchmarks.texts import WORKLOADS

BASELINE = ("transformers SDPA float32", "padded")
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

    def times(self, other: Row | None) -> str:
        """How many times faster than another, round by round."""
        return spread([b / a for a, b in zip(self.seconds, other.seconds, strict=True)]) if other else "—"


@dataclass
class Table:
    """All that was measured."""

    rows: list[Row]
    rates: Rates
    layers: int
    absent: dict[str, str]
    noisy_rates: int = 0

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

    def find(self, workload: str, key: tuple[str, str]) -> Row | None:
        """The row of a method and an arrangement."""
        return next((row for row in self.rows if row.workload == workload and row.key == key), None)


def make_tables(table: Table) -> list[str]:
    """A table for each workload, that of our best beside the best peers, and that of the rates."""
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
    return [*lines, *_compare_with_best(table), *_describe_limits(table), *_describe_absent(table)]


def _compare_with_best(table: Table) -> list[str]:
    lines = [
        "## Our fastest at each precision, times as fast as the fastest peer at the same precision", "",
        "| texts | numbers | ours | peer, padded as usual | times | peer, sorted by length | times |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for workload in dict.fromkeys(row.workload for row in table.rows):
        for dtype in COLORS:
            rows = [row for row in table.rows if row.workload == workload and row.dtype == dtype]
            best = {texts: max((row for row in rows if row.texts == texts), key=lambda row: row.speed, default=None)
                    for texts in ("packed", "padded", "sorted")}  # fmt: skip
            ours = best.pop("packed")
            if ours is None or best["padded"] is None:
                continue
            cells = [f"{row.method} | {ours.times(row)}" if row else "— | —" for row in best.values()]
            lines.append(f"| {workload} | {dtype} | {ours.method} | {' | '.join(cells)} |")
    return [*lines, ""] if len(lines) > 4 else []


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
            samples.append(plain | {"share": table.share(row), "round": number + 1, "seconds": seconds})
    write_csv(samples, path.with_suffix(".csv"))
