"""Fine-tuning on real data, the embedded model on each task of three seeds: ``python -m benchmarks.tasks``.

Every row is one ``albertkit finetune`` in a process of its own, whose command the table shows; a run that is finished in the
working folder is not made again, and one that was stopped goes on. Scores are medians with their spread over the seeds, beside
who always gives the commonest answer. Learning rates and passes were set once, by hand, for a model as small as the embedded one.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.inference import DATA
from benchmarks.machine import describe, name_result, publish

SEEDS = "[0, 1, 2]"
EVAL_ARTICLES = 4  # of the sixteen of the SQuAD 2.0 half; every fourth one
RACE_PASSAGES = {"train": 200, "dev": 100}


@dataclass(frozen=True)
class Run:
    """A task and how it is trained."""

    title: str
    task: str
    train: str
    eval: str | None  # none: a tenth is held out, by passages; the dev file of TyDiQA's copy has no answers
    rate: float
    epochs: float
    batch: int = 32

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.title.lower().replace(" ", "-").replace(",", "")


RUNS = (
    Run("SST-2", "sst-2", "glue/SST-2/train.tsv.xz", "glue/SST-2/dev.tsv.xz", 3e-4, 1, 64),
    Run("CoLA", "cola", "glue/CoLA/train.tsv.xz", "glue/CoLA/dev.tsv.xz", 2e-4, 3),
    Run("RTE", "rte", "glue/RTE/train.tsv.xz", "glue/RTE/dev.tsv.xz", 1e-4, 2),
    Run("MRPC", "mrpc", "glue/MRPC/msr_paraphrase_train.txt.xz", "glue/MRPC/msr_paraphrase_test.txt.xz", 2e-4, 2),
    Run("STS-B", "sts-b", "glue/STS-B/train.tsv.xz", "glue/STS-B/dev.tsv.xz", 2e-4, 3),
    Run("WNUT-17", "wnut-17", "ner/wnut17/train.conll.xz", "ner/wnut17/test.conll.xz", 5e-4, 4),
    Run("TyDiQA, English", "squad", "squad/tydiqa-goldp.en.train.json.xz", None, 3e-4, 1, 16),
    Run("SQuAD 2.0, half dev", "squad-v2", "{work}/squad-train.json", "{work}/squad-eval.json", 3e-4, 1, 16),
    Run("RACE, middle", "race-middle", "{work}/race-train.jsonl", "{work}/race-dev.jsonl", 1e-4, 2, 16),
)  # fmt: skip


def prepare(data: Path, work: Path) -> None:
    """The sets that have no split of their own: SQuAD's by article, slices of RACE."""
    work.mkdir(parents=True, exist_ok=True)
    with lzma.open(data / "squad" / "cs224n-dev-v2.0.json.xz", "rt", encoding="utf-8") as file:
        content = json.load(file)
    for name, is_eval in (("train", False), ("eval", True)):
        every = len(content["data"]) // EVAL_ARTICLES
        articles = [article for number, article in enumerate(content["data"]) if (number % every == 0) == is_eval]
        (work / f"squad-{name}.json").write_text(json.dumps({"version": content["version"], "data": articles}))
    for split, passages in RACE_PASSAGES.items():
        with lzma.open(data / "race" / f"{split}-middle.jsonl.xz", "rt", encoding="utf-8") as file:
            (work / f"race-{split}.jsonl").write_text("".join(islice(file, passages)))


def make_words(run: Run, arguments: argparse.Namespace, data: str, work: str) -> list[str]:
    """The words of a run's command after ``albertkit``."""
    paths = {"--data.train": run.train} | ({} if run.eval is None else {"--data.eval": run.eval})
    named = {flag: path.format(work=work) if "{work}" in path else f"{data}/{path}" for flag, path in paths.items()}
    return [
        "finetune", "--task", run.task, *(word for pair in named.items() for word in pair), "--output", f"{work}/{run.name}",
        "--optimizer.learning_rate", f"{run.rate:g}", "--schedule.epochs", f"{run.epochs:g}",
        "--training.examples_per_batch", str(run.batch), "--training.seeds", arguments.seeds,
        "--training.dtype", arguments.dtype,
    ]  # fmt: skip


def finish(run: Run, arguments: argparse.Namespace) -> dict[str, Any]:
    """Make a run where it is not made, and read its results."""
    results = arguments.work / run.name / "results.json"
    if not results.is_file():
        print(f"{run.title} …", file=sys.stderr)
        words = make_words(run, arguments, str(arguments.data), str(arguments.work))
        subprocess.run([sys.executable, "-m", "albertkit", *words, "--resume"], check=True)
    found: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    return found


def describe_run(title: str, results: dict[str, Any]) -> str:
    """A row of the table."""
    runs = list(results["seeds"].values())
    scores = {name: [run["scores"]["values"][name] for run in runs] for name in runs[0]["scores"]["values"]}
    primary, baseline, examples = scores.pop(results["primary"]), results["baseline"], runs[0]["examples"]
    cells = (
        title, results["primary"], f"**{statistics.median(primary):.4g}** ({min(primary):.4g}–{max(primary):.4g})",
        "—" if baseline is None else f"{baseline:.4g}", f"{examples['train']:,} / {examples['eval']:,}",
        ", ".join(f"{name} {statistics.median(values):.3g}" for name, values in scores.items()),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=[run.name for run in RUNS], help="only these")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real data sets")
    parser.add_argument("--work", type=Path, default=Path("runs") / "tasks", help="where the runs are kept")
    parser.add_argument("--seeds", default=SEEDS)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--results", type=Path, help="also write the table into this folder")
    arguments = parser.parse_args(argv)
    prepare(arguments.data, arguments.work)
    chosen = [run for run in RUNS if not arguments.tasks or run.name in arguments.tasks]
    rows = [describe_run(run.title, finish(run, arguments)) for run in chosen]
    lines = [
        "# Fine-tuning on real data from the embedded model", "",
        describe("numpy", "torch") + f" · {arguments.dtype}, seeds {arguments.seeds}, {len(os.sched_getaffinity(0))} cores", "",
        "| task | score | median (least–most) | commonest answer | examples: train / scored | other scores, medians |",
        "| --- | --- | --- | --- | --- | --- |", *rows, "",
        "The commands, with `DATA` and `RUNS` for the folders:", "", "```text",
        *("albertkit " + " ".join(map(quote, make_words(run, arguments, "DATA", "RUNS"))) for run in chosen), "```",
    ]  # fmt: skip
    publish(lines, arguments.results and arguments.results / f"{name_result('tasks')}.md")


def quote(word: str) -> str:
    """A word as a shell takes it."""
    return f'"{word}"' if " " in word else word


if __name__ == "__main__":
    main()
