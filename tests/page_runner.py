"""Running the blocks of a page of documentation, and comparing what comes out with what is shown.

A page's blocks run in their order, in a folder of their own and with one namespace:

- ``python``: runs. A comment after an expression that looks like a value is its value, ``…`` standing for what is left out.
- ``bash``: each ``albertkit`` command runs, but for those that take long; a ``text`` block that follows is what they print.
- a block with a title is a file: it is written for the commands that read it, or compared with what they wrote.
- ``yaml``: part of a recipe.

A block of any other kind is a failure. Numbers may differ in their last digit, as they do between processors.
"""

from __future__ import annotations

import ast
import io
import json
import re
import shlex
import sys
import tokenize
from pathlib import Path
from typing import Any

import pytest
import yaml

from albertkit.cli.main import COMMANDS, main, make_parser
from albertkit.training.finetuning.recipe import list_keys as list_finetuning_keys
from albertkit.training.recipe import list_keys

RECIPE_KEYS = list_keys() | list_finetuning_keys()
PARSED_COMMANDS = {"train-tokenizer", "prepare", "pretrain", "evaluate"}  # they take long; their own tests run them
OTHER_PROGRAMS = {"pip", "python", "python3", "pytest", "tensorboard"}  # not ours to test

BLOCK = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")


# ---------------------------------------------------------------- what is shown, and what came


def read_shown(text: str) -> Any:
    """A value as a page shows it; ``…`` stands for anything, or for further entries."""
    text = re.sub(r"""('[^']*'|"[^"]*")|…""", lambda match: match[1] or "...", text).replace("torch.Size(", "tuple(")
    text = re.sub(
        r"""(?<=[{,] )\.\.\.,\s*(?=['"]\w+['"]:)""", "", text
    )  # between entries of an object; the one at its end says it too
    return eval(re.sub(r"([{,]\s*)\.\.\.\s*}", r"\1...: ...}", text), {"true": True, "false": False, "null": None})


def matches(value: Any, shown: Any) -> bool:
    """Whether a value is the one shown."""
    if shown is ...:
        return True
    if isinstance(shown, str):
        return isinstance(value, str) and bool(re.fullmatch(re.escape(shown).replace("…", ".*"), value, re.DOTALL))
    if isinstance(shown, dict):
        names = {name for name in shown if name is not ...}
        complete = names == value.keys() if names == shown.keys() else names <= value.keys()
        return complete and all(matches(value[name], shown[name]) for name in names)
    if isinstance(shown, list | tuple):
        listed = shown[:-1] if shown and shown[-1] is ... else shown
        fits = len(value) == len(shown) if listed is shown else len(value) >= len(listed)
        return fits and all(map(matches, value, listed))
    if isinstance(shown, float):
        return abs(float(value) - shown) <= last_digit(repr(shown))
    return bool(value == shown)


def last_digit(number: str) -> float:
    """The worth of a number's last digit, and a little."""
    return 1.01 * 10.0 ** -len(number.partition(".")[2])


def same_line(printed: str, shown: str) -> bool:
    """Whether a line is the one shown: the same words, bars left out, and numbers but for their last digit."""
    words, shown_words = ([word for word in line.split() if not set(word) <= set("█▏")] for line in (printed, shown))
    if shown_words and shown_words[-1] == "…":
        shown_words.pop()
        words = words[: len(shown_words)]
    return len(words) == len(shown_words) and all(map(same_word, words, shown_words))


def same_word(word: str, shown: str) -> bool:
    numbers, shown_numbers = NUMBER.findall(word), NUMBER.findall(shown)
    if NUMBER.sub("0", word) != NUMBER.sub("0", shown) or len(numbers) != len(shown_numbers):
        return bool(re.fullmatch(re.escape(shown).replace("…", ".*"), word))
    pairs = ((one.replace(",", ""), other.replace(",", "")) for one, other in zip(numbers, shown_numbers, strict=True))
    return all(abs(float(one) - float(other)) <= (last_digit(other) if "." in other else 0) for one, other in pairs)


def assert_same_lines(printed: list[str], shown: list[str]) -> None:
    """Compare line by line; a shown line ``…`` ends what is shown."""
    if shown and shown[-1].strip() == "…":
        shown = shown[:-1]
        printed = printed[: len(shown)]
    assert len(printed) == len(shown), "\n".join(printed)
    for line, expected in zip(printed, shown, strict=True):
        assert same_line(line, expected), f"printed: {line}\n  shown: {expected}"


# ---------------------------------------------------------------- running a page


class Runner:
    """Runs the blocks of one page in the folder where the test stands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, parse_only: bool) -> None:
        self.monkeypatch, self.capsys, self.parse_only = monkeypatch, capsys, parse_only
        self.namespace: dict[str, Any] = {"__name__": "documentation"}
        self.printed: list[str] | None = None  # by the commands of the block before
        self.failed: str | None = None  # one of these, whose message must be shown

    def run(self, kind: str, title: str | None, code: str) -> None:
        printed, self.printed = self.printed, None
        if kind != "text":
            self.finish()
        if title is not None:
            self.file(Path(title), code)
        elif kind == "python":
            self.python(code)
        elif kind == "bash":
            self.printed = [line for command in commands_of(code) for line in self.command(command)]
        elif kind == "text":
            assert printed is not None, "a text block is what the commands before it print"
            self.failed = None
            assert_same_lines(printed, code.splitlines())
        elif not kind and code.startswith("src/albertkit/\n"):
            pass  # the tree of the README, which has its own test
        elif kind == "yaml":
            sections = {key.partition(".")[0] for key in RECIPE_KEYS}
            assert yaml.safe_load(code).keys() <= sections
        else:
            pytest.fail(f"no block of the kind {kind!r} is known here")

    def finish(self) -> None:
        """A command that fails shows its message."""
        assert self.failed is None, f"failed: {self.failed}"

    def python(self, code: str) -> None:
        """Run statement by statement, and compare the values that comments show."""
        shown = shown_values(code)
        for statement in ast.parse(code).body:
            if statement.end_lineno not in shown:
                exec(compile(ast.Module([statement], []), "<documentation>", "exec"), self.namespace)
                continue
            assert isinstance(statement, ast.Expr), f"only an expression has a value: line {statement.lineno}"
            value = eval(compile(ast.Expression(statement.value), "<documentation>", "eval"), self.namespace)
            expected = shown[statement.end_lineno]
            assert matches(value, read_shown(expected)), f"came:  {value!r}\nshown: {expected}"

    def command(self, line: str) -> list[str]:
        """Run one command of a shell and return what it prints."""
        source, _, rest = line.rpartition(" | ")
        words = shlex.split(rest, comments=True)
        program = Path(words[0]).name
        if program in OTHER_PROGRAMS:
            return []
        assert program in ("albertkit", "torchrun"), f"a program that this test does not know: {line}"
        name, *arguments = words[words.index("albertkit") + 1 :] if program == "torchrun" else words[1:]
        is_shown_only = is_absent_run(arguments) or (name == "finetune" and not has_data(arguments))
        if self.parse_only or name in PARSED_COMMANDS or is_shown_only:
            parse(name, arguments)
            return []
        echoed = shlex.split(source)
        assert not source or echoed[0] == "echo"
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(" ".join(echoed[1:]) + "\n" if source else ""))
        status = main([name, *arguments])
        out, err = self.capsys.readouterr()
        if status:
            self.failed = err
        return (out if status == 0 else out + err).splitlines()

    def file(self, path: Path, content: str) -> None:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            return
        written, shown = path.read_text(encoding="utf-8").splitlines(), content.splitlines()
        if path.suffix != ".jsonl":
            assert_same_lines(written, shown)
            return
        if shown[-1] != "…":
            assert len(written) == len(shown)
        for line, expected in zip(written, [line for line in shown if line != "…"], strict=False):
            assert matches(json.loads(line), read_shown(expected)), f"written: {line}\nshown:   {expected}"


def has_data(arguments: list[str]) -> bool:
    """Whether the examples of a fine-tuning are there, as a table that the page shows is."""
    return "--data.train" in arguments and Path(arguments[arguments.index("--data.train") + 1]).exists()


def is_absent_run(arguments: list[str]) -> bool:
    """Whether the model is one that a fine-tuning would have made, had its data been there."""
    model = arguments[arguments.index("--model") + 1] if "--model" in arguments else ""
    return model.startswith("runs/") and not Path(model).exists()


def commands_of(code: str) -> list[str]:
    """The commands of a shell's lines: those that go on after a backslash joined, those with ``&&`` between them apart."""
    lines = re.sub(r"\\\n\s*", "", code).splitlines()
    return [part for line in lines if line.strip() and not line.startswith("#") for part in line.split(" && ")]


def parse(name: str, arguments: list[str]) -> None:
    """Parse the words of a command, which exits where it cannot."""
    assert name in COMMANDS
    make_parser(name).parse_args(arguments)


def shown_values(code: str) -> dict[int, str]:
    """Line on which a statement ends → the value that the comment on it, or on the lines below it, shows."""
    found: dict[int, str] = {}
    last = previous = 0
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        line = token.start[0]
        if token.type == tokenize.COMMENT:
            text = token.string.removeprefix("#").strip()
            if last in found and previous == line - 1:
                found[last] += " " + text
            elif re.match(r"[\[{('\"\d-]|(?:True|False|None)\b|torch\.Size", text) and line - last <= 1:
                found[last] = text
            previous = line
        elif token.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            last = token.end[0]
    return found
