"""Describe a checkpoint: its sizes, parameters by part, heads, vocabulary, number type and checksum."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from albertkit.hub import DEFAULT_MODEL, Source

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
        help="directory, embedded model or hub id (default: %(default)s)",
    )
    parser.add_argument("--revision", metavar="REVISION", help="branch, tag or commit of a hub repository")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    from albertkit.checkpoints.describe import describe_checkpoint
    from albertkit.tokenization import AlbertTokenizer

    source = Source(arguments.model, arguments.revision)
    found = describe_checkpoint(source)
    tokenizer = AlbertTokenizer.from_pretrained(source)
    if arguments.json:
        print(json.dumps(found.to_dict() | {"tokens": len(tokenizer)}, ensure_ascii=False, indent=2))
        return 0
    total = sum(found.parameters.values())
    rows = [
        ("checkpoint", found.location),
        ("format", f"{found.format}, {found.dtype}, {found.bytes:,} bytes"),
        ("sha256", found.sha256),
        ("heads", ", ".join(found.heads) or "none"),
        ("heads missing", ", ".join(found.missing_heads) or "none"),
        ("vocabulary", f"{len(tokenizer):,} tokens, {'lower-cased' if tokenizer.do_lower_case else 'cased'}"),
        ("files", ", ".join(found.files)),
    ]
    print("\n".join(f"{label:16} {value}" for label, value in rows))
    print("\nconfiguration")
    print("\n".join(f"  {name:24} {getattr(found.config, name)}" for name in _SIZES))
    print(f"\nparameters{total:>35,}")
    print("\n".join(f"  {part:24} {count:>18,}  {count / total:6.1%}" for part, count in found.parameters.items()))
    return 0
