"""A vocabulary of words of one to three pieces, and folders of prepared data made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from albertkit.data.shards import VOCABULARY_FILE, Counts, Manifest, ShardWriter
from albertkit.data.vocabulary import Vocabulary

NUM_STARTS = 400
SPECIAL = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]

Documents = list[list[list[int]]]
PrepareIds = Callable[..., Path]


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """Ids 0–4 are special, 5–404 begin a word, 405–680 go on with one."""
    starts = ["▁" + "".join(letters) for letters in product("abcdefghij", repeat=3)][:NUM_STARTS]
    others = ["".join(letters) for letters in product("klmnopqrstuvwxyz", repeat=2)] + ["kkk"] * 20
    return Vocabulary([*SPECIAL, *starts, *others], 2, 3, 4, 0, 1, [0, 1, 2, 3, 4])


@pytest.fixture(scope="session")
def documents() -> Documents:
    """About 180,000 tokens: 97 documents of 1 to 300 sentences; two thirds of the pieces begin a word."""
    generator = np.random.default_rng(0)
    result = []
    for _ in range(97):
        document = []
        for _ in range(int(generator.integers(1, 300))):
            length = int(generator.integers(1, 23))
            is_start = generator.random(length) < 2 / 3
            is_start[0] = True
            ids = np.where(is_start, generator.integers(5, 5 + NUM_STARTS, length), generator.integers(405, 661, length))
            document.append(ids.tolist())
        result.append(document)
    return result


@pytest.fixture(scope="session")
def prepare_ids(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary) -> PrepareIds:
    """Write documents of ids as a prepared folder, in shards of 40,000 tokens."""

    def write(documents: Documents, shard_tokens: int = 40_000) -> Path:
        directory = tmp_path_factory.mktemp("prepared")
        writer = ShardWriter(directory, "train", len(vocabulary.pieces), shard_tokens=shard_tokens)
        for document in documents:
            writer.add(np.concatenate(document), np.array([len(sentence) for sentence in document]))
        writer.flush()
        (directory / VOCABULARY_FILE).write_text(json.dumps(asdict(vocabulary)))
        counts = {"train": Counts(documents=len(documents)), "held_out": Counts()}
        Manifest("0" * 64, len(vocabulary.pieces), counts, writer.entries).write(directory)
        return directory

    return write


@pytest.fixture(scope="session")
def prepared(prepare_ids: PrepareIds, documents: Documents) -> Path:
    """The documents as a prepared folder of several shards."""
    return prepare_ids(documents)
