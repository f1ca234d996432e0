"""Write a checkpoint of any ALBERT tool for another: find out what it is, convert it, read the copy again and compare.

The source may hold safetensors, pytorch_model.bin, flax_model.msgpack, tf_model.h5, a KerasHub preset, or a checkpoint of
Google's code or of TensorFlow Hub, for which no TensorFlow is needed. Configuration, tokenizer and task come along.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from albertkit.cli.model_arguments import add_source_arguments
from albertkit.hub import Source

if TYPE_CHECKING:
    from albertkit.export import Conversion

__all__ = ["add_arguments", "run"]

_MOST_NAMED = 5
_FORMATS = ("safetensors", "flax", "tensorflow", "google")


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="directory, file of weights, prefix of a TensorFlow checkpoint, embedded model, published name or hub id",
    )
    parser.add_argument("destination", metavar="DESTINATION", help="directory to make; it must be new or empty")
    parser.add_argument(
        "--to",
        nargs="+",
        default=["safetensors"],
        choices=_FORMATS,
        help="model.safetensors (PyTorch, and all of albertkit), flax_model.msgpack, tf_model.h5, or model.ckpt-best for Google's"
        " code; several lie side by side (default: safetensors)",
    )
    parser.add_argument(
        "--architecture",
        metavar="CLASS",
        help="what a classifier of Google's is: AlbertForMultipleChoice … (default: as it looks)",
    )
    add_source_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    from albertkit.export import convert_checkpoint

    source = Source(arguments.source, arguments.revision, allow_pickle=arguments.allow_pickle)
    found = convert_checkpoint(source, arguments.destination, arguments.to, architecture=arguments.architecture)
    print(_to_json(found) if arguments.json else _describe(found, arguments.destination))
    return 0


def _to_json(found: Conversion) -> str:
    values = vars(found) | {"source": found.source.to_dict()}
    return json.dumps(values, ensure_ascii=False, indent=2)


def _describe(found: Conversion, destination: str) -> str:
    source = found.source
    differ = "the same" if found.largest_difference == 0 else f"at most {found.largest_difference:.1g} apart"
    rows = [
        ("source", f"{source.location}, {source.format}, {source.dtype}: {', '.join(source.weights)}"),
        *source.sizes(),
        ("heads", ", ".join(source.heads) or "none"),
        ("it lacks", ", ".join(source.missing_heads) or "none"),
        ("tokenizer", "none: put one beside the weights" if found.tokens is None else f"{found.tokens:,} tokens"),
        *([("left out", _shorten(found.left_out))] if found.left_out else []),
        ("written", f"{destination}: {', '.join(found.files)}"),
        ("compared", f"every array is the same; {found.scores:,} scores and hidden states of both are {differ}"),
    ]
    return "\n".join(f"{label:12} {value}" for label, value in rows)


def _shorten(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
