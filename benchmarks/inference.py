"""Running an encoder, ours and each installed peer in turn: ``python -m benchmarks.inference``.

All run the same weights and texts with the same threads. Each method is a process of its own and stays loaded; the methods take
turns, round after round, and a sample that other processes disturbed is taken again. Peers get padded batches of 32 texts, in the
given order as usual and sorted by length; ours gets the texts as they come and sorts them itself. Before anything is timed each
method runs each text once, and its answers are compared with ours in float32.

The rates of matrix products at the layer's shapes are measured in the same rounds. A row's share of the limit is the time that
the linear layers of the real tokens would take with the fastest kernel, divided by the time taken (attention, normalisation and
embeddings are not in the limit). Numbers are medians with minimum and maximum. Random weights are timed unless a model is named:
what int8 costs a trained model is not to be read here.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from albertkit import AlbertConfig
from albertkit.tokenization import AlbertTokenizer
from benchmarks.exports import Job
from benchmarks.gemm import Rates, layer_shapes, make_products, sample_rates
from benchmarks.inference_tables import Row, Table, keep, make_tables
from benchmarks.machine import describe, publish
from benchmarks.methods import METHODS, Method, Texts
from benchmarks.models import make_model
from benchmarks.texts import WORKLOADS, make_workloads
from benchmarks.workers import NOISE, Memory, Worker, measure, serve

PACKAGES = ("numpy", "torch", "transformers", "onnxruntime", "onnxscript", "openvino", "nncf")
REFERENCES = ("albertkit torch float32", "albertkit numpy float32")
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.05, "int8": 0.5}  # float32: of the largest value; else root mean square, relative
LEGEND = """\
Medians (least–most). *Times transformers*: than its SDPA encoder in float32, padded batches in the given order. *Share of limit*:
of the speed of the linear layers alone at the rates below. *Difference* from our float32: the largest, as a share of the largest
value, for float32; else the root mean square, relative."""
EXPORT = "export "  # before a method's key: the process that only makes its file
MACHINE = "machine"  # the worker that multiplies matrices
SECONDS, RATE_SECONDS = 0.3, 0.05  # least time of a sample
DATA = Path(__file__).parents[2] / "shared" / "data"


# ------------------------------------------------------------------ the side of a worker


def work(key: str, job: Job) -> None:
    """Answer requests: run a workload and say how long it took, or measure the rates."""

    def build_method() -> Any:
        method = find_method(key.removeprefix(EXPORT))
        if key.startswith(EXPORT) and method.export:
            return method.export(job)  # nothing is asked of it
        for package in method.packages:
            importlib.import_module(package)
        memory = Memory()
        run = method.load(job)

        def respond(request: dict[str, Any]) -> dict[str, Any]:
            if "workload" not in request:
                return {"base": memory.base, "above": memory.above}
            texts: Texts = json.loads((job.work / f"{request['workload']}.json").read_text())
            by_length = request["texts"] == "sorted"
            if "save" in request:
                np.save(request["save"], np.concatenate(run(texts, by_length)))
                return {}
            return measure(lambda: run(texts, by_length), request["seconds"])

        return respond

    def build_rates() -> Any:
        import torch

        torch.set_num_threads(job.threads)
        config = AlbertConfig.from_pretrained(job.model)
        products = make_products(layer_shapes(config.hidden_size, config.intermediate_size))
        return lambda request: sample_rates(products, request["seconds"])

    serve(build_rates if key == MACHINE else build_method)


def find_method(key: str) -> Method:
    """By its name and numbers."""
    return next(method for method in METHODS if method.key == key)


# ------------------------------------------------------------------ the asking side


def start_workers(keys: list[str], job: Job) -> tuple[dict[str, Worker], dict[str, str]]:
    """One process for each method, and why some cannot run."""
    workers, absent = {}, {}
    for key in keys:
        start = time.perf_counter()
        reason = None
        if key != MACHINE and find_method(key).export:
            exporter = start_worker(EXPORT + key, job)
            reason = exporter.absent()
            if reason is None:
                exporter.close()
        if reason is None:
            worker = start_worker(key, job)
            reason = worker.absent()
        if reason is None:
            workers[key] = worker
        else:
            absent[key] = reason
        print(f"{key}: {reason or f'ready after {time.perf_counter() - start:.0f} s'}", file=sys.stderr)
    return workers, absent


def start_worker(key: str, job: Job) -> Worker:
    """The process of a method, of its export, or of the rates."""
    given = [key, str(job.model), str(job.work), str(job.threads), str(job.batch_size)]
    return Worker("benchmarks.inference", ["--worker", *given], job.threads, job.work / f"{key.replace(' ', '_')}.log")


def differences(found: np.ndarray, reference: np.ndarray, dtype: str) -> tuple[float, bool]:
    """How far answers are from the reference, and whether too far."""
    if dtype == "float32":
        difference = float(np.abs(found - reference).max() / max(1.0, float(np.abs(reference).max())))
    else:
        difference = float(np.sqrt(np.mean((found - reference) ** 2) / np.mean(reference**2)))
    return difference, not difference <= TOLERANCES[dtype]


def arrange(method: Method, texts: Texts) -> tuple[str, ...]:
    """The ways in which a method is given texts; none if they are too many for it."""
    if len(texts) > 1 and method.only_single:
        return ()
    if method.ours:
        return ("packed",)
    return ("padded", "sorted") if len({len(ids) for ids, _ in texts}) > 1 else ("padded",)


def check(workers: dict[str, Worker], workloads: dict[str, Texts], job: Job, absent: dict[str, str]) -> list[Row]:
    """Run every text once: a row for each method, workload and arrangement; methods that break or err leave the workers."""
    rows = []
    path = job.work / "answers.npy"
    first = next((key for key in REFERENCES if key in workers), next(key for key in workers if key != MACHINE))
    methods = sorted((method for method in METHODS if method.key in workers), key=lambda method: method.key != first)
    for name, texts in workloads.items():
        reference: np.ndarray | None = None
        for method in methods:
            arrangements = arrange(method, texts)
            if method.key in absent or not arrangements:
                continue
            broken = workers[method.key].ask(workload=name, texts=arrangements[-1], save=str(path)).get("absent")
            if broken:
                absent[method.key] = broken
                continue
            found = np.load(path)
            reference = found if reference is None else reference
            difference, is_wrong = differences(found, reference, method.dtype)
            if is_wrong:
                absent[method.key] = f"its answers on {name} are {difference:.2g} from ours"
            tokens = sum(len(ids) for ids, _ in texts)
            rows += [Row(name, method.name, method.dtype, arrangement, tokens, difference) for arrangement in arrangements]
    for key in absent.keys() & workers.keys():
        workers.pop(key).close()
    return [row for row in rows if row.key[0] in workers]


def run_rounds(table: Table, workers: dict[str, Worker], arguments: argparse.Namespace) -> None:
    """The samples, in turn."""
    for number in range(arguments.rounds):
        if MACHINE in workers:
            answer = workers[MACHINE].ask_quietly(seconds=min(RATE_SECONDS, arguments.seconds))
            table.rates.add(answer["rates"])
            table.noisy_rates += answer["noise"] > NOISE
        for row in table.rows:
            answer = workers[row.key[0]].ask_quietly(workload=row.workload, texts=row.texts, seconds=arguments.seconds)
            row.seconds.append(answer["seconds"])
            row.noisy += answer["noise"] > NOISE
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    memory = {key: worker.ask() for key, worker in workers.items() if key != MACHINE}  # after all workloads
    table.memory = {key: (answer["base"], answer["above"]) for key, answer in memory.items()}


def benchmark(arguments: argparse.Namespace, folder: Path) -> None:
    """Everything, with what is exported in ``folder``."""
    model = arguments.model or make_model(folder / "model", "AlbertForPreTraining", "base")
    config = AlbertConfig.from_pretrained(model)
    tokenizer = AlbertTokenizer.from_pretrained(model) if arguments.model else None
    data = arguments.data if arguments.data.is_dir() else None
    workloads = make_workloads(arguments.workloads, config, data, tokenizer)
    for name, texts in workloads.items():
        (folder / f"{name}.json").write_text(json.dumps(texts))
    job = Job(Path(model), folder, arguments.threads, arguments.batch_size)
    chosen = [method.key for method in METHODS if choose(method.key, method.slow, arguments)]
    workers, absent = start_workers([MACHINE, *chosen], job)
    if not workers.keys() - {MACHINE}:
        raise SystemExit("none of the methods can run")
    rates = Rates(layer_shapes(config.hidden_size, config.intermediate_size))
    rows = check(workers, workloads, job, absent)
    table = Table(rows, rates, config.num_hidden_layers * config.inner_group_num, absent)
    run_rounds(table, workers, arguments)
    for worker in workers.values():
        worker.close()
    title = f"{arguments.threads} threads, {arguments.rounds} rounds in turn, {'real texts' if data else 'random ids'}"
    weights = arguments.model or "random weights, albert-base"
    lines = ["# Running the encoder", "", f"{describe(*PACKAGES)} · {weights} · {title}", "", LEGEND, "", *make_tables(table)]
    if arguments.results:
        keep(table, lines, arguments.results)
    else:
        publish(lines, None)


def choose(key: str, slow: bool, arguments: argparse.Namespace) -> bool:
    """Whether a method is asked for."""
    if arguments.methods:
        return any(part in key for part in arguments.methods)
    return arguments.slow or not slow


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--model", help="a checkpoint with its tokenizer; albert-base with random weights without one")
    parser.add_argument("--methods", nargs="+", metavar="PART", help="only those whose name and numbers contain one of these")
    parser.add_argument(
        "--slow", action="store_true", help="also what takes minutes to prepare, or is never the best: compiled transformers"
    )
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=["sst2", "squad", "one-16", "one-128"])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real texts; random ids of their lengths if absent")
    parser.add_argument("--batch-size", type=int, default=32, help="of the padded batches")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="least time of a sample")
    parser.add_argument("--work", type=Path, help="keep what is exported here, for the next run with the same model")
    parser.add_argument("--results", type=Path, help="also write tables, samples and chart into this folder")
    arguments = parser.parse_args(argv)
    if arguments.worker:
        key, model, work_folder, threads, batch_size = arguments.worker
        work(key, Job(Path(model), Path(work_folder), int(threads), int(batch_size)))
        return
    if arguments.work:
        arguments.work.mkdir(parents=True, exist_ok=True)
        benchmark(arguments, arguments.work)
        return
    with tempfile.TemporaryDirectory() as folder:
        benchmark(arguments, Path(folder))


if __name__ == "__main__":
    main()
