from __future__ import annotations

import errno
import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albertkit.cli.main import main
from albertkit.data import blocks, shards
from albertkit.data.batches import PretrainingData
from albertkit.data.corpus import Corpus
from albertkit.data.options import DataRecipe, ExampleOptions
from albertkit.data.prepare import Progress, prepare
from albertkit.data.sentences import split_document
from albertkit.data.shards import Manifest, Split, fingerprint, open_shards, read_manifest
from albertkit.errors import ConfigError, DataError
from albertkit.hub import EMBEDDED
from albertkit.tokenization.tokenizer import AlbertTokenizer

pytestmark = pytest.mark.slow

TOKENIZER = "albert-mini-en"


@pytest.fixture
def recipe(tmp_path: Path) -> DataRecipe:
    """Two hundred documents of two to five short sentences."""
    generator = random.Random(0)
    words = ["the", "a", "river", "old", "man", "ran", "to", "of", "and", "from", "was", "very", "small", "green", "far", "home"]
    documents = [
        " ".join(
            " ".join(generator.choices(words, k=generator.randrange(3, 9))).capitalize() + "." for _ in range(2 + number % 4)
        )
        for number in range(200)
    ]
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.txt").write_text("\n\n".join(documents))
    return DataRecipe(sources=[str(tmp_path / "corpus")], tokenizer=TOKENIZER, output=str(tmp_path / "out"), held_out=0.2)


def read_split(directory: str, split: Split) -> set[str]:
    """Texts of a split's documents, decoded."""
    tokenizer = AlbertTokenizer.from_pretrained(Path(directory) / "tokenizer")
    entries = [entry for entry in read_manifest(directory).shards if entry.split == split]
    texts = set()
    for shard in open_shards(directory, entries):
        bounds = shard.sentence_offsets[shard.document_offsets]
        texts |= {tokenizer.decode(shard.tokens[begin:end].tolist()) for begin, end in pairwise(bounds)}
    return texts


def test_shards_hold_the_tokens_of_every_sentence(recipe: DataRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_BLOCK_CHARACTERS", 2000)
    seen: list[Progress] = []
    manifest = prepare(replace(recipe, held_out=0, workers=1), progress=seen.append)
    tokenizer = AlbertTokenizer.from_pretrained(TOKENIZER)
    (shard,) = open_shards(recipe.output, manifest.shards)
    bounds = shard.sentence_offsets.tolist()
    sentences = [split_document(document) for document in Corpus(recipe.sources)]
    assert [shard.tokens[begin:end].tolist() for begin, end in pairwise(bounds)] == [
        tokenizer(sentence, add_special_tokens=False)["input_ids"] for document in sentences for sentence in document
    ]
    assert np.diff(shard.document_offsets).tolist() == [len(document) for document in sentences]
    counts = manifest.counts["train"]
    assert (counts.documents, counts.sentences, counts.tokens) == (200, len(bounds) - 1, bounds[-1])
    assert counts.bytes == sum(len(sentence) for document in sentences for sentence in document)
    assert len(seen) > 5
    assert seen[-1].counts == counts
    assert [progress.bytes_read for progress in seen] == sorted({progress.bytes_read for progress in seen})
    assert seen[-1].bytes_read == seen[-1].bytes_total == (Path(recipe.sources[0]) / "a.txt").stat().st_size
    assert manifest == read_manifest(recipe.output)


def test_the_folder_is_self_contained_and_trains(recipe: DataRecipe) -> None:
    manifest = prepare(recipe)
    data = PretrainingData(
        recipe.output,
        options=ExampleOptions(max_seq_length=32),
        tokenizer_fingerprint=fingerprint(EMBEDDED / TOKENIZER / "spiece.model"),
    )
    assert len(data.vocabulary.pieces) == manifest.vocab_size
    tokenizer = AlbertTokenizer.from_pretrained(Path(recipe.output) / "tokenizer")
    example = data.example(0, 0)
    text = tokenizer.decode(np.where(example.labels == -100, example.input_ids, example.labels).tolist())
    assert text.startswith("[CLS]")
    assert text.count("[SEP]") == 2
    assert PretrainingData(recipe.output, split="held_out").num_examples(0) > 5


def test_held_out_documents_do_not_depend_on_order_or_files(recipe: DataRecipe, tmp_path: Path) -> None:
    manifest = prepare(recipe)
    held_out, train = read_split(recipe.output, "held_out"), read_split(recipe.output, "train")
    assert 20 <= len(held_out) == manifest.counts["held_out"].documents <= 60
    assert len(held_out | train) == 200
    documents = ["\n".join(document) for document in Corpus(recipe.sources)]
    random.Random(1).shuffle(documents)
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in documents * 2))
    other = replace(recipe, sources=[str(tmp_path / "b.jsonl")], output=str(tmp_path / "other"))
    prepare(other)
    assert read_split(other.output, "held_out") == held_out
    assert read_split(other.output, "train") == train


def test_a_number_of_documents_can_be_held_out(recipe: DataRecipe, tmp_path: Path) -> None:
    chosen = []
    for number in (1, 17, 18):
        assert prepare(replace(recipe, held_out=number)).counts["held_out"].documents == number
        chosen.append(read_split(recipe.output, "held_out"))
    assert chosen[0] < chosen[1] < chosen[2]
    with pytest.raises(DataError, match="documents to train on"):
        prepare(replace(recipe, held_out=1000, output=str(tmp_path / "none")))
    assert not (tmp_path / "none").exists()


def test_special_tokens_spelled_out_in_a_text_are_left_out(recipe: DataRecipe, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The [MASK] ran.\n[SEP]\nHome again[CLS].\n\n[MASK]\n\nAn end.")
    manifest = prepare(replace(recipe, sources=[str(tmp_path / "a.txt")], held_out=0))
    (shard,) = open_shards(recipe.output, manifest.shards)
    assert not {0, 2, 3, 4} & set(shard.tokens.tolist())
    assert np.diff(shard.document_offsets).tolist() == [2, 1]
    tokenizer = AlbertTokenizer.from_pretrained(TOKENIZER)
    words = tokenizer("the ran. home again. an end.", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(shard.tokens.tolist()).replace(" ", "") == tokenizer.decode(words).replace(" ", "")


@pytest.mark.parametrize(("code", "message"), [(errno.ENOSPC, "must have room.*No space left"), (errno.EACCES, "writable")])
def test_a_full_disk_leaves_everything_as_it_was(
    recipe: DataRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    before = prepare(recipe)

    def fail(path: Path, *_: Any, **__: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(code, "No space left on device" if code == errno.ENOSPC else "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(shards.np, "save", fail)
        for output in (recipe.output, str(tmp_path / "new")):
            with pytest.raises(DataError, match=message) as failure:
                prepare(replace(recipe, output=output))
            assert "\n" not in str(failure.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "out"]
    assert read_manifest(recipe.output) == before
    PretrainingData(recipe.output)


def test_the_output_never_replaces_a_folder_of_something_else(recipe: DataRecipe, tmp_path: Path) -> None:
    for output in (tmp_path / "corpus", tmp_path / "corpus" / "a.txt"):
        with pytest.raises(DataError, match="must be a new folder"):
            prepare(replace(recipe, output=str(output)))
    (tmp_path / "empty").mkdir()
    assert isinstance(prepare(replace(recipe, output=str(tmp_path / "empty"))), Manifest)


def test_an_empty_corpus_leaves_nothing_behind(recipe: DataRecipe, tmp_path: Path) -> None:
    (tmp_path / "corpus" / "a.txt").write_text("\n \n")
    with pytest.raises(DataError, match="must hold text"):
        prepare(recipe)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


@pytest.mark.parametrize("changes", [{"held_out": -0.1}, {"held_out": 1.5}, {"sources": []}, {"tokenizer": ""}, {"output": ""}])
def test_impossible_recipes_are_refused_by_name(recipe: DataRecipe, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        replace(recipe, **changes)


def test_the_command_prepares_and_reports(recipe: DataRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"data: {{sources: [{recipe.sources[0]}], tokenizer: {TOKENIZER}, output: {recipe.output}}}\n"
        "output: run\nmodel: {}\nschedule: {total_steps: 1}\ntraining: {tokens_per_batch: 100}\n"
    )
    assert main(["prepare", str(path), "--data.held_out", "10"]) == 0
    report = capsys.readouterr().out
    assert [line.split()[1:] for line in report.splitlines()[1:2]] == [["190", "10"]]
    assert "unknown tokens" in report
    assert main(["prepare", str(path), "--data.sources", "[nowhere.txt]"]) == 1
    assert capsys.readouterr().err.startswith(
        "albertkit: error: a corpus must be files or folders that exist; received nowhere.txt"
    )
