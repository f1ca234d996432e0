"""From text files to a prepared folder: read, split into sentences, tokenise in blocks, write shards."""

from __future__ import annotations

import errno
import hashlib
import heapq
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from albertkit.data.corpus import list_files, read_documents
from albertkit.data.options import DataRecipe
from albertkit.data.sentences import split_document
from albertkit.data.shards import (
    MANIFEST_FILE,
    TOKENIZER_FOLDER,
    VOCABULARY_FILE,
    Counts,
    Manifest,
    ShardWriter,
    Split,
    fingerprint,
)
from albertkit.data.vocabulary import Vocabulary
from albertkit.errors import DataError
from albertkit.files import new_directory
from albertkit.hub import locate
from albertkit.tokenization.tokenizer import AlbertTokenizer

__all__ = ["Progress", "prepare"]

_TOKENIZER_FILES = ("spiece.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_BLOCK_SENTENCES = 20_000
_HASH_RANGE = 2**64


@dataclass(frozen=True)
class Progress:
    """How far preparation has come."""

    counts: Counts
    """Text done, of both splits."""
    seconds: float
    """Time since the start."""


@dataclass(frozen=True)
class _Document:
    split: Split
    sentences: list[str]


def prepare(recipe: DataRecipe, *, progress: Callable[[Progress], None] | None = None) -> Manifest:
    """Write the prepared folder of a recipe; it appears whole or not at all.

    Memory does not grow with the corpus: a block of sentences and one shard are held at a time.

    Args:
        recipe: Sources, tokenizer, output and what is held out.
        progress: Called after every block.

    Returns:
        What was written.

    Raises:
        DataError: If a source cannot be read or the corpus is empty (see :func:`~albertkit.data.corpus.read_documents`), all
            documents would be held out, the output is a folder of something else, or the disk is full.
        VocabularyError: If the tokenizer cannot be read.
    """
    list_files(recipe.sources)
    output = Path(recipe.output)
    if output.exists() and not (output / MANIFEST_FILE).is_file() and (output.is_file() or any(output.iterdir())):
        raise DataError(
            "the output must be a new folder, or one that albertkit prepare wrote before",
            received=str(output),
            fix="choose another one or remove it",
        )
    tokenizer_files = locate(recipe.tokenizer, _TOKENIZER_FILES)
    tokenizer = AlbertTokenizer.from_pretrained(recipe.tokenizer)
    try:
        with new_directory(output) as directory:
            return _write(directory, recipe, tokenizer, tokenizer_files, progress)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise DataError(
            "the disk must have room for the prepared data" if is_full else "the output must be writable",
            received=f"{error.strerror or error} at {output}, where nothing was changed",
            fix="free some space or choose another output" if is_full else None,
        ) from None


def _write(
    directory: Path,
    recipe: DataRecipe,
    tokenizer: AlbertTokenizer,
    tokenizer_files: dict[str, Path],
    progress: Callable[[Progress], None] | None,
) -> Manifest:
    (directory / TOKENIZER_FOLDER).mkdir()
    for name, path in tokenizer_files.items():
        shutil.copyfile(path, directory / TOKENIZER_FOLDER / name)
    vocabulary = _describe(tokenizer)
    (directory / VOCABULARY_FILE).write_text(json.dumps(asdict(vocabulary), ensure_ascii=False), encoding="utf-8")

    started = time.monotonic()
    writers: dict[Split, ShardWriter] = {
        split: ShardWriter(directory, split, len(vocabulary.pieces)) for split in ("train", "held_out")
    }
    counts: dict[Split, Counts] = {"train": Counts(), "held_out": Counts()}
    for block in _read_blocks(recipe):
        for document, ids, lengths in _encode(block, tokenizer, vocabulary):
            writers[document.split].add(ids, lengths)
            counts[document.split] += Counts(
                documents=1,
                sentences=len(lengths),
                tokens=len(ids),
                unknown_tokens=int(np.count_nonzero(ids == vocabulary.unk_token_id)),
                bytes=sum(len(sentence.encode()) for sentence in document.sentences),
            )
        if progress is not None:
            progress(Progress(counts["train"] + counts["held_out"], time.monotonic() - started))
    for writer in writers.values():
        writer.flush()
    if not writers["train"].entries:
        raise DataError("a corpus must leave documents to train on", received="none", fix="give more text or hold out less")
    manifest = Manifest(
        tokenizer_fingerprint=fingerprint(next(iter(tokenizer_files.values()))),
        vocab_size=len(vocabulary.pieces),
        counts=dict(counts.items()),
        shards=[entry for writer in writers.values() for entry in writer.entries],
        held_out=recipe.held_out,
    )
    manifest.write(directory)
    return manifest


def _describe(tokenizer: AlbertTokenizer) -> Vocabulary:
    return Vocabulary(
        pieces=list(tokenizer.convert_ids_to_tokens(range(len(tokenizer)))),
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        mask_token_id=tokenizer.mask_token_id,
        pad_token_id=tokenizer.pad_token_id,
        unk_token_id=tokenizer.unk_token_id,
        special_ids=sorted(tokenizer.all_special_ids),
    )


def _read_blocks(recipe: DataRecipe) -> Iterator[list[_Document]]:
    """Read documents, decide their split and divide them into sentences, some ten thousand sentences at a time."""
    bound = _held_out_bound(recipe)
    block: list[_Document] = []
    num_sentences = 0
    for paragraphs in read_documents(recipe.sources):
        split: Split = "held_out" if _hash(paragraphs) < bound else "train"
        block.append(_Document(split, split_document(paragraphs)))
        num_sentences += len(block[-1].sentences)
        if num_sentences >= _BLOCK_SENTENCES:
            yield block
            block, num_sentences = [], 0
    if block:
        yield block


def _encode(
    block: list[_Document], tokenizer: AlbertTokenizer, vocabulary: Vocabulary
) -> Iterator[tuple[_Document, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Tokenise a block; gives the ids and sentence lengths of every document that has any."""
    sentences = [sentence for document in block for sentence in document.sentences]
    encoded = tokenizer(sentences, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False)[
        "input_ids"
    ]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    ids = np.fromiter(chain.from_iterable(encoded), np.int64, int(lengths.sum()))
    # A text that spells out "[MASK]" or "[SEP]" must not steer the model; such tokens are left out.
    is_control = np.isin(ids, vocabulary.control_ids)
    if is_control.any():
        lengths = np.bincount(np.repeat(np.arange(len(lengths)), lengths)[~is_control], minlength=len(lengths))
        ids = ids[~is_control]
    ends = np.cumsum(lengths)
    first, begin = 0, 0
    for document in block:
        last = first + len(document.sentences)
        end = int(ends[last - 1])
        if end > begin:
            of_document = lengths[first:last]
            yield document, ids[begin:end], of_document[of_document > 0]
        first, begin = last, end


def _held_out_bound(recipe: DataRecipe) -> int:
    """Find the hash below which documents are held out; a number of documents needs a first pass over the corpus."""
    if recipe.held_out < 1:
        return int(recipe.held_out * _HASH_RANGE)
    number = int(recipe.held_out)
    smallest: list[int] = []  # a heap of negated hashes, the largest of the kept ones first
    for paragraphs in read_documents(recipe.sources):
        negated = -_hash(paragraphs)
        if negated in smallest:
            continue
        if len(smallest) < number:
            heapq.heappush(smallest, negated)
        else:
            heapq.heappushpop(smallest, negated)
    return 1 - smallest[0]


def _hash(paragraphs: list[str]) -> int:
    """Map a document's text to an even spread of numbers below 2**64."""
    digest = hashlib.blake2b(digest_size=8)
    for paragraph in paragraphs:
        digest.update(paragraph.encode())
        digest.update(b"\n")
    return int.from_bytes(digest.digest(), "big")
