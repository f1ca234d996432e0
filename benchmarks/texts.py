"""The texts that models run, as ids: real ones of a data folder, or random ids of the same lengths.

Speed depends on the lengths alone, so a machine without the data measures the same work.
"""

from __future__ import annotations

import json
import lzma
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from albertkit import AlbertConfig
from albertkit.tokenization import AlbertTokenizer
from benchmarks.methods import Texts

SST2 = "glue/SST-2"
SQUAD = "squad/cs224n-dev-v2.0.json.xz"
VOCABULARY = "albert-vocab/30k-clean.rebuilt.model"
NUM_SST2, NUM_SST2_TRAIN, NUM_SQUAD, LONGEST = 96, 128, 16, 384
SST2_LENGTHS = (
    14, 44, 16, 30, 35, 20, 27, 36, 13, 28, 25, 13, 32, 35, 27, 49, 29, 16, 35, 12, 20, 31, 39, 13, 33, 28, 14, 17, 17,
    30, 13, 25, 37, 20, 13, 15, 40, 31, 40, 35, 21, 36, 43, 24, 15, 23, 28, 20, 16, 35, 41, 52, 19, 31, 32, 27, 13, 52,
    30, 56, 13, 11, 38, 37, 29, 25, 44, 26, 35, 28, 24, 16, 39, 24, 20, 11, 22, 27, 28, 27, 32, 26, 15, 42, 10, 21, 27,
    26, 11, 17, 19, 40, 46, 14, 16, 21,
)  # fmt: skip
SST2_TRAIN_LENGTHS = (
    7, 9, 19, 3, 4, 7, 20, 26, 9, 9, 4, 4, 4, 5, 8, 16, 8, 13, 4, 25, 9, 21, 12, 9, 15, 6, 15, 11, 11, 5, 19, 6, 20,
    7, 44, 14, 16, 16, 10, 27, 15, 8, 5, 5, 17, 21, 7, 9, 16, 21, 10, 4, 3, 13, 31, 6, 14, 12, 4, 6, 4, 7, 11, 7, 13,
    23, 6, 9, 15, 7, 27, 53, 15, 6, 5, 5, 23, 15, 17, 36, 8, 44, 48, 24, 7, 35, 38, 15, 4, 13, 6, 9, 11, 23, 35, 16,
    6, 18, 5, 6, 7, 4, 15, 19, 8, 7, 8, 19, 4, 8, 7, 6, 30, 9, 12, 29, 14, 22, 7, 3, 29, 8, 12, 32, 10, 11, 8, 38,
)  # fmt: skip
SQUAD_LENGTHS = (
    176, 73, 169, 147, 153, 372, 133, 179, 156, 215, 200, 158, 247, 148, 153, 192,
)  # fmt: skip
"""Of the chosen sentences of SST-2's dev and training sets and questions of SQuAD 2.0's, special tokens included."""

WORKLOADS = {
    "sst2": f"{NUM_SST2} sentences of SST-2's dev set",
    "sst2-train": f"{NUM_SST2_TRAIN} sentences and phrases of SST-2's training set",
    "squad": f"{NUM_SQUAD} questions and paragraphs of SQuAD 2.0's dev set, cut at {LONGEST}",
    "one-16": "one text of 16 tokens",
    "one-128": "one text of 128 tokens",
    "uniform": "8 texts of 128 tokens",
}


def read_sst2(data: Path, part: str) -> list[tuple[str, str | None]]:
    """The sentences of ``train`` or ``dev`` in their order."""
    with lzma.open(data / SST2 / f"{part}.tsv.xz", "rt", encoding="utf-8") as file:
        return [(line.split("\t")[0], None) for line in islice(file, 1, None)]


def read_squad(data: Path) -> list[tuple[str, str | None]]:
    """The questions in their order, each with its paragraph."""
    with lzma.open(data / SQUAD, "rt", encoding="utf-8") as file:
        paragraphs = [paragraph for article in json.load(file)["data"] for paragraph in article["paragraphs"]]
    return [(entry["question"], paragraph["context"]) for paragraph in paragraphs for entry in paragraph["qas"]]


def encode(pairs: list[tuple[str, str | None]], tokenizer: AlbertTokenizer, number: int, longest: int) -> Texts:
    """Ids of ``number`` texts at equal distances."""
    texts = []
    for text, pair in pairs[:: len(pairs) // number][:number]:
        row = tokenizer(text, pair, truncation="longest_first", max_length=longest)
        texts.append((row["input_ids"], row["token_type_ids"]))
    return texts


def draw(lengths: tuple[int, ...], config: AlbertConfig) -> Texts:
    """Random ids."""
    generator = np.random.default_rng(0)
    sizes = [min(length, config.max_position_embeddings) for length in lengths]
    return [(generator.integers(0, config.vocab_size, size).tolist(), [0] * size) for size in sizes]


def make_workloads(
    names: list[str], config: AlbertConfig, data: Path | None, tokenizer: AlbertTokenizer | None
) -> dict[str, Texts]:
    """Workload → texts.

    Args:
        names: Keys of :data:`WORKLOADS`.
        config: Of the model: its vocabulary and longest position.
        data: Folder of the real texts, if there is one.
        tokenizer: Of the model; that of the data's vocabulary without one.
    """
    lengths = {
        "sst2": SST2_LENGTHS, "sst2-train": SST2_TRAIN_LENGTHS, "squad": SQUAD_LENGTHS,
        "one-16": (16,), "one-128": (128,), "uniform": (128,) * 8,
    }  # fmt: skip
    workloads = {name: draw(lengths[name], config) for name in names}
    if data is None:
        return workloads
    tokenizer = tokenizer or AlbertTokenizer(data / VOCABULARY)
    longest = min(LONGEST, config.max_position_embeddings)
    real = {
        "sst2": (partial(read_sst2, part="dev"), NUM_SST2),
        "sst2-train": (partial(read_sst2, part="train"), NUM_SST2_TRAIN),
        "squad": (read_squad, NUM_SQUAD),
    }
    for name in workloads.keys() & real.keys():
        read, number = real[name]
        workloads[name] = encode(read(data), tokenizer, number, longest)
    return workloads
