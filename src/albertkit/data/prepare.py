"""From text files to a prepared folder: read blocks of documents, have workers encode them, write shards and a report.

The main process reads and writes; worker processes filter, divide into sentences and tokenise. Blocks are cut by the text alone
and taken back in order, so that the folder is byte for byte the same with any number of workers.
"""

from __future__ import annotations

import errno
import heapq
import json
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from albertkit.data.blocks import BlockEncoder, EncodedBlock, describe_vocabulary, hash_document, read_blocks
from albertkit.data.corpus import Corpus
from albertkit.data.options import DataRecipe
from albertkit.data.report import CorpusReport
from albertkit.data.shards import (
    MANIFEST_FILE,
    SPLITS,
    TOKENIZER_FOLDER,
    VOCABULARY_FILE,
    Counts,
    Manifest,
    ShardWriter,
    Split,
    fingerprint,
)
from albertkit.data.workers import count_cores, map_in_order
from albertkit.errors import DataError
from albertkit.files import new_directory
from albertkit.hub import locate
from albertkit.tokenization.tokenizer import AlbertTokenizer

__all__ = ["Progress", "prepare"]

_TOKENIZER_FILES = (
    "spiece.model", "tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
_HASH_RANGE = 2**64


@dataclass(frozen=True)
class Progress:
    """How far preparation has come."""

    counts: Counts
    """Text done, of both splits."""
    seconds: float
    """Time since the start."""
    bytes_read: int
    """Bytes of the files, as they are on disk, that have been worked through; a corpus read twice counts twice."""
    bytes_total: int
    """Bytes there are to work through."""


def prepare(recipe: DataRecipe, *, progress: Callable[[Progress], None] | None = None) -> Manifest:
    """Write the prepared folder of a recipe; it appears whole or not at all.

    Memory does not grow with the corpus: two blocks of a million characters for each worker, and a shard of each split, are held
    at a time.

    Args:
        recipe: Sources, tokenizer, output, filters, workers and what is held out. A script that uses more than one worker must
            call this under ``if __name__ == "__main__"``, as for any start of Python processes.
        progress: Called after every block.

    Returns:
        What was written.

    Raises:
        DataError: If a source cannot be read or the corpus is empty (see :class:`~albertkit.data.corpus.Corpus`), no
            document is left to train on, the output is a folder of something else, a worker dies, or the disk is full.
        VocabularyError: If the tokenizer cannot be read.
    """
    corpus = Corpus(recipe.sources)
    output = Path(recipe.output)
    if output.exists() and not (output / MANIFEST_FILE).is_file() and (output.is_file() or any(output.iterdir())):
        raise DataError(
            "the output must be a new folder, or one that albertkit prepare wrote before",
            received=str(output),
            fix="choose another one or remove it",
        )
    tokenizer_files = locate(recipe.tokenizer, _TOKENIZER_FILES)
    try:
        with new_directory(output) as directory:
            return _write(directory, recipe, corpus, tokenizer_files, progress or (lambda _: None))
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
    corpus: Corpus,
    tokenizer_files: dict[str, Path],
    progress: Callable[[Progress], None],
) -> Manifest:
    (directory / TOKENIZER_FOLDER).mkdir()
    for name, path in tokenizer_files.items():
        shutil.copyfile(path, directory / TOKENIZER_FOLDER / name)
    vocabulary = describe_vocabulary(AlbertTokenizer.from_pretrained(recipe.tokenizer))
    (directory / VOCABULARY_FILE).write_text(json.dumps(asdict(vocabulary), ensure_ascii=False), encoding="utf-8")

    started = time.monotonic()
    passes = 2 if recipe.held_out >= 1 else 1
    report = CorpusReport(vocabulary, recipe.exclude)

    def tell(bytes_read: int) -> None:
        counts = report.counts["train"] + report.counts["held_out"]
        progress(Progress(counts, time.monotonic() - started, bytes_read, passes * corpus.num_bytes))

    make_encoder = partial(BlockEncoder, recipe.tokenizer, recipe.exclude, _held_out_bound(recipe, corpus, tell))
    encoded = map_in_order(make_encoder, read_blocks(corpus), recipe.workers or count_cores())
    writers = {split: ShardWriter(directory, split, len(vocabulary.pieces)) for split in SPLITS}
    with closing(encoded):
        for block in encoded:
            _add(block, writers)
            report.add(block)
            tell((passes - 1) * corpus.num_bytes + block.bytes_read)
    for writer in writers.values():
        writer.flush()
    if not writers["train"].entries:
        raise DataError("a corpus must leave documents to train on", received="none", fix="give more text or hold out less")
    manifest = Manifest(
        tokenizer_fingerprint=fingerprint(next(iter(tokenizer_files.values()))),
        vocab_size=len(vocabulary.pieces),
        counts=dict(report.counts.items()),
        shards=[entry for writer in writers.values() for entry in writer.entries],
        held_out=recipe.held_out,
    )
    report.write(directory)
    manifest.write(directory)
    return manifest


def _add(block: EncodedBlock, writers: dict[Split, ShardWriter]) -> None:
    """Hand every document of a block to its split."""
    sentences = np.concatenate([[0], np.cumsum(block.document_lengths)])
    tokens = np.concatenate([[0], np.cumsum(block.sentence_lengths)])[sentences].tolist()
    bounds = zip(pairwise(sentences.tolist()), pairwise(tokens), block.is_held_out.tolist(), strict=True)
    for (first, last), (begin, end), is_held_out in bounds:
        writers["held_out" if is_held_out else "train"].add(block.ids[begin:end], block.sentence_lengths[first:last])


def _held_out_bound(recipe: DataRecipe, corpus: Corpus, tell: Callable[[int], None]) -> int:
    """Find the hash below which documents are held out; a number of documents needs a first pass over the corpus."""
    if recipe.held_out < 1:
        return int(recipe.held_out * _HASH_RANGE)
    number = int(recipe.held_out)
    smallest: list[int] = []  # a heap of negated hashes, the largest of the kept ones first
    kept: set[int] = set()
    for block in read_blocks(corpus):
        for negated in (-hash_document(paragraphs) for paragraphs in block.documents):
            if negated in kept:
                continue
            kept.add(negated)
            if len(smallest) < number:
                heapq.heappush(smallest, negated)
            else:
                kept.discard(heapq.heappushpop(smallest, negated))
        tell(block.bytes_read)
    return 1 - smallest[0]
