"""Preparing pre-training data: speed with one worker and more, and peak memory while the corpus grows.

    python -m benchmarks.preparation [--corpus FILE …] [--workers 1 2] [--gigabytes 10] [--output FILE.md]

Each sample is a whole ``albertkit prepare``, its start included. Speeds are of the text given, or of synthetic text; runs with
different numbers of workers take turns. Memory is that of the main process and of all workers (resident, so that what they share
counts for each), asked for ten times a second. The synthetic text, words of Zipf's frequencies in sentences and documents of
varied length, is written part by part to a temporary folder; with the prepared ids it takes twice its size on disk, and is
removed at the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.machine import describe, publish, spread

COMMAND = str(Path(sys.executable).with_name("albertkit"))
RECIPE = """
data: {{sources: {sources}, tokenizer: {tokenizer}, output: {output}, workers: {workers}}}
output: run
model: {{}}
schedule: {{total_steps: 1}}
training: {{tokens_per_batch: 1024}}
"""
SHARES = (1 / 100, 1 / 10, 1)
NUM_WORDS = 50_000
SENTENCES_AT_ONCE = 20_000


@dataclass(frozen=True)
class Sample:
    """What one run took."""

    seconds: float
    cpu_seconds: float
    main_mib: float
    workers_mib: float
    megabytes: float

    @property
    def speed(self) -> float:
        """Megabytes of text a second."""
        return self.megabytes / self.seconds


def make_words() -> np.ndarray:
    """Words of two to twelve letters."""
    generator = np.random.default_rng(0)
    letters = np.frombuffer(b"etaoinshrdlucmfwypvbgkjqxz", np.uint8)
    shares = 1 / np.arange(1, 27)
    rows = letters[generator.choice(26, (NUM_WORDS, 12), p=shares / shares.sum())]
    lengths = generator.integers(2, 13, NUM_WORDS)
    return np.array([row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)], dtype=object)


def write_part(path: Path, seed: int, size: int, words: np.ndarray) -> None:
    """Write ``size`` bytes of text or a little more: a sentence a line, ten to a hundred of them a document."""
    generator = np.random.default_rng([1, seed])
    edges = np.cumsum(1 / np.arange(1, NUM_WORDS + 1))
    with path.open("w", encoding="ascii") as file:
        while file.tell() < size:
            lengths = generator.integers(3, 40, SENTENCES_AT_ONCE)
            drawn = words[np.searchsorted(edges, generator.random(lengths.sum()) * edges[-1])].tolist()
            left = begin = 0
            for length in lengths.tolist():
                if left == 0:
                    file.write("\n")
                    left = int(generator.integers(10, 100))
                file.write(" ".join(drawn[begin : begin + length]).capitalize() + ".\n")
                begin, left = begin + length, left - 1


def run_once(sources: list[Path], workers: int, folder: Path, tokenizer: str) -> Sample:
    """Prepare ``sources`` and watch it."""
    output = folder / "prepared"
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(sources=[*map(str, sources)], tokenizer=tokenizer, output=output, workers=workers))
    started = time.perf_counter()
    with (folder / "table.txt").open("w+") as table:
        process = subprocess.Popen([COMMAND, "prepare", str(recipe)], stdout=table, stderr=subprocess.DEVNULL)
        peaks = [0, 0]
        watched = psutil.Process(process.pid)
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            try:
                sizes = [one.memory_info().rss for one in (watched, *watched.children(recursive=True))]
                peaks = [max(peaks[0], sizes[0]), max(peaks[1], sum(sizes[1:]))]
            except psutil.NoSuchProcess:
                pass  # a worker has just ended
            time.sleep(0.1)
        process.returncode = status
        if status:
            raise SystemExit("albertkit prepare failed")
        table.seek(0)
        row = next(line for line in table if line.startswith("bytes of text"))
    megabytes = sum(int(word.replace(",", "")) for word in row.split()[3:]) / 1e6
    shutil.rmtree(output)
    seconds = time.perf_counter() - started
    return Sample(seconds, usage.ru_utime + usage.ru_stime, peaks[0] / 2**20, peaks[1] / 2**20, megabytes)


def measure_speed(sources: list[Path], arguments: argparse.Namespace, folder: Path) -> list[str]:
    """A row for each number of workers."""
    samples: dict[int, list[Sample]] = {workers: [] for workers in arguments.workers}
    for _ in range(arguments.rounds):
        for workers, rows in samples.items():
            rows.append(run_once(sources, workers, folder, arguments.tokenizer))
    first = samples[arguments.workers[0]]
    lines = ["| workers | MB/s, median (least–most) | times as fast | CPU s | MB per CPU s |", "| --- | --- | --- | --- | --- |"]
    for workers, rows in samples.items():
        ratios = spread([row.speed / other.speed for row, other in zip(rows, first, strict=True)])
        cpu = spread([row.cpu_seconds for row in rows], 1)
        efficiency = spread([row.megabytes / row.cpu_seconds for row in rows])
        lines.append(f"| {workers} | {spread([row.speed for row in rows])} | {ratios} | {cpu} | {efficiency} |")
    return lines


def measure_memory(parts: list[Path], arguments: argparse.Namespace, folder: Path) -> list[str]:
    """A row for each size of the corpus."""
    workers = arguments.workers[-1]
    lines = [
        f"| GB of text, {workers} workers | main process MiB | workers MiB | together | MB/s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for number in sorted({max(1, round(share * len(parts))) for share in SHARES}):
        sample = run_once(parts[:number], workers, folder, arguments.tokenizer)
        together = sample.main_mib + sample.workers_mib
        numbers = f"{sample.main_mib:.0f} | {sample.workers_mib:.0f} | {together:.0f} | {sample.speed:.2f}"
        lines.append(f"| {sample.megabytes / 1000:.2f} | {numbers} |")
        print(lines[-1], file=sys.stderr)
    return lines


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, nargs="+", default=[], help="text for the speeds; the synthetic text if absent")
    parser.add_argument("--tokenizer", default="albert-mini-en")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="the last one is that of the memory table")
    parser.add_argument("--rounds", type=int, default=3, help="of the speeds; 0 leaves their table out")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="synthetic text of the memory table's last row")
    parser.add_argument("--part-megabytes", type=float, default=50.0, help="size of one file of it")
    parser.add_argument("--folder", type=Path, help="where temporary files go")
    parser.add_argument("--output", type=Path, help="also write the tables here")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        free = shutil.disk_usage(folder).free / 1e9
        if free < 2.5 * arguments.gigabytes:
            raise SystemExit(
                f"{arguments.gigabytes} GB of text need {2.5 * arguments.gigabytes:.0f} GB of disk, {free:.0f} are free"
            )
        words = make_words()
        size = int(arguments.part_megabytes * 1e6)
        parts = [folder / f"{number:05d}.txt" for number in range(max(1, round(arguments.gigabytes * 1e9 / size)))]
        for number, part in enumerate(parts):
            write_part(part, number, size, words)
        lines = [
            "# Preparing pre-training data",
            "",
            describe("numpy", "sentencepiece") + f" · {arguments.rounds} rounds in turn",
            "",
            *(measure_speed(arguments.corpus or parts[:1], arguments, folder) if arguments.rounds else []),
            "",
            *measure_memory(parts, arguments, folder),
        ]
    publish(lines, arguments.output)


if __name__ == "__main__":
    main()
