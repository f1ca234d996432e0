"""Fine-tuning to its scores beside transformers' Trainer: ``python -m benchmarks.trainer``.

Both start from the same weights, head included, and train on the same examples with the same hyperparameters, schedule and number
of steps; a seed draws the head, the order and dropout. Ours packs a batch; the Trainer's collator, DataCollatorWithPadding, pads
it. Runs take turns, each in a process of its own; their time is that of all updates, batches included, and their memory what the
peak lies above the loaded model and its examples. The models are then scored alike, by the task's official rules.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.bars import Bar, bar_table
from benchmarks.finetuning import PADDING_TOKENIZER
from benchmarks.inference import DATA
from benchmarks.machine import describe, name_result, publish, spread
from benchmarks.training import DTYPES, METHODS
from benchmarks.workers import NOISE, Memory, Watch, Worker, serve

BAR = Bar(0.55, at_most=True)


@dataclass(frozen=True)
class Case:
    """A task, its files and its hyperparameters."""

    title: str
    train: str
    eval: str | None  # none: a tenth is held out
    rate: float
    batch: int
    steps: int


CASES = {
    "sst-2": Case("SST-2", "glue/SST-2/train.tsv.xz", "glue/SST-2/dev.tsv.xz", 2e-4, 32, 250),
    "squad": Case("TyDiQA, English", "squad/tydiqa-goldp.en.train.json.xz", None, 3e-4, 16, 60),
}


@dataclass
class Job:
    """What a worker is asked for."""

    method: str
    task: str
    seed: int
    folder: str
    model: str
    data: str
    dtype: str
    threads: int


# ------------------------------------------------------------------ the side of a worker


def build(job: Job) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Load everything; the one request trains and scores."""
    import torch

    from albertkit.evaluation import evaluate_task
    from albertkit.inference import load_engine
    from albertkit.training.finetuning.examples import read_examples

    torch.set_num_threads(job.threads)
    warnings.simplefilter("ignore")
    recipe, start = prepare(job)
    examples = read_examples(recipe, world_size=1, is_main=False)
    train = (load_ours if job.method == "albertkit" else load_theirs)(job, recipe, examples, start)

    def respond(_: dict[str, Any]) -> dict[str, Any]:
        memory, watch = Memory(), Watch()
        trained = train()
        found = {"seconds": watch.seconds, "noise": watch.noise, "base": memory.base, "above": memory.above}
        engine = load_engine(trained, examples.task.head, engine="torch")
        scores, _predictions = evaluate_task(engine, examples.task, examples.eval_examples, examples.eval)
        return found | {"scores": scores.values, "primary": scores.primary}

    return respond


def prepare(job: Job) -> tuple[Any, Path]:
    """The recipe, and the folder of the model that both start from, made from the seed."""
    from albertkit import AlbertTokenizer
    from albertkit.training.finetuning.examples import read_examples
    from albertkit.training.finetuning.recipe import read_recipe
    from albertkit.training.finetuning.start import make_model

    case, start = CASES[job.task], Path(job.folder) / f"start-{job.seed}"
    scored = "null" if case.eval is None else f"{job.data}/{case.eval}"
    words = [
        f"task={job.task}", f"model={job.model}", f"output={job.folder}/run-{job.method}-{job.seed}",
        f"data.train={job.data}/{case.train}", f"data.eval={scored}", f"optimizer.learning_rate={case.rate}",
        f"schedule.total_steps={case.steps}", f"training.examples_per_batch={case.batch}", f"training.dtype={job.dtype}",
        f"training.seeds=[{job.seed}]", "data.workers=1",
    ]  # fmt: skip
    if not start.exists():
        recipe = read_recipe(None, words)
        task = read_examples(recipe, world_size=1, is_main=False).task
        model, _origin = make_model(recipe, task, job.seed)
        model.save_pretrained(start)
        AlbertTokenizer.from_pretrained(job.model).save_pretrained(start)
    return read_recipe(None, [*words, f"model={start}"]), start


def load_ours(job: Job, recipe: Any, examples: Any, start: Path) -> Callable[[], Any]:
    """The updates of ``albertkit finetune``, without the tests and checkpoints between them."""
    from albertkit.training.distributed import Processes
    from albertkit.training.finetuning.run import FinetuneRun

    run = FinetuneRun.load(recipe, examples, job.seed, Path(recipe.output), Processes(), resume=False)

    def train() -> Any:
        with run.batches() as batches:
            while run.goes_on():
                run.take_step(next(batches))
        return run.model

    return train


def load_theirs(job: Job, recipe: Any, examples: Any, start: Path) -> Callable[[], Any]:
    """The Trainer with its sampler and collator, our optimiser's settings and schedule."""
    import torch
    import transformers

    from albertkit.optim import learning_rate_at

    case, folder = CASES[job.task], Path(recipe.output)
    model = getattr(transformers, examples.task.architecture).from_pretrained(start)
    total, warmup = recipe.schedule.count_steps(examples.train.num_units, case.batch)
    plain = [weight for name, weight in model.named_parameters() if name.endswith("bias") or "norm" in name.lower()]
    kept = {id(weight) for weight in plain}
    decayed = [weight for weight in model.parameters() if id(weight) not in kept]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.optimizer.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=1.0, betas=recipe.optimizer.betas, eps=recipe.optimizer.epsilon, fused=True,
    )  # fmt: skip
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_at(step, peak=case.rate, warmup_steps=warmup, total_steps=total)
    )
    trainer = transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(
            output_dir=str(folder), per_device_train_batch_size=case.batch, max_steps=total, seed=job.seed,
            max_grad_norm=recipe.optimizer.clip_norm, bf16=job.dtype == "bfloat16", use_cpu=True, save_strategy="no",
            logging_strategy="no", report_to="none", disable_tqdm=True,
        ),
        train_dataset=list_rows(examples.train),
        data_collator=transformers.DataCollatorWithPadding(transformers.AutoTokenizer.from_pretrained(PADDING_TOKENIZER)),
        optimizers=(optimizer, schedule),
    )  # fmt: skip

    def train() -> Any:
        trainer.train()
        trainer.save_model(str(folder / "theirs"))
        return folder / "theirs"

    return train


def list_rows(features: Any) -> list[dict[str, Any]]:
    """A dictionary for each row, as a data set of transformers has it."""
    ends = features.boundaries.tolist()
    targets = {name: values.tolist() for name, values in features.targets.items() if name != "is_impossible"}
    return [
        {
            "input_ids": features.input_ids[first:last].tolist(),
            "token_type_ids": features.token_type_ids[first:last].tolist(),
            **{name: values[row] for name, values in targets.items()},
        }
        for row, (first, last) in enumerate(pairwise(ends))
    ]


# ------------------------------------------------------------------ the asking side


def compare(task: str, dtype: str, arguments: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """The answers of both methods, seed by seed."""
    answers: dict[str, list[dict[str, Any]]] = {method: [] for method in METHODS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            for method in METHODS:
                job = Job(method, task, seed, folder, arguments.model, str(arguments.data), dtype, arguments.threads)
                worker = Worker(
                    "benchmarks.trainer", ["--worker", json.dumps(asdict(job))], arguments.threads, Path(folder) / "log"
                )
                reason = worker.absent()
                answer = {"absent": reason} if reason else worker.ask()
                if "absent" in answer:
                    raise SystemExit(f"{method} cannot run: {answer['absent']}")
                worker.close()
                answers[method].append(answer)
                print(f"{task} {dtype} seed {seed} {method}: {answer}", file=sys.stderr)
    return answers


def make_tables(found: dict[tuple[str, str], dict[str, list[dict[str, Any]]]]) -> list[str]:
    """A row for each case, type and method; then the bars."""
    lines = [
        "| case | numbers | method | score | median (least–most) | seconds | share | peak above MiB | share |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    judged = []
    for (task, dtype), answers in found.items():
        ours, theirs = (answers[method] for method in METHODS)
        times = [mine["seconds"] / other["seconds"] for mine, other in zip(ours, theirs, strict=True)]
        memory = [mine["above"] / max(other["above"], 1e-9) for mine, other in zip(ours, theirs, strict=True)]
        for method, runs in answers.items():
            primary = runs[0]["primary"]
            scores = spread([run["scores"][primary] for run in runs], 3)
            noisy = sum(run["noise"] > NOISE for run in runs)
            shares = (spread(times), spread(memory)) if method == METHODS[0] else ("1", "1")
            lines.append(
                f"| {CASES[task].title} | {dtype} | {method} | {primary} | {scores} |"
                f" {spread([run['seconds'] for run in runs], 1)}{f' ({noisy} noisy)' if noisy else ''} | {shares[0]} |"
                f" {statistics.median(run['above'] for run in runs):,.0f} | {shares[1]} |"
            )
        name = f"{CASES[task].title}, {dtype}"
        judged += [(name, "Trainer: share of its time", BAR, times), (name, "Trainer: share of its memory", BAR, memory)]
    return [*lines, "", *bar_table(judged)]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--tasks", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["float32"])
    parser.add_argument("--model", default="albert-mini-en", help="checkpoint to start from")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real data sets")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--results", type=Path, help="also write the table into this folder")
    arguments = parser.parse_args(argv)
    if arguments.worker:
        job = Job(**json.loads(arguments.worker))
        serve(lambda: build(job))
        return
    found = {(task, dtype): compare(task, dtype, arguments) for task in arguments.tasks for dtype in arguments.dtypes}
    cases = ", ".join(f"{CASES[task].title}: {CASES[task].steps} steps of {CASES[task].batch}" for task in arguments.tasks)
    lines = [
        "# Fine-tuning to its scores, beside transformers' Trainer", "",
        describe("numpy", "torch", "transformers")
        + f" · {arguments.model}, {arguments.threads} threads, {arguments.seeds} seeds, runs in turn; {cases}",
        "", *make_tables(found),
    ]  # fmt: skip
    publish(lines, arguments.results and arguments.results / f"{name_result('trainer')}.md")


if __name__ == "__main__":
    main()
