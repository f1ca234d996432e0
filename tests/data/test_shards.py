from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest

from albertkit.data.batches import PretrainingData
from albertkit.data.shards import ShardWriter, open_shards, read_manifest, read_vocabulary
from albertkit.data.vocabulary import Vocabulary
from albertkit.errors import DataError

Documents = list[list[list[int]]]
Damage = Callable[[Path], object]

SMALL: Documents = [[[5, 405], [6]], [[7, 8, 9]], [[10], [11, 12], [13]]]


def test_documents_come_back_as_they_were(prepared: Path, documents: Documents) -> None:
    manifest = read_manifest(prepared)
    assert len(manifest.shards) > 3
    read_back = []
    for entry, shard in zip(manifest.shards, open_shards(prepared, manifest.shards), strict=True):
        assert shard.tokens.dtype == np.uint16
        assert entry.documents == len(shard.document_offsets) - 1
        for begin, end in pairwise(shard.document_offsets):
            bounds = shard.sentence_offsets[begin : end + 1].tolist()
            read_back.append([shard.tokens[start:stop].tolist() for start, stop in pairwise(bounds)])
    assert read_back == documents


def test_a_large_vocabulary_takes_four_bytes(tmp_path: Path) -> None:
    for vocab_size, dtype in ((2**16, np.uint16), (2**16 + 1, np.uint32)):
        writer = ShardWriter(tmp_path, "train", vocab_size)
        writer.add(np.array([0, vocab_size - 1]), np.array([2]))
        writer.flush()
        (shard,) = open_shards(tmp_path, writer.entries)
        assert shard.tokens.dtype == dtype
        assert shard.tokens.tolist() == [0, vocab_size - 1]


def test_the_vocabulary_comes_back(prepared: Path, vocabulary: Vocabulary) -> None:
    assert read_vocabulary(prepared) == vocabulary


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flip_last_bit(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("part", ["tokens", "sentences", "documents"])
@pytest.mark.parametrize("damage", [truncate, flip_last_bit, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_shard_is_named(prepare_ids: Callable[..., Path], part: str, damage: Damage) -> None:
    directory = prepare_ids(SMALL)
    damage(directory / f"train-00000.{part}.npy")
    with pytest.raises(DataError, match=rf"train-00000\.{part}\.npy.*prepare again") as failure:
        PretrainingData(directory)
    assert "\n" not in str(failure.value)


def test_a_shard_of_another_run_is_noticed(prepare_ids: Callable[..., Path]) -> None:
    directory, other = prepare_ids(SMALL), prepare_ids([*SMALL, [[5], [6]]])
    for path in other.glob("train-*"):
        (directory / path.name).write_bytes(path.read_bytes())
    with pytest.raises(DataError, match="12 entries instead of 10"):
        PretrainingData(directory, verify=False)


def test_another_vocabulary_is_refused_by_both_fingerprints(prepared: Path) -> None:
    PretrainingData(prepared, tokenizer_fingerprint="0" * 64, verify=False)
    with pytest.raises(DataError, match=f"{'a' * 64}.*{'0' * 64}.*model's tokenizer"):
        PretrainingData(prepared, tokenizer_fingerprint="a" * 64)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "written by albertkit prepare"),
        ("{", "written by albertkit prepare"),
        ("[]", "no JSON object"),
        ("{}", "must have the fields"),
        ('{"format_version": 1}', "must have the fields"),
        ('{"format_version": 7}', "format version 1; received 7"),
    ],
)
def test_a_folder_without_a_valid_manifest_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=message):
        PretrainingData(tmp_path)


def test_a_missing_split_and_a_damaged_vocabulary_are_refused(prepare_ids: Callable[..., Path]) -> None:
    directory = prepare_ids(SMALL)
    with pytest.raises(DataError, match=r"split held_out.*more held out"):
        PretrainingData(directory, split="held_out")
    (directory / "vocabulary.json").write_text(json.dumps({"pieces": []}))
    with pytest.raises(DataError, match="vocabulary"):
        PretrainingData(directory)


def test_counts_are_those_of_the_documents(prepare_ids: Callable[..., Path]) -> None:
    (entry,) = read_manifest(prepare_ids(SMALL)).shards
    assert (entry.documents, entry.sentences, entry.tokens) == (3, 6, len([*chain(*chain(*SMALL))]))
