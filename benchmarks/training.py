"""Training, ours and transformers' in turn: what :mod:`benchmarks.pretraining` and :mod:`benchmarks.finetuning` share.

Each method is a process of its own with PyTorch's fused AdamW, which makes a step, batches included, when asked; the methods take
turns, and a step that other processes disturbed is made again. Memory is what the peak lies above the loaded model before its
first step: activations, gradients, and what the optimiser and the libraries keep.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.bars import Bar, bar_table
from benchmarks.machine import describe, name_result, publish, spread, write_csv
from benchmarks.workers import NOISE, Worker

METHODS = ("albertkit", "transformers")
DTYPES = ("float32", "bfloat16")
RATE = 1e-4


@dataclass
class Row:
    """The samples of one method on one case."""

    case: str
    dtype: str
    method: str
    seconds: list[float] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    base: float = 0.0
    above: float = 0.0
    noisy: int = 0

    def add(self, answer: dict[str, Any]) -> None:
        """Take in a worker's answer."""
        self.seconds.append(answer["seconds"])
        self.items.append(answer["items"])
        self.base, self.above = answer["base"], answer["above"]
        self.noisy += answer["noise"] > NOISE

    @property
    def speeds(self) -> list[float]:
        """Items a second, round by round."""
        return [items / seconds for items, seconds in zip(self.items, self.seconds, strict=True)]


@dataclass
class Pair:
    """Ours and theirs on one case."""

    ours: Row
    theirs: Row

    @property
    def times(self) -> list[float]:
        """How many times faster ours is, round by round."""
        return [ours / theirs for ours, theirs in zip(self.ours.speeds, self.theirs.speeds, strict=True)]

    @property
    def memory(self) -> float:
        """Ours as a share of theirs."""
        return self.ours.above / max(self.theirs.above, 1e-9)


# ------------------------------------------------------------------ the side of a worker


def take_steps(model: Any, batches: Iterable[tuple[int, dict[str, Any]]], dtype: str, pause: Callable[[int], None]) -> None:
    """Make updates in a plain loop.

    Args:
        model: Whose output has a loss.
        batches: For each update the arguments, and the items that a sample ends with; 0 where it goes on.
        dtype: ``bfloat16`` runs under autocast.
        pause: Of :func:`benchmarks.workers.serve_loop`.
    """
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)
    model.train()
    pause(0)
    for items, inputs in batches:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = model(**inputs).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if items:
            pause(items)


# ------------------------------------------------------------------ the asking side


def compare(script: str, case: str, dtype: str, workers: Sequence[Worker], rounds: int, warmups: int) -> Pair:
    """Steps of ours and theirs in turn, after some that do not count.

    Raises:
        SystemExit: If one of them cannot run.
    """
    rows = [Row(case, dtype, method) for method in METHODS]
    for worker, row in zip(workers, rows, strict=True):
        reason = worker.absent()
        if reason:
            raise SystemExit(f"{row.method} cannot run: {reason}")
    for number in range(warmups + rounds):
        for worker, row in zip(workers, rows, strict=True):
            answer = worker.ask() if number < warmups else worker.ask_quietly()
            if "absent" in answer:
                raise SystemExit(f"{row.method} broke: {answer['absent']}")
            if number >= warmups:
                row.add(answer)
    for worker in workers:
        worker.close()
    pair = Pair(*rows)
    print(f"{script}, {case}, {dtype}: {spread(pair.times)} times", file=sys.stderr)
    return pair


def make_tables(pairs: Sequence[Pair], unit: str, bars: dict[str, tuple[Bar, Bar]]) -> list[str]:
    """A row for each case, type and method, and the bars.

    Args:
        pairs: What was measured.
        unit: What the items are.
        bars: For the speed and the memory of a case.
    """
    columns = (
        "case", "numbers", "method", "s, median (min–max)", f"{unit}/s", "times faster", "before the first step MiB",
        "peak above MiB", "share",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    for pair in pairs:
        cells = {pair.ours.method: (spread(pair.times), f"{pair.memory:.2f}"), pair.theirs.method: ("1", "1")}
        for row in (pair.ours, pair.theirs):
            times, share = cells[row.method]
            noise = f" ({row.noisy} noisy)" if row.noisy else ""
            lines.append(
                f"| {row.case} | {row.dtype} | {row.method} | {spread(row.seconds, 3)}{noise} | "
                f"{statistics.median(row.speeds):,.1f} | {times} | {row.base:,.0f} | {row.above:,.0f} | {share} |"
            )
    judged = []
    for pair in pairs:
        if pair.ours.case in bars:
            name, (speed, memory) = f"{pair.ours.case}, {pair.ours.dtype}", bars[pair.ours.case]
            judged.append((name, "transformers: times its speed", speed, pair.times))
            judged.append((name, "transformers: share of its memory", memory, [pair.memory]))
    return [*lines, "", *bar_table(judged)]


def keep(
    script: str, head: list[str], pairs: Sequence[Pair], unit: str, bars: dict[str, tuple[Bar, Bar]], folder: Path | None
) -> None:
    """Print the tables; with a folder, keep them there with the samples and a chart.

    Args:
        script: Its name.
        head: The title, and what the machine's line says besides.
        pairs: What was measured.
        unit: What the items are.
        bars: For the speed and the memory of a case.
        folder: Where to.
    """
    title, conditions = head
    lines = [f"# {title}", "", f"{describe('numpy', 'torch', 'transformers')} · {conditions}", ""]
    lines += make_tables(pairs, unit, bars)
    if folder is None:
        publish(lines, None)
        return
    path = folder / name_result(script)
    chart = path.with_suffix(".png")
    draw_chart(pairs, unit, chart)
    publish([*lines, *([f"![Speed and memory]({chart.name})"] if chart.exists() else [])], path.with_suffix(".md"))
    samples: list[dict[str, object]] = []
    for row in (row for pair in pairs for row in (pair.ours, pair.theirs)):
        plain = {"case": row.case, "numbers": row.dtype, "method": row.method, "base_mib": row.base, "above_mib": row.above}
        samples += [
            plain | {"round": number, "seconds": seconds, unit: items}
            for number, (seconds, items) in enumerate(zip(row.seconds, row.items, strict=True), start=1)
        ]
    write_csv(samples, path.with_suffix(".csv"))


def draw_chart(pairs: Sequence[Pair], unit: str, path: Path) -> None:
    """Speed and memory of both methods."""
    try:
        import matplotlib
    except ImportError:
        print("no chart: matplotlib is not installed", file=sys.stderr)
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(12, 1.5 + 0.5 * len(pairs)))
    names = [f"{pair.ours.case}, {pair.ours.dtype}" for pair in pairs]
    for place, method in enumerate(METHODS):
        rows = [(pair.ours, pair.theirs)[place] for pair in pairs]
        offsets = [number - 0.2 + 0.4 * place for number in range(len(pairs))]
        panels[0].barh(offsets, [statistics.median(row.speeds) for row in rows], 0.4, label=method)
        panels[1].barh(offsets, [row.above for row in rows], 0.4, label=method)
    for panel, label in zip(panels, (f"{unit}/s", "peak above the loaded model, MiB"), strict=True):
        panel.set_yticks(range(len(pairs)), names)
        panel.invert_yaxis()
        panel.set_xlabel(label)
        panel.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
