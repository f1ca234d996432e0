"""A pre-training step beside that of transformers: ``python -m benchmarks.pretraining PREPARED``.

Both train the same weights on the same examples of a folder: ours masked and packed by PretrainingData, theirs masked and
padded by DataCollatorForLanguageModeling, each with PyTorch's fused AdamW; making the batches counts. Each method is a process of
its own, which makes one step when asked; the methods take turns. Medians with minimum and maximum; peak memory of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe, publish, spread

SIZES = {
    "mini": {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 8, "intermediate_size": 1024},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
}
METHODS = ("albertkit", "transformers")
RATE = 1e-4


@dataclass
class Job:
    """What a worker is asked for on its command line."""

    method: str
    model: str
    prepared: str
    dtype: str
    tokens: int
    threads: int


def take_steps(job: Job) -> Iterator[int]:
    """Make one update each time; gives the number of real tokens."""
    import torch

    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    model, batches = (ours if job.method == "albertkit" else theirs)(job)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)
    for number, inputs in batches:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=job.dtype == "bfloat16"):
            loss = model(**inputs).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield number


def read_data(job: Job):  # noqa: ANN201
    from albertkit.data.batches import PretrainingData
    from albertkit.data.options import ExampleOptions

    return PretrainingData(job.prepared, options=ExampleOptions.paper(max_seq_length=128), verify=False)


def ours(job: Job):  # noqa: ANN201
    import torch

    from albertkit import AlbertForPreTraining
    from albertkit.training.batches import to_tensors

    def batches():  # noqa: ANN202
        for batch in read_data(job).batches(tokens_per_batch=job.tokens):
            yield len(batch.input_ids), to_tensors(batch, torch.device("cpu"))

    return AlbertForPreTraining.from_pretrained(job.model), batches()


def theirs(job: Job):  # noqa: ANN201
    import numpy as np
    from transformers import AlbertForPreTraining, AutoTokenizer, DataCollatorForLanguageModeling

    collate = DataCollatorForLanguageModeling(AutoTokenizer.from_pretrained(job.model), mlm_probability=0.15)

    def batches():  # noqa: ANN202
        for batch in read_data(job).batches(tokens_per_batch=job.tokens):
            plain = np.where(batch.labels >= 0, batch.labels, batch.input_ids)  # before our masks
            places = batch.cu_seqlens[1:-1]
            columns = (np.split(plain, places), np.split(batch.token_type_ids, places), batch.sentence_order_label)
            rows = [
                {"input_ids": ids.tolist(), "token_type_ids": types.tolist(), "sentence_order_label": int(order)}
                for ids, types, order in zip(*columns, strict=True)
            ]
            yield len(plain), dict(collate(rows))

    return AlbertForPreTraining.from_pretrained(job.model), batches()


def work(job: Job) -> None:
    """Answer each line of standard input with the seconds and tokens of a step."""
    warnings.simplefilter("ignore")
    steps = take_steps(job)
    for _ in sys.stdin:
        start = time.perf_counter()
        tokens = next(steps)
        seconds = time.perf_counter() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "tokens": tokens, "memory": memory}), flush=True)


def ask(worker: subprocess.Popen[str]) -> dict[str, float]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("step\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise SystemExit("a worker has ended; run it alone with --worker to see why")
    return json.loads(line)


def make_model(directory: Path, size: str, prepared: str) -> None:
    """Initial weights of a size for the vocabulary of the prepared folder, with its tokenizer."""
    import shutil

    import torch

    from albertkit import AlbertConfig, AlbertForPreTraining
    from albertkit.data.shards import TOKENIZER_FOLDER, read_manifest

    torch.manual_seed(0)
    config = AlbertConfig(vocab_size=read_manifest(prepared).vocab_size, hidden_act="gelu_new", **SIZES[size])
    AlbertForPreTraining(config).save_pretrained(directory)
    shutil.copytree(Path(prepared) / TOKENIZER_FOLDER, directory, dirs_exist_ok=True)


def measure(size: str, dtype: str, arguments: argparse.Namespace) -> list[str]:
    with tempfile.TemporaryDirectory() as directory:
        make_model(Path(directory), size, arguments.prepared)
        workers = {}
        for method in METHODS:
            job = [method, directory, arguments.prepared, dtype, str(arguments.tokens), str(arguments.threads)]
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.pretraining", arguments.prepared, "--worker", *job]
            workers[method] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        rows: dict[str, list[dict[str, float]]] = {method: [] for method in METHODS}
        for number in range(arguments.warmups + arguments.rounds):
            for method, worker in workers.items():
                row = ask(worker)
                if number >= arguments.warmups:
                    rows[method].append(row)
        for worker in workers.values():
            worker.communicate()
    ratios = [b["seconds"] / a["seconds"] for a, b in zip(rows["albertkit"], rows["transformers"], strict=True)]
    lines = []
    for method in METHODS:
        seconds = [row["seconds"] for row in rows[method]]
        rate = statistics.median(row["tokens"] / row["seconds"] for row in rows[method])
        ratio = spread(ratios) if method == "albertkit" else "1"
        memory = rows[method][-1]["memory"]
        lines.append(f"| {size} | {dtype} | {method} | {spread(seconds, 3)} | {rate:,.0f} | {memory:,.0f} | {ratio} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prepared", help="folder that albertkit prepare wrote")
    parser.add_argument("--worker", nargs=6, help=argparse.SUPPRESS)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--dtypes", nargs="+", choices=("float32", "bfloat16"), default=["float32", "bfloat16"])
    parser.add_argument("--tokens", type=int, default=2048, help="of a batch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--warmups", type=int, default=3)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if arguments.worker:
        *texts, tokens, threads = arguments.worker
        work(Job(*texts, int(tokens), int(threads)))
        return
    lines = [
        "# A step of pre-training",
        "",
        describe("numpy", "torch", "transformers")
        + f" · {arguments.threads} threads, {arguments.tokens:,} tokens a step, length 128, {arguments.rounds} rounds in turn",
        "",
        "| size | numbers | method | s a step, median (min–max) | tokens/s | peak memory MiB | times faster |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for size in arguments.sizes:
        for dtype in arguments.dtypes:
            lines += measure(size, dtype, arguments)
    publish(lines, arguments.output)


if __name__ == "__main__":
    main()
