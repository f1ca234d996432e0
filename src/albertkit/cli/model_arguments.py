"""The arguments that every command with a model takes, and the reading of its texts."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from albertkit.errors import InputError
from albertkit.hub import DEFAULT_MODEL

__all__ = ["add_model_arguments", "add_text_arguments", "read_texts"]


def add_model_arguments(parser: ArgumentParser) -> None:
    """Add ``--model``, ``--engine``, ``--device``, ``--dtype`` and ``--revision``."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="NAME", help="directory, embedded model or hub id (default: %(default)s)"
    )
    group.add_argument(
        "--engine", default="auto", choices=("auto", "numpy", "torch"), help="what computes (default: %(default)s)"
    )
    group.add_argument("--device", metavar="DEVICE", help="where to compute with PyTorch: cpu, cuda:0 …")
    group.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16", "auto"), help="number type to compute in with PyTorch"
    )
    group.add_argument("--revision", metavar="REVISION", help="branch, tag or commit of a hub repository")


def add_text_arguments(parser: ArgumentParser) -> None:
    """Add ``TEXT…`` and ``--input FILE``."""
    parser.add_argument("text", nargs="*", metavar="TEXT", help="the texts; without any, standard input is read, a text a line")
    parser.add_argument(
        "--input", metavar="FILE", help="read the texts from a file, a text a line; .jsonl: the field text of each line"
    )


def read_texts(arguments: Namespace) -> Iterator[str]:
    """The texts a command was given: its words, a file, or the lines of standard input.

    Raises:
        InputError: If both words and a file are given, or the file cannot be read.
    """
    if arguments.text and arguments.input:
        raise InputError("texts come from the command line or from --input", received="both", fix="leave one out")
    if arguments.text:
        yield from arguments.text
    elif arguments.input:
        yield from _lines_of(Path(arguments.input))
    else:
        if sys.stdin.isatty():
            print("albertkit: reading texts from the keyboard, one a line; Ctrl-D ends.", file=sys.stderr)
        yield from (line.rstrip("\n") for line in sys.stdin if line.strip())


def _lines_of(path: Path) -> Iterator[str]:
    import json

    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                if path.suffix != ".jsonl":
                    yield line.rstrip("\n")
                    continue
                entry = json.loads(line)
                if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
                    raise InputError(
                        'each line of a .jsonl file must be an object with a "text"', received=f"{path}, line {number}"
                    )
                yield entry["text"]
    except OSError as error:
        raise InputError("--input must name a readable file", received=f"{path} ({error.strerror})") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError("--input must be UTF-8 text, or JSON lines", received=f"{path} ({error})") from None
