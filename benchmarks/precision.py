"""What bfloat16 and int8 cost a trained model, in answers and accuracy: ``python -m benchmarks.precision``.

A classifier is trained on SST-2 from the embedded model, in float32 by a plain loop, in a temporary folder: SST-2 has no open
licence, so its weights are not kept. The embedded model itself is scored on Wikipedia paragraphs of documents that its training
held out, every seventh token masked. Every engine and type answers the same texts in the same batches of up to 4,096 tokens,
and is compared with the PyTorch engine in float32.
"""

from __future__ import annotations

import argparse
import lzma
import os
import sys
import tempfile
import warnings
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from albertkit import AlbertForSequenceClassification, AlbertTokenizer
from albertkit.checkpoints.parameters import Head
from albertkit.data.blocks import hash_document
from albertkit.data.corpus import Corpus
from albertkit.errors import AlbertError
from albertkit.export.agreement import Text, measure_agreement
from albertkit.hub import DEFAULT_MODEL
from albertkit.inference import TokenBatch, load_engine, plan_batches
from albertkit.optim import learning_rate_at
from albertkit.optional import MissingExtraError
from benchmarks.machine import describe, publish

DATA = Path(__file__).parents[2] / "shared" / "data"
RUNS = (
    ("numpy", "float32"),
    ("onnx", "float32"),
    ("torch", "bfloat16"),
    ("torch", "int8"),
    ("onnx", "int8"),
)
HELD_OUT = 0.005  # of the documents, by the hash of their text: recipes/albert-mini-en.yaml
PARAGRAPH_CHARACTERS = range(100, 800)
TOKENS, PEAK_RATE, WARM_UP, CLIP_NORM = 1024, 3e-4, 0.05, 1.0  # of training; tokens of a batch at most
HEADER = [
    "| engine | type | accuracy | change, points | answers changed | largest change of a logit | root mean square, relative |",
    "| --- | --- | --- | --- | --- | --- | --- |",
]


def read_sst2(data: Path, split: str) -> list[Text]:
    """Sentences with their class: 0 negative, 1 positive."""
    with lzma.open(data / "glue" / "SST-2" / f"{split}.tsv.xz", "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in islice(file, 1, None)]
    return [Text(sentence, label=int(label)) for sentence, label in rows]


def read_held_out(data: Path, number: int) -> list[Text]:
    """Paragraphs of documents that the embedded model was not trained on, in their order."""
    documents = (document for document in Corpus([data / "wiki-en"]) if hash_document(document) < HELD_OUT * 2**64)
    paragraphs = (text for document in documents for text in document if len(text) in PARAGRAPH_CHARACTERS)
    return [Text(text) for text in islice(paragraphs, number)]


def train(texts: list[Text], folder: Path) -> None:
    """Fine-tune the embedded model for one pass, and save it with its tokenizer."""
    torch.manual_seed(0)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # the classifier starts at random
        model = AlbertForSequenceClassification.from_pretrained(DEFAULT_MODEL, num_labels=2).train()
    tokenizer = AlbertTokenizer.from_pretrained(DEFAULT_MODEL)
    rows = tokenizer([text.text for text in texts], truncation=True, max_length=128, return_attention_mask=False)["input_ids"]
    labels = torch.tensor([text.label for text in texts])
    batches = plan_batches([len(ids) for ids in rows], TOKENS)
    np.random.default_rng(0).shuffle(batches)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    for step, numbers in enumerate(batches):
        rate = learning_rate_at(step, peak=PEAK_RATE, warmup_steps=int(WARM_UP * len(batches)), total_steps=len(batches))
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = TokenBatch.from_sequences([rows[i] for i in numbers], [[0] * len(rows[i]) for i in numbers])
        ids, boundaries = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.cu_seqlens)
        loss = model(ids, cu_seqlens=boundaries, labels=labels[numbers]).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        if step % 100 == 0:
            print(f"batch {step} of {len(batches)}, loss {loss.item():.3f}", file=sys.stderr)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def compare(model: str | Path, head: Head, texts: list[Text]) -> list[str]:
    """A table: a row for each engine and type, and a line for each that cannot run."""
    original = load_engine(model, head, engine="torch", dtype="float32")
    tokenizer = AlbertTokenizer.from_pretrained(model)
    rows, absent = [], []
    for engine, dtype in RUNS:
        try:
            changed = load_engine(model, head, engine=engine, dtype=dtype)
        except (AlbertError, MissingExtraError) as error:
            absent.append(f"{engine} {dtype} did not run: {error}")
            continue
        found = measure_agreement(original, changed, tokenizer, texts)
        before, after = found.accuracy
        if not rows:
            rows.append(f"| torch | float32 | {before:.2%} | | | | |")
        rows.append(
            f"| {engine} | {dtype} | {after:.2%} | {100 * (after - before):+.2f} | {1 - found.share:.2%} of {found.decisions:,}"
            f" | {found.largest_error:.2g} | {found.mean_error:.2g} |"
        )
        print(rows[-1], file=sys.stderr)
    return [*HEADER, *rows, *(line for reason in absent for line in ("", reason))]


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Train where no model is given, compare, and publish."""
    model = arguments.model or folder
    if not arguments.model:
        train(read_sst2(arguments.data, "train")[: arguments.sentences], folder)
    publish(
        [
            "# What a type of number costs a trained model",
            "",
            describe("numpy", "torch", "onnxruntime") + f" · {DEFAULT_MODEL}",
            "",
            "## Classes of sentences: SST-2, its dev set, after one pass of fine-tuning",
            "",
            *compare(model, "sequence_classification", read_sst2(arguments.data, "dev")),
            "",
            "## Masked words: Wikipedia, held out, every seventh token masked",
            "",
            *compare(DEFAULT_MODEL, "masked_lm", read_held_out(arguments.data, arguments.paragraphs)),
        ],
        arguments.output,
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real data sets")
    parser.add_argument("--model", type=Path, help="a checkpoint that classifies SST-2; one is trained without it")
    parser.add_argument("--sentences", type=int, help="train on the first ones only")
    parser.add_argument("--paragraphs", type=int, default=425, help="of Wikipedia")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, Path(folder))


if __name__ == "__main__":
    main()
