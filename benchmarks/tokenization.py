"""Tokenising English Wikipedia on one thread: albertkit beside SentencePiece itself and the Rust ``tokenizers``.

    python -m benchmarks.tokenization shared/data/wiki-en/enwiki-slice.jsonl.xz --vocabulary spiece.model [--output FILE.md]

All take the same lines with the same vocabulary. Ours gives the ids of the slow ALBERT tokenizer; SentencePiece is given lines
prepared beforehand and applies no ALBERT rule, so it is a bound, not a peer. The peer is called as fast as it goes: its ids stay
in its own objects. Times are CPU seconds of the process, which on one thread are wall seconds less what other processes took.
Methods take turns, so that a busy moment of the machine falls on all; ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import gc
import json
import lzma
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import sentencepiece
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from albertkit.tokenization.normalization import TextRules
from albertkit.tokenization.reference import ends_digit_comma
from albertkit.tokenization.segmenter import Segmenter
from albertkit.tokenization.sentencepiece_file import SentencePieceFile
from benchmarks.machine import describe, publish, spread


def read_lines(path: Path, limit: int) -> Iterator[str]:
    """Lines of the corpus up to ``limit`` UTF-8 bytes."""
    taken = 0
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for document in file:
            for line in json.loads(document)["text"].split("\n"):
                if line:
                    taken += len(line.encode())
                    yield line
            if taken >= limit:
                return


def build_peer(file: SentencePieceFile) -> tokenizers.Tokenizer:
    """The Rust tokenizer of a Hugging Face ALBERT: its normaliser, Metaspace, and -100 on the digit-comma pieces."""
    vocabulary = [
        (piece, float(score) - 100 * ends_digit_comma(piece)) for piece, score in zip(file.pieces, file.scores, strict=True)
    ]
    tokenizer = tokenizers.Tokenizer(models.Unigram(vocabulary, unk_id=1, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents(),
        normalizers.Lowercase(), normalizers.Precompiled(file.normalizer.precompiled_charsmap),
        normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " "),
    ])  # fmt: skip
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.add_special_tokens(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"])
    return tokenizer


def measure(methods: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of every method in every round, taken in turn after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for index in range(rounds + 1):
        for name, method in methods.items():
            gc.collect()
            started = time.process_time()
            method()
            taken = time.process_time() - started
            if index:
                seconds[name].append(taken)
    return seconds


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="a .jsonl.xz of documents")
    parser.add_argument("--vocabulary", type=Path, required=True, help="a SentencePiece .model")
    parser.add_argument("--megabytes", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="also write the table here")
    arguments = parser.parse_args()

    lines = list(read_lines(arguments.corpus, int(arguments.megabytes * 1e6)))
    megabytes = sum(len(line.encode()) for line in lines) / 1e6
    file = SentencePieceFile.read(arguments.vocabulary)
    segmenter, peer = Segmenter(file), build_peer(file)
    raw = sentencepiece.SentencePieceProcessor(model_proto=file.to_bytes())
    prepared = [TextRules().apply(line) for line in lines]

    same = np.mean([ours == theirs.ids for ours, theirs in zip(segmenter.ids(lines), peer.encode_batch_fast(lines), strict=True)])
    seconds = measure(
        {
            "sentencepiece, prepared lines": lambda: raw.encode(prepared, out_type=int, num_threads=1),
            "albertkit ids": lambda: segmenter.ids(lines),
            "albertkit ids with offsets": lambda: segmenter.ids_with_offsets(lines),
            "tokenizers encode_batch_fast (ids)": lambda: peer.encode_batch_fast(lines),
            "tokenizers encode_batch (ids and offsets)": lambda: peer.encode_batch(lines),
            "encode_batch_fast, ids read out": lambda: [encoding.ids for encoding in peer.encode_batch_fast(lines)],
            "encode_batch, ids and offsets read out": lambda: [(row.ids, row.offsets) for row in peer.encode_batch(lines)],
        },
        arguments.rounds,
    )
    ids, offsets = seconds["tokenizers encode_batch_fast (ids)"], seconds["tokenizers encode_batch (ids and offsets)"]
    table = [
        f"# Tokenising {megabytes:.1f} MB of English Wikipedia, {len(lines):,} lines, one thread",
        "", describe("sentencepiece", "tokenizers", "numpy"), "",
        f"Median (least–most) of {arguments.rounds} rounds in turn. The peer's ids equal ours on {same:.2%} of the lines.", "",
        "| method | MB/s | times encode_batch_fast | times encode_batch |", "| --- | --- | --- | --- |",
    ]  # fmt: skip
    for name, taken in seconds.items():
        ratios = [spread([other / own for other, own in zip(peers, taken, strict=True)]) for peers in (ids, offsets)]
        table.append(f"| {name} | {spread([megabytes / own for own in taken])} | {ratios[0]} | {ratios[1]} |")
    publish(table, arguments.output)


if __name__ == "__main__":
    main()
