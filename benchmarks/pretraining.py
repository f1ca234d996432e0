"""A pre-training step beside that of transformers: ``python -m benchmarks.pretraining [PREPARED]``.

Both train the same weights at the same precision, without dropout, in masked LM and sentence order. Uniform batches are random
ids, all sequences of one length, 15 % of the tokens masked. With a folder that ``albertkit prepare`` wrote, its examples follow:
ours masked and packed by PretrainingData, theirs masked and padded by DataCollatorForLanguageModeling. Tokens are real ones.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import training
from benchmarks.bars import Bar
from benchmarks.models import SIZES, make_model
from benchmarks.workers import Worker, serve_loop

BARS = (Bar(1.15, 1.3), Bar(0.55, 0.4, at_most=True))  # times the speed, share of the memory
MASKED = 0.15
LENGTH = 128  # of the longest prepared example
Batches = Iterator[tuple[int, dict[str, Any]]]


@dataclass
class Job:
    """What a worker is asked for.

    Attributes:
        shape: Sequences and length of a uniform batch.
        prepared: Where examples are read, in place of uniform ones.
        tokens: Of a batch of those.
    """

    method: str
    model: str
    dtype: str
    threads: int
    shape: tuple[int, int] | None = None
    prepared: str = ""
    tokens: int = 0


# ------------------------------------------------------------------ the side of a worker


def train(job: Job, pause: Callable[[int], None]) -> None:
    """Make updates for as long as they are asked for."""
    import torch

    torch.set_num_threads(job.threads)
    if job.method == "albertkit":
        from albertkit import AlbertForPreTraining
        from albertkit.training.fused import fuse

        model = AlbertForPreTraining.from_pretrained(job.model)
        fuse(model, getattr(torch, job.dtype))
    else:
        from transformers import AlbertForPreTraining as Peer

        model = Peer.from_pretrained(job.model)
    training.take_steps(model, uniform(job, model.config) if job.shape else ragged(job), job.dtype, pause)


def uniform(job: Job, config: Any) -> Batches:
    """Random ids ``[B, L]``, flat for ours."""
    import torch

    assert job.shape is not None
    sequences, length = job.shape
    generator = np.random.default_rng(0)
    while True:
        ids = generator.integers(0, config.vocab_size, job.shape)
        labels = np.full(ids.size, -100)
        masked = generator.permutation(ids.size)[: round(MASKED * ids.size)]
        labels[masked] = ids.flat[masked]
        columns = {"input_ids": ids, "token_type_ids": np.zeros_like(ids), "labels": labels.reshape(ids.shape)}
        inputs = {name: torch.from_numpy(column) for name, column in columns.items()}
        if job.method == "albertkit":
            inputs = {name: column.flatten() for name, column in inputs.items()}
            inputs["cu_seqlens"] = torch.arange(0, ids.size + 1, length, dtype=torch.int32)
        inputs["sentence_order_label"] = torch.from_numpy(generator.integers(0, 2, sequences))
        yield ids.size, inputs


def ragged(job: Job) -> Batches:
    """Batches of the prepared folder."""
    from albertkit.data.batches import PretrainingData
    from albertkit.data.options import ExampleOptions

    data = PretrainingData(job.prepared, options=ExampleOptions.paper(max_seq_length=LENGTH), verify=False)
    as_given = pack_ours if job.method == "albertkit" else pad_theirs(job.model)
    for batch in data.batches(tokens_per_batch=job.tokens):
        yield len(batch.input_ids), as_given(batch)


def pack_ours(batch: Any) -> dict[str, Any]:
    """As the training loop does."""
    import torch

    from albertkit.training.batches import to_tensors

    return to_tensors(batch, torch.device("cpu"))


def pad_theirs(model: str) -> Callable[[Any], dict[str, Any]]:
    """The ids before our masks, masked and padded by their collator."""
    from transformers import AutoTokenizer, DataCollatorForLanguageModeling

    collate = DataCollatorForLanguageModeling(AutoTokenizer.from_pretrained(model), mlm_probability=MASKED)

    def pad(batch: Any) -> dict[str, Any]:
        plain = np.where(batch.labels >= 0, batch.labels, batch.input_ids)
        places = batch.cu_seqlens[1:-1]
        columns = (np.split(plain, places), np.split(batch.token_type_ids, places), batch.sentence_order_label)
        rows = [
            {"input_ids": ids.tolist(), "token_type_ids": types.tolist(), "sentence_order_label": int(order)}
            for ids, types, order in zip(*columns, strict=True)
        ]
        return dict(collate(rows))

    return pad


# ------------------------------------------------------------------ the asking side


def compare(case: str, size: str, dtype: str, arguments: argparse.Namespace, **batches: Any) -> training.Pair:
    """Both methods on one kind of batch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = {}
        if "prepared" in batches:
            from albertkit.data.shards import TOKENIZER_FOLDER, read_manifest

            sizes = {"vocab_size": read_manifest(batches["prepared"]).vocab_size}
        make_model(folder, "AlbertForPreTraining", size, **sizes)
        if "prepared" in batches:
            shutil.copytree(Path(batches["prepared"]) / TOKENIZER_FOLDER, folder, dirs_exist_ok=True)
        workers = []
        for method in training.METHODS:
            job = Job(method, name, dtype, arguments.threads, **batches)
            given = ["--worker", json.dumps(asdict(job))]
            workers.append(Worker("benchmarks.pretraining", given, arguments.threads, folder / f"{method}.log"))
        return training.compare("pretraining", case, dtype, workers, arguments.rounds, arguments.warmups)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", nargs="?", help="folder that albertkit prepare wrote, for ragged batches as well")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--shapes", nargs="*", default=["8x128", "4x512"], help="sequences and length of the uniform batches")
    parser.add_argument("--size", choices=SIZES, default="base", help="of the model that reads them")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["mini", "base"], help="of the models that read ragged ones")
    parser.add_argument("--dtypes", nargs="+", choices=training.DTYPES, default=list(training.DTYPES))
    parser.add_argument("--tokens", type=int, default=2048, help="of a ragged batch")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warmups", type=int, default=2)
    parser.add_argument("--results", type=Path, help="also write tables, samples and chart into this folder")
    arguments = parser.parse_args(argv)
    if arguments.worker:
        job = Job(**json.loads(arguments.worker))
        serve_loop(lambda pause: train(job, pause))
        return
    pairs, bars = [], {}
    for shape in arguments.shapes:
        sequences, length = (int(number) for number in shape.split("x"))
        case = f"{arguments.size}, {sequences} × {length}"
        bars[case] = BARS
        pairs += [compare(case, arguments.size, dtype, arguments, shape=(sequences, length)) for dtype in arguments.dtypes]
    for size in arguments.sizes if arguments.prepared else ():
        case = f"{size}, ragged, about {arguments.tokens:,}"
        batches = {"prepared": arguments.prepared, "tokens": arguments.tokens}
        pairs += [compare(case, size, dtype, arguments, **batches) for dtype in arguments.dtypes]
    conditions = f"{arguments.threads} threads, {arguments.rounds} rounds in turn; s of a step"
    training.keep("pretraining", ["A step of pre-training", conditions], pairs, "tokens", bars, arguments.results)


if __name__ == "__main__":
    main()
