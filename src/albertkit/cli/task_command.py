"""What the commands of all tasks share: their words, the model, answering inputs in windows, and printing or writing answers."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from albertkit.cli.model_arguments import add_model_arguments
from albertkit.cli.records import Form, Item, read_items
from albertkit.errors import InputError

if TYPE_CHECKING:
    from albertkit.pipelines import Pipeline

__all__ = [
    "Record",
    "TaskCommand",
    "add_task_arguments",
    "answer_windows",
    "load_pipeline",
    "make_form",
    "report",
    "run_task",
    "to_json",
]

Record = Mapping[str, Any]

_WINDOW = 256  # inputs answered together
_WINDOW_CHARACTERS = 1 << 15  # and their characters, so that an interrupted run loses little
_FILES = (
    "Files: a .txt has a text a line; a .jsonl an object a line with %(fields)s; a .csv a header with these names, and lists in"
    " one cell, separated by |. Written are, as --output ends: .jsonl, every column of the input and the answers; .csv, its"
    " columns and, as answer.*, the parts of an answer, several of them separated by |; .txt, a line for each input. What cannot"
    " be answered is reported with its line and holds an error, and the rest goes on. An interrupted run goes on when the same"
    " command is run again."
)


@dataclass(frozen=True)
class TaskCommand:
    """A task on the command line.

    Attributes:
        task: Name of its pipeline and of the command.
        inputs: The parts of an input, for people.
        options: Options of the pipeline that are flags here; one whose flag is suppressed keeps the pipeline's default.
        show: What people see of an input and its answer.
        columns: Of a table of answers.
        cells: An answer in these columns; a list is several values.
        line: An answer on one line.
        text_field: The part of an input that a bare text is.
        given: Parts of an input that are flags here.
        gather: Makes one input of all texts; without it each text is an input.
    """

    task: str
    inputs: str
    options: tuple[str, ...]
    show: Callable[[Record, Any], str]
    columns: tuple[str, ...]
    cells: Callable[[Any], Sequence[Any]]
    line: Callable[[Record, Any], str]
    text_field: str = "text"
    given: tuple[str, ...] = ()
    gather: Callable[[list[str]], dict[str, Any]] | None = None


def add_task_arguments(parser: ArgumentParser, command: TaskCommand, texts: str = "the texts") -> None:
    """Add what every task's command takes.

    Args:
        parser: The command's.
        command: The task.
        texts: What the words of the command line are.
    """
    parser.add_argument("text", nargs="*", metavar="TEXT", help=f"{texts}; without any, the lines of standard input")
    group = parser.add_argument_group("files and output")
    group.add_argument("--input", metavar="FILE", help="read a file instead: .txt, .jsonl or .csv")
    group.add_argument("--output", metavar="FILE", help="with --input: write to .jsonl, .csv or .txt, with a progress bar")
    group.add_argument("--json", action="store_true", help="print one JSON object a line, for programs")
    add_model_arguments(parser)
    parser.epilog = _FILES % {"fields": command.inputs}


def run_task(command: TaskCommand, arguments: Namespace) -> int:
    """Answer the inputs, and return the exit status: 1 if one could not be answered.

    Raises:
        AlbertError: If nothing can be answered, because of the model, the options or the files.
    """
    if arguments.output:
        from albertkit.cli.bulk import run_bulk

        return run_bulk(command, arguments)
    if arguments.text:
        # A few short texts are quickest on one thread, and many times so beside a busy process: NumPy's BLAS waits for its
        # threads actively. It reads this once, when it is loaded.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from albertkit.pipelines import PIPELINES

    form = make_form(command, arguments, PIPELINES[command.task])
    items = read_items(arguments.text, arguments.input, form)
    most = 1 if not arguments.text and not arguments.input and sys.stdin.isatty() else _WINDOW
    unit = "line" if not arguments.text else "text" if len(arguments.text) > 1 and not command.gather else None
    pipeline = load_pipeline(command, arguments)
    failed = False
    separator = ""
    for item, answer in (pair for window in answer_windows(pipeline, items, form, most) for pair in window):
        if isinstance(answer, InputError):
            failed = True
            report(answer, unit, item.number)
        if arguments.json:
            print(to_json(item, answer), flush=True)
        elif not isinstance(answer, InputError):
            block = command.show(form.record(item), answer)
            print(separator + block, flush=True)
            separator = "\n" if "\n" in block else ""
    return int(failed)


def make_form(command: TaskCommand, arguments: Namespace, kind: type[Pipeline[Any]]) -> Form:
    """How this command's texts and rows become inputs of its pipeline."""
    fields = {name: field.many for name, field in kind.fields.items()}
    given = {name: value for name in command.given if (value := getattr(arguments, name)) is not None}
    return Form(fields, command.text_field, command.gather, given)


def load_pipeline(command: TaskCommand, arguments: Namespace) -> Pipeline[Any]:
    """The task's pipeline as the flags say; an input that it cannot use is answered by the error."""
    from albertkit.pipelines import pipeline

    loaded: Pipeline[Any] = pipeline(
        command.task,
        arguments.model,
        engine=arguments.engine,
        device=arguments.device,
        dtype=arguments.dtype,
        revision=arguments.revision,
        allow_pickle=arguments.allow_pickle,
        token_budget=arguments.token_budget,
        batch_size=arguments.batch_size,
        errors="return",
        **{name: value for name, value in vars(arguments).items() if name in command.options},
    )
    return loaded


def answer_windows(
    pipeline: Pipeline[Any], items: Iterable[Item], form: Form, most: int = _WINDOW
) -> Iterator[list[tuple[Item, Any]]]:
    """Items with their answers, a window of them after the other; where the windows end depends on the items alone."""
    for window in _windows(items, most):
        readable = [form.record(item) for item in window if item.error is None]
        # An iterator is answered one by one: a list of one text would have another form in some tasks.
        answers = iter(pipeline(iter(readable)))  # type: ignore[operator]
        yield [(item, next(answers) if item.error is None else item.error) for item in window]


def _windows(items: Iterable[Item], most: int) -> Iterator[list[Item]]:
    window: list[Item] = []
    characters = 0
    for item in items:
        if window and characters + item.characters > _WINDOW_CHARACTERS:
            yield window  # what is too large alone stands alone: to be found by halving it would be tokenized again and again
            window, characters = [], 0
        window.append(item)
        characters += item.characters
        if len(window) >= most:
            yield window
            window, characters = [], 0
    if window:
        yield window


def to_json(item: Item, answer: Any) -> str:
    """An item with its answers, or its error, as one line of JSON."""
    columns = {name: value for name, value in item.columns.items() if name not in ("answers", "error")}
    last = {"error": str(answer)} if isinstance(answer, InputError) else {"answers": answer}
    return json.dumps(columns | last, ensure_ascii=False)


def report(error: InputError, unit: str | None, number: int) -> None:
    """Say on standard error what cannot be answered."""
    where = f"{unit} {number}: " if unit else ""
    print(f"albertkit: error: {where}{error}", file=sys.stderr)
