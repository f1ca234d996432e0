"""A fresh process that fills one mask, beside transformers' pipeline on the same weights: ``python -m benchmarks.cold_start``.

Each sample is a whole process from start to exit, the methods taken in turn; medians with minimum and maximum.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import describe, publish, spread

TEXT = "Paris is the capital of [MASK]."
MODEL = Path(__file__).parents[1] / "src" / "albertkit" / "pretrained" / "albert-mini-en"
PEER = f"""
from transformers import pipeline
for row in pipeline("fill-mask", model={str(MODEL)!r})({TEXT!r}):
    print(row["token_str"], row["score"])
"""
COMMAND = str(Path(sys.executable).with_name("albertkit"))
METHODS = {
    "albertkit fill-mask": [COMMAND, "fill-mask", TEXT],
    "albertkit fill-mask --engine torch": [COMMAND, "fill-mask", TEXT, "--engine", "torch"],
    "albertkit --help": [COMMAND, "--help"],
    "albertkit fill-mask --help": [COMMAND, "fill-mask", "--help"],
    "python -c pass": [sys.executable, "-c", "pass"],
    "transformers pipeline": [sys.executable, "-W", "ignore", "-c", PEER],
}


def run_once(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak memory in MiB of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - start
    process.returncode = status
    if status:
        raise SystemExit(f"{' '.join(command[:3])} … failed")
    return elapsed, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in METHODS}
    for number in range(arguments.rounds + 1):
        for name, command in METHODS.items():
            sample = run_once(command)
            if number:  # the first round warms the disk's cache
                samples[name].append(sample)
    base = statistics.median(seconds for seconds, _ in samples["transformers pipeline"])
    lines = [
        "# A fresh process fills one mask",
        "",
        describe("numpy", "sentencepiece", "torch", "transformers") + f" · {arguments.rounds} rounds in turn",
        "",
        "| process | wall s, median (min–max) | peak memory MiB | times faster than transformers |",
        "| --- | --- | --- | --- |",
    ]
    for name, rows in samples.items():
        seconds = [row[0] for row in rows]
        memory = statistics.median(row[1] for row in rows)
        lines.append(f"| `{name}` | {spread(seconds, 3)} | {memory:.0f} | {base / statistics.median(seconds):.1f} |")
    publish(lines, arguments.output)


if __name__ == "__main__":
    main()
