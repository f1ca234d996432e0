"""Describe a checkpoint of any ALBERT tool: sizes, parameters by part, heads and their tasks, vocabulary, type, checksum."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from albertkit.hub import DEFAULT_MODEL, Source

if TYPE_CHECKING:
    from albertkit.checkpoints.parameters import Head
    from albertkit.tokenization import AlbertTokenizer

__all__ = ["add_arguments", "run"]

_SIZES = (
    "vocab_size", "embedding_size", "hidden_size", "num_hidden_layers", "num_hidden_groups", "inner_group_num",
    "num_attention_heads", "intermediate_size", "max_position_embeddings", "hidden_act",
)  # fmt: skip


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument(
        "model",
        nargs="?",
        default=DEFAULT_MODEL,
        metavar="MODEL",
        help="directory, file of weights, prefix of a TensorFlow checkpoint, embedded model, published name or hub id"
        " (default: %(default)s)",
    )
    parser.add_argument("--revision", metavar="REVISION", help="branch, tag or commit of a hub repository")
    parser.add_argument("--allow-pickle", action="store_true", help="read pytorch_model.bin where there is no safetensors file")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    from albertkit.checkpoints.describe import describe_checkpoint
    from albertkit.errors import CheckpointError
    from albertkit.tokenization import AlbertTokenizer

    source = Source(arguments.model, arguments.revision, allow_pickle=arguments.allow_pickle)
    found = describe_checkpoint(source)
    try:
        tokenizer = AlbertTokenizer.from_pretrained(source)
    except CheckpointError:  # weights alone, as KerasHub saves a backbone
        tokenizer = None
    if arguments.json:
        tokens = None if tokenizer is None else len(tokenizer)
        print(json.dumps(found.to_dict() | {"tokens": tokens}, ensure_ascii=False, indent=2))
        return 0
    total = sum(found.parameters.values())
    tasks = _tasks_by_head()
    rows = [
        ("checkpoint", found.location),
        ("format", f"{found.format}, {found.dtype}, {found.bytes:,} bytes"),
        ("sha256", f"{found.sha256} {found.weights[0]}{' …' if len(found.weights) > 1 else ''}"),
        ("vocabulary", "none" if tokenizer is None else _describe_vocabulary(tokenizer)),
        ("files", ", ".join(found.files)),
    ]
    print("\n".join(f"{label:16} {value}" for label, value in rows))
    for title, heads in (("heads", found.heads), ("heads it lacks", found.missing_heads)):
        print("\n".join([f"\n{title}", *(f"  {head:24} {tasks[head]}" for head in heads)] if heads else [f"\n{title}: none"]))
    print("\nconfiguration")
    print("\n".join(f"  {name:24} {getattr(found.config, name)}" for name in _SIZES))
    print(f"\nparameters{total:>35,}")
    print("\n".join(f"  {part:24} {count:>18,}  {count / total:6.1%}" for part, count in found.parameters.items()))
    return 0


def _describe_vocabulary(tokenizer: AlbertTokenizer) -> str:
    kind = ", WordPiece" if tokenizer.file.filename == "vocab.txt" else ""
    return f"{len(tokenizer):,} tokens{kind}, {'lower-cased' if tokenizer.do_lower_case else 'cased'}"


def _tasks_by_head() -> dict[Head, str]:
    """What each head is for: the tasks that read it."""
    from albertkit.checkpoints.parameters import HEADS
    from albertkit.pipelines import PIPELINES

    read_by = {name: (kind.head, *kind.other_heads) for name, kind in PIPELINES.items()}
    tasks = {head: ", ".join(name for name, heads in read_by.items() if head in heads) for head in HEADS}
    tasks["pooler"] = "read by the heads for sequences: sentence order, classification, choices"
    return tasks
