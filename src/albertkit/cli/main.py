"""The entry point: find the subcommand, load it alone, and turn every expected error into one line."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Sequence

import albertkit
from albertkit.errors import AlbertError, suggest
from albertkit.optional import MissingExtraError

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "fill-mask": "fill the [MASK] of a text",
    "tokenize": "show how texts are cut into pieces",
    "train-tokenizer": "learn a SentencePiece vocabulary from texts",
    "prepare": "turn texts into pre-training data",
    "pretrain": "pre-train a model from a recipe",
    "evaluate": "score a model on held-out documents and on sentences with a gap",
    "info": "describe a checkpoint",
    "doctor": "say what is installed and which engine runs",
}
"""Subcommand → what it does, in the order in which ``--help`` lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words after ``albertkit``; those of the process where none are given.

    Returns:
        Exit status: 0 done, 1 failed with one line that says what to do, 2 wrong usage.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"albertkit {albertkit.__version__}")
        return 0
    name = words[0]
    if name not in COMMANDS:
        hint = suggest(name, COMMANDS) or "albertkit --help lists them."
        print(f"albertkit: error: there is no command {name!r}; {hint}", file=sys.stderr)
        return 2
    return _run(name, words[1:])


def _run(name: str, words: list[str]) -> int:
    """Parse the words of one subcommand and run it; expected errors become one line and a status."""
    module = importlib.import_module(f"albertkit.cli.{name.replace('-', '_')}")
    parser = ArgumentParser(prog=f"albertkit {name}", description=module.__doc__, allow_abbrev=False)
    module.add_arguments(parser)
    warnings.formatwarning = _format_warning
    try:
        status = module.run(parser.parse_args(words))
        sys.stdout.flush()
    except SystemExit as stop:  # the parser's own: 0 after --help, 2 for wrong usage
        return int(stop.code or 0)
    except (AlbertError, MissingExtraError) as error:
        print(f"albertkit: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("albertkit: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has gone: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return int(status)


def _overview() -> str:
    lines = [
        "usage: albertkit COMMAND [ARGUMENT …]",
        "",
        "ALBERT (A Lite BERT): from raw text to predictions.",
        "",
        "commands:",
        *(f"  {name:16} {summary}" for name, summary in COMMANDS.items()),
        "",
        "albertkit COMMAND --help tells more about one; albertkit --version prints the version.",
    ]
    return "\n".join(lines)


def _format_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
    """A warning as one line, without the place in the code."""
    return f"albertkit: note: {message}\n"
