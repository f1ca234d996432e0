"""Wall time to the same held-out masked-LM loss, beside transformers' Trainer: ``python -m benchmarks.quality PREPARED``.

Both train a model of the embedded one's sizes on the same documents, in bfloat16, with the same number of tokens an update.
Theirs: AlbertForMaskedLM and the Trainer, texts packed like run_mlm (end to end, blocks of 128), the default collator, warm-up
and linear decay, the best of some learning rates. Ours: AlbertForPreTraining by the recipe of the embedded model, sentence order
included. One test scores all: blocks of held-out documents with masks by the rule of the default collator, always the same.

First every run leaves its curve, loss by update, in a file; this takes long and may go on beside other work, and a run whose
file is there is not made again (``--curves-only`` ends here). Then the sides make updates in turn, batches included. The wall
time to a loss is the updates to it, interpolated on the curve, times the median of the seconds of an update.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from benchmarks.machine import describe, name_result, publish, spread, write_csv
from benchmarks.quality_runs import LENGTH, Job, read_curve, record_curve, time_updates
from benchmarks.workers import Worker

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the budget: the best peer's losses there are the targets
WARMUPS = 2


@dataclass(frozen=True)
class Run:
    """What is known of a run: its curve, and the seconds of its updates."""

    job: Job
    curve: list[tuple[int, float]]
    seconds: list[float]

    @property
    def final(self) -> float:
        return self.curve[-1][1]

    def updates_to(self, target: float) -> float | None:
        """Updates after which the loss is first at ``target``, on a straight line between two evaluations."""
        for (before, high), (update, low) in pairwise(self.curve):
            if low <= target:
                return update - (update - before) * (target - low) / (high - low)
        return None

    def seconds_to(self, target: float) -> float | None:
        updates = self.updates_to(target)
        return None if updates is None else updates * statistics.median(self.seconds)


# ------------------------------------------------------------------ measuring


def make_jobs(arguments: argparse.Namespace) -> list[Job]:
    updates = arguments.budget_tokens // (arguments.sequences * LENGTH)
    return [Job(arguments.prepared, updates, arguments.sequences, rate) for rate in (None, *arguments.rates)]


def make_curves(jobs: Sequence[Job], words: Sequence[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for job in jobs:
        if not job.curve(folder).exists():
            print(f"{job.name}: {job.updates} updates …", file=sys.stderr)
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.quality", *words, "--record", job.name]
            subprocess.run(command, check=True, stdout=sys.stderr)


def time_in_turn(jobs: Sequence[Job], words: Sequence[str], arguments: argparse.Namespace) -> list[list[float]]:
    """Seconds of updates of each job, all alternating."""
    seconds: list[list[float]] = [[] for _ in jobs]
    with tempfile.TemporaryDirectory() as logs:
        workers = [
            Worker("benchmarks.quality", [*words, "--time", job.name], arguments.threads, Path(logs) / job.name) for job in jobs
        ]
        for worker in workers:
            worker.absent()
        for number in range(WARMUPS + arguments.rounds):
            for values, worker in zip(seconds, workers, strict=True):
                answer = worker.ask()
                if number >= WARMUPS:
                    values.append(answer["seconds"])
        for worker in workers:
            worker.close()
    return seconds


# ------------------------------------------------------------------ tables


def make_tables(ours: Run, peers: Sequence[Run]) -> list[str]:
    """Times to the targets, ours as a share of theirs; then every run."""
    best = min(peers, key=lambda run: run.final)
    lines = [
        "| held-out loss | of the best peer after | peer, updates | peer, s | albertkit, updates | albertkit, s | share |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for share in SHARES:
        _, target = min(best.curve, key=lambda point: abs(point[0] - share * best.job.updates))
        peer = min((run for run in peers if run.updates_to(target)), key=lambda run: run.seconds_to(target) or 0.0)
        cells = [f"{target:.3f}", f"{share:.0%} of its updates", *describe_time(peer, target), *describe_time(ours, target)]
        seconds = ours.seconds_to(target)
        lines.append(f"| {' | '.join(cells)} | {f'{seconds / peer.seconds_to(target):.2f}' if seconds else '—'} |")
    lines += [
        "", "| run | updates | held-out loss | s an update, median (min–max) | tokens/s |", "| --- | --- | --- | --- | --- |"
    ]  # fmt: skip
    for run in (ours, *peers):
        speed = run.job.sequences * LENGTH / statistics.median(run.seconds)
        lines.append(f"| {run.job.name} | {run.job.updates} | {run.final:.3f} | {spread(run.seconds, 3)} | {speed:,.0f} |")
    return lines


def describe_time(run: Run, target: float) -> tuple[str, str]:
    updates, seconds = run.updates_to(target), run.seconds_to(target)
    return ("not reached", "—") if updates is None or seconds is None else (f"{updates:.0f}", f"{seconds:.0f}")


def draw_chart(runs: Sequence[Run], path: Path) -> None:
    """Held-out loss over seconds; a dotted line marks the best peer's at its end."""
    try:
        import matplotlib
    except ImportError:
        print("no chart: matplotlib is not installed", file=sys.stderr)
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(7, 4.5))
    for run in runs:
        median = statistics.median(run.seconds)
        updates, losses = zip(*run.curve, strict=True)
        panel.plot([update * median for update in updates], losses, label=run.job.name, linewidth=2.5 if run is runs[0] else 1.2)
    panel.axhline(min(run.final for run in runs[1:]), color="gray", linestyle=":")
    panel.set_xlabel("seconds of updates, batches included")
    panel.set_ylabel("held-out masked-LM loss, nats")
    panel.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def keep(ours: Run, peers: Sequence[Run], arguments: argparse.Namespace) -> None:
    """Write the tables, the curves and the chart."""
    path = arguments.results / name_result("quality")
    draw_chart((ours, *peers), path.with_suffix(".png"))
    lines = [
        "# Wall time to the same held-out masked-LM loss", "",
        describe("numpy", "torch", "transformers", "accelerate") + f" · bfloat16, {arguments.sequences} × {LENGTH} tokens an"
        f" update, {arguments.budget_tokens:,} in all · updates timed in turn: {arguments.threads} threads, {arguments.rounds}"
        " rounds; s = updates to the loss, interpolated on the curve, times the median seconds of an update", "",
        *make_tables(ours, peers),
    ]  # fmt: skip
    if path.with_suffix(".png").exists():
        lines += ["", f"![Held-out loss over seconds]({path.name}.png)"]
    publish(lines, path.with_suffix(".md"))
    rows: list[dict[str, object]] = []
    for run in (ours, *peers):
        median = statistics.median(run.seconds)
        rows += [{"run": run.job.name, "update": n, "seconds": round(n * median, 2), "loss": loss} for n, loss in run.curve]
    write_csv(rows, path.with_suffix(".csv"))


def read_arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path, help="folder that albertkit prepare wrote")
    parser.add_argument("--budget-tokens", type=int, default=3_000_000, help="of each run")
    parser.add_argument("--sequences", type=int, default=16, help=f"of {LENGTH} tokens, in an update")
    parser.add_argument("--rates", type=float, nargs="+", default=[5e-4, 1e-3, 2e-3], help="the Trainer's learning rates")
    parser.add_argument("--threads", type=int, default=2, help="of the updates that are timed")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--curves", type=Path, default=Path("runs") / "quality", help="where the curves are kept")
    parser.add_argument("--curves-only", action="store_true", help="make the curves, and end")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", help="where the tables go")
    parser.add_argument("--record", help=argparse.SUPPRESS)
    parser.add_argument("--time", help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    words = sys.argv[1:] if words is None else words
    arguments = read_arguments(words)
    jobs = make_jobs(arguments)
    named = {job.name: job for job in jobs}
    if arguments.record:
        record_curve(named[arguments.record], arguments.curves)
    elif arguments.time:
        time_updates(replace(named[arguments.time], updates=WARMUPS + arguments.rounds))
    else:
        make_curves(jobs, words, arguments.curves)
        if not arguments.curves_only:
            ours, peer = time_in_turn(jobs[:2], words, arguments)  # the learning rate costs no time
            curves = [read_curve(job.curve(arguments.curves)) for job in jobs]
            runs = [Run(job, curve, peer if job.rate else ours) for job, curve in zip(jobs, curves, strict=True)]
            keep(runs[0], runs[1:], arguments)


if __name__ == "__main__":
    main()
