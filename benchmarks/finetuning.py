"""Fine-tuning beside transformers' Trainer with its own collator: ``python -m benchmarks.finetuning``.

Both train the same weights at the same precision, without dropout between the layers, in batches of as many examples: sentences
and phrases of SST-2's training set, 32 a batch, for a classifier; questions with their paragraphs, cut at 384 tokens, 8 a batch,
for the ends of an answer. The labels are random, since speed does not depend on them. Ours packs each batch; the Trainer's
collator, DataCollatorWithPadding, pads it. A sample is a pass over all examples in a new random order.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from albertkit import AlbertConfig
from benchmarks import training
from benchmarks.bars import Bar
from benchmarks.inference import DATA
from benchmarks.methods import Texts
from benchmarks.models import SIZES, make_model
from benchmarks.texts import make_workloads
from benchmarks.workers import Worker, serve_loop

BARS = (Bar(1.9, 2.4), Bar(0.55, at_most=True))  # times the speed, share of the memory
PADDING_TOKENIZER = Path(__file__).parents[1] / "src" / "albertkit" / "pretrained" / "albert-mini-en"  # all pad with 0


@dataclass(frozen=True)
class Task:
    """A task, the class of its model and the examples of a batch."""

    architecture: str
    batch_size: int
    title: str


TASKS = {
    "sst2-train": Task("AlbertForSequenceClassification", 32, "SST-2"),
    "squad": Task("AlbertForQuestionAnswering", 8, "SQuAD-like"),
}


@dataclass
class Job:
    """What a worker is asked for."""

    method: str
    task: str
    folder: str
    dtype: str
    threads: int


def label(task: str, texts: Texts) -> list[dict[str, Any]]:
    """Examples with random labels: a class, or an answer's first and last place."""
    generator = np.random.default_rng(0)
    examples: list[dict[str, Any]] = []
    for ids, types in texts:
        first, last = sorted(generator.integers(0, len(ids), 2).tolist())
        ends = {"start_positions": first, "end_positions": last}
        labels = ends if task == "squad" else {"labels": int(generator.integers(2))}
        examples.append({"input_ids": list(ids), "token_type_ids": list(types)} | labels)
    return examples


# ------------------------------------------------------------------ the side of a worker


def train(job: Job, pause: Callable[[int], None]) -> None:
    """Make passes over the examples for as long as they are asked for."""
    import torch

    torch.set_num_threads(job.threads)
    examples = json.loads((Path(job.folder) / "examples.json").read_text())
    (train_ours if job.method == "albertkit" else train_theirs)(job, examples, pause)


def train_ours(job: Job, examples: list[dict[str, Any]], pause: Callable[[int], None]) -> None:
    """Packed batches in a plain loop."""
    import torch

    import albertkit
    from albertkit.training.fused import fuse

    model = getattr(albertkit, TASKS[job.task].architecture).from_pretrained(job.folder)
    fuse(model, getattr(torch, job.dtype))
    training.take_steps(model, pack_batches(examples, TASKS[job.task].batch_size), job.dtype, pause)


def pack_batches(examples: list[dict[str, Any]], batch_size: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Batches of a pass in random order, again and again; the last of a pass says how many examples it had."""
    import torch

    generator = np.random.default_rng(0)
    while True:
        order = generator.permutation(len(examples))
        for begin in range(0, len(order), batch_size):
            rows = [examples[number] for number in order[begin : begin + batch_size]]
            boundaries = np.cumsum([0, *(len(row["input_ids"]) for row in rows)])
            columns = {name: np.hstack([row[name] for row in rows]) for name in rows[0]}
            inputs = {name: torch.from_numpy(column) for name, column in columns.items()}
            is_last = begin + batch_size >= len(order)
            yield len(order) if is_last else 0, inputs | {"cu_seqlens": torch.from_numpy(boundaries)}


def train_theirs(job: Job, examples: list[dict[str, Any]], pause: Callable[[int], None]) -> None:
    """The Trainer, its optimiser, sampler and collator as they come."""
    import transformers

    class Turns(transformers.TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            pause(0)

        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            pause(len(examples))

    tokenizer = transformers.AutoTokenizer.from_pretrained(PADDING_TOKENIZER)
    trainer = transformers.Trainer(
        model=getattr(transformers, TASKS[job.task].architecture).from_pretrained(job.folder),
        args=transformers.TrainingArguments(
            output_dir=str(Path(job.folder) / "trainer"), per_device_train_batch_size=TASKS[job.task].batch_size,
            learning_rate=training.RATE, num_train_epochs=1e6, bf16=job.dtype == "bfloat16", use_cpu=True,
            save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True,
        ),
        train_dataset=examples,
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
        callbacks=[Turns()],
    )  # fmt: skip
    trainer.train()


# ------------------------------------------------------------------ the asking side


def compare(task: str, dtype: str, arguments: argparse.Namespace) -> training.Pair:
    """Both methods on one task."""
    with tempfile.TemporaryDirectory() as name:
        folder = make_model(Path(name), TASKS[task].architecture, arguments.size)
        config = AlbertConfig.from_pretrained(folder)
        data = arguments.data if arguments.data.is_dir() else None
        texts = make_workloads([task], config, data, None)[task]
        (folder / "examples.json").write_text(json.dumps(label(task, texts)))
        workers = []
        for method in training.METHODS:
            given = ["--worker", json.dumps(asdict(Job(method, task, name, dtype, arguments.threads)))]
            workers.append(Worker("benchmarks.finetuning", given, arguments.threads, folder / f"{method}.log"))
        return training.compare("finetuning", TASKS[task].title, dtype, workers, arguments.rounds, arguments.warmups)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--size", choices=SIZES, default="base", help="of the model")
    parser.add_argument("--dtypes", nargs="+", choices=training.DTYPES, default=list(training.DTYPES))
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real texts; random ids of their lengths if absent")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warmups", type=int, default=1)
    parser.add_argument("--results", type=Path, help="also write tables, samples and chart into this folder")
    arguments = parser.parse_args(argv)
    if arguments.worker:
        job = Job(**json.loads(arguments.worker))
        serve_loop(lambda pause: train(job, pause))
        return
    pairs = [compare(task, dtype, arguments) for task in arguments.tasks for dtype in arguments.dtypes]
    bars = {TASKS[task].title: BARS for task in arguments.tasks}
    texts = "real texts" if arguments.data.is_dir() else "random ids"
    setting = f"{arguments.size}, {arguments.threads} threads, {arguments.rounds} rounds in turn, {texts}"
    head = ["Fine-tuning", f"{setting}; s of a pass over the examples"]
    training.keep("finetuning", head, pairs, "examples", bars, arguments.results)


if __name__ == "__main__":
    main()
