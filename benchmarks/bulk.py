"""A large file of short texts through the command line: ``python -m benchmarks.bulk [--texts 1000000] [--output FILE.md]``.

``albertkit text-classification --input … --output …`` with a tiny random model of two layers, so that what stands around it
shows: reading, tokenizing, batching, writing. A tenth of the texts, then all of them: whole processes, with their peak memory
(resident, as the kernel counts it). Then all of them again, killed when half is written, and continued: the file must be the
same.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from albertkit.testing import save_tiny_checkpoint, tiny_config, tiny_tokenizer
from benchmarks.cold_start import COMMAND, run_once
from benchmarks.machine import describe, publish

NUM_LAYERS = 2
LENGTHS = (3, 13)  # words of a text, the second excluded


def write_texts(path: Path, number: int) -> None:
    """Write texts of random words, an object a line."""
    words = [piece[1:] for piece in tiny_tokenizer().get_vocab() if piece[0] == "▁" and piece[1:].isalpha()]
    generator = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        for start, length in enumerate(generator.integers(*LENGTHS, number).tolist()):
            text = " ".join(words[place] for place in generator.integers(0, len(words), length).tolist())
            file.write(json.dumps({"id": start, "text": text}) + "\n")


def make_command(folder: Path, number: int, output: str, engine: str) -> list[str]:
    """Classify ``number`` texts."""
    source = folder / f"{number}.jsonl"
    if not source.exists():
        write_texts(source, number)
    files = ["--input", str(source), "--output", str(folder / output)]
    return [COMMAND, "text-classification", "--model", str(folder / "model"), "--engine", engine, *files]


def run_interrupted(command: list[str], whole: Path, partial: Path) -> tuple[int, int]:
    """Kill a run when half of ``whole`` is written, and let it go on: bytes kept, and seconds that the rest took."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    half = whole.stat().st_size / 2
    while process.poll() is None and not (partial.exists() and partial.stat().st_size >= half):
        time.sleep(0.01)
    process.kill()
    process.wait()
    if not partial.exists():
        sys.exit("the run ended before it was killed; give more --texts")
    kept = partial.stat().st_size
    seconds, _ = run_once(command)
    return kept, round(seconds)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--engine", default="torch", help="what auto takes for a million texts, by default")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args(argv)
    lines = [
        "# A large file of short texts through a tiny model",
        "",
        describe("numpy", "sentencepiece", "torch") + f" · {arguments.engine} engine",
        "",
        "| texts | seconds | texts a second | peak memory MiB |",
        "| --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_tiny_checkpoint(folder / "model", "AlbertForSequenceClassification", tiny_config(num_hidden_layers=NUM_LAYERS))
        for number in (arguments.texts // 10, arguments.texts):
            seconds, memory = run_once(make_command(folder, number, f"{number}.out.jsonl", arguments.engine))
            lines.append(f"| {number:,} | {seconds:.1f} | {number / seconds:,.0f} | {memory:.1f} |")
        whole, again = folder / f"{arguments.texts}.out.jsonl", folder / "again.jsonl"
        command = make_command(folder, arguments.texts, again.name, arguments.engine)
        kept, seconds = run_interrupted(command, whole, folder / "again.jsonl.partial")
        if not filecmp.cmp(whole, again, shallow=False):
            sys.exit("the interrupted run ended in other bytes")
        share = kept / whole.stat().st_size
    lines += ["", f"Killed after {share:.0%} and continued ({seconds} s for the rest): the same bytes as in one go."]
    publish(lines, arguments.output)


if __name__ == "__main__":
    main()
