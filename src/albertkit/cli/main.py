"""The entry point: find the subcommand, load it alone, and turn every expected error into one line."""

from __future__ import annotations

import importlib
import io
import os
import sys
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import NoReturn

import albertkit
from albertkit.errors import AlbertError, suggest
from albertkit.optional import MissingExtraError

__all__ = ["COMMANDS", "CommandParser", "main", "make_parser"]

COMMANDS = {
    "fill-mask": "fill the [MASK] of a text",
    "feature-extraction": "turn texts into vectors",
    "text-classification": "classify texts or pairs of them",
    "token-classification": "mark names and other parts of texts",
    "question-answering": "find the answer to a question in texts",
    "zero-shot-classification": "classify texts by labels of your own",
    "sentence-similarity": "compare sentences with one",
    "multiple-choice": "choose the best ending or answer",
    "sentence-order": "say which of two texts comes first, or how coherent a document is",
    "pseudo-log-likelihood": "score how likely texts are",
    "tokenize": "show how texts are cut into pieces",
    "train-tokenizer": "learn a SentencePiece vocabulary from texts",
    "prepare": "turn texts into pre-training data",
    "pretrain": "pre-train a model from a recipe",
    "finetune": "fine-tune a model on a task or on a table of your own",
    "evaluate": "score a model on held-out documents and on sentences with a gap",
    "convert": "write a checkpoint of any ALBERT tool for another",
    "export": "write a model for ONNX or as a PyTorch program",
    "info": "describe a checkpoint",
    "doctor": "say what is installed and which engine runs",
    "completion": "let the shell complete commands and flags",
}
"""Subcommand → what it does, in the order in which ``--help`` lists them."""


class CommandParser(ArgumentParser):
    """The parser of one command: flags may stand between texts, and a misspelt one is answered with the nearest that exists."""

    def parse_words(self, words: Sequence[str]) -> Namespace:
        """Parse the words of the command; what follows ``--`` is text."""
        given, rest = self.parse_known_args(words)
        flags = rest[: rest.index("--")] if "--" in rest else rest
        texts = vars(given).get("text")  # argparse takes the first texts that stand together
        if any(word.startswith("-") for word in flags) or (rest and not isinstance(texts, list)):
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        if isinstance(texts, list):
            texts += [word for number, word in enumerate(rest) if word != "--" or number > len(flags)]
        return given

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end with status 2."""
        unknown, _, words = message.partition("unrecognized arguments: ")
        flag = next((word.partition("=")[0] for word in words.split() if word.startswith("-")), None)
        hint = suggest(flag, self._option_string_actions) if flag and not unknown else None
        super().error(message + (f"; {hint}" if hint else ""))


def make_parser(name: str) -> CommandParser:
    """The parser of a command, which is loaded for it alone."""
    module = importlib.import_module(f"albertkit.cli.{name.replace('-', '_')}")
    parser = CommandParser(prog=f"albertkit {name}", description=module.__doc__, allow_abbrev=False)
    module.add_arguments(parser)
    parser.set_defaults(run=module.run)
    return parser


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
    parser = make_parser(name)
    warnings.formatwarning = _format_warning
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # of what a terminal cannot show nothing fails
    try:
        given = parser.parse_words(words)
        status = given.run(given)
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
        *(f"  {name:{max(map(len, COMMANDS))}}  {summary}" for name, summary in COMMANDS.items()),
        "",
        "albertkit COMMAND --help tells more about one; albertkit --version prints the version.",
    ]
    return "\n".join(lines)


def _format_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
    """A warning as one line, without the place in the code."""
    return f"albertkit: note: {message}\n"
