"""Answering a whole file into another: in flat memory, with a progress bar, and so that an interrupted run goes on.

Answers are appended to ``OUTPUT.partial`` a window at a time. Beside it ``OUTPUT.partial.progress`` holds what the run was told
and, after each window, how far it came; a run that finds both cuts what came after the last whole window and goes on there.
Windows end at the same items however often a run is stopped, so its output is the same to the byte.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import albertkit
from albertkit.cli.records import LIST_SEPARATOR, Form, Item, count_items, open_input, read_items
from albertkit.cli.task_command import TaskCommand, answer_windows, load_pipeline, make_form, report, to_json
from albertkit.errors import InputError

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["run_bulk"]

_SUFFIXES = (".jsonl", ".csv", ".txt")
_CHARACTERS_A_TOKEN = 4  # of English, about
_CACHES = "LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
"""Where PyTorch and oneDNN read, when they are loaded, how many kernels to keep. They make one for each number of tokens that a
batch has, and keep 1,024 otherwise: half a gigabyte, for which a large job has no use."""


def run_bulk(command: TaskCommand, arguments: Namespace) -> int:
    """Answer ``--input`` into ``--output``, and return the exit status: 1 if an input could not be answered.

    Raises:
        AlbertError: If the files, the model or the options do not allow it, or an interrupted run was told something else.
    """
    output = Path(arguments.output)
    _check_paths(arguments, output)
    from albertkit.pipelines import PIPELINES

    form = make_form(command, arguments, PIPELINES[command.task])
    total = count_items(arguments.input, form)
    if arguments.engine == "auto":
        arguments.engine = _choose_engine(arguments)
    for cache in _CACHES:
        os.environ.setdefault(cache, "32")
    pipeline = load_pipeline(command, arguments)
    writer = _Writer(command, form, arguments.input, output.suffix)
    with _Partial.open(output, _settings(command, arguments)) as partial, _progress_bar(total, partial.done.items) as bar:
        if not partial.done.bytes:
            partial.append(writer.head(), 0, 0)
        items = read_items([], arguments.input, form)
        try:
            for window in answer_windows(pipeline, itertools.islice(items, partial.done.items, None), form):
                bad = [(item.number, answer) for item, answer in window if isinstance(answer, InputError)]
                partial.append("".join(writer.write(item, answer) for item, answer in window), len(window), len(bad))
                bar.clear()
                for number, error in bad:
                    report(error, "line", number)
                bar.update(len(window))
        except KeyboardInterrupt:
            bar.close()
            place = f"{partial.done.items:,} of {total:,}"
            print(f"albertkit: stopped after {place}; run the same command again to go on.", file=sys.stderr)
            return 130
        partial.finish()
    done = partial.done
    summary = f"{done.items - done.bad:,} answered" + (f", {done.bad:,} could not be" if done.bad else "")
    print(f"albertkit: {summary}; written to {output}", file=sys.stderr)
    return int(done.bad > 0)


def _check_paths(arguments: Namespace, output: Path) -> None:
    """Refuse what would fail only after the work, or do harm."""
    if not arguments.input:
        raise InputError("--output needs --input", received="--output alone", fix="print with --json and redirect it to a file")
    if arguments.text:
        raise InputError("texts come from the command line or from --input", received="both", fix="leave one out")
    if output.suffix not in _SUFFIXES:
        raise InputError(f"--output must end in {', '.join(_SUFFIXES)}", received=str(output))
    if not output.parent.is_dir():
        raise InputError("--output must be in a directory that exists", received=str(output), fix=f"make {output.parent} first")
    if output.is_dir():
        raise InputError("--output must name a file", received=f"{output}, a directory")
    given = Path(arguments.input)
    if given.is_fifo() or given.is_char_device():
        raise InputError(
            "--output needs an --input that can be read again",
            received=f"{given}, a pipe or a device",
            fix="write it to a file first, or leave --output out and redirect what --json prints",
        )
    with open_input(given):
        if output.exists() and output.samefile(given):
            raise InputError("--output must not be the input", received=f"{output} for both", fix="name another file")


def _choose_engine(arguments: Namespace) -> str:
    """What ``auto`` takes for the whole file: engines differ in the last digits, and a run may be interrupted."""
    from albertkit.checkpoints.exported import is_only_exported
    from albertkit.config import AlbertConfig
    from albertkit.hub import Source
    from albertkit.inference.engine import choose_engine, find_installed, work_of_token

    model = Source.of(arguments.model, arguments.revision, allow_pickle=arguments.allow_pickle)
    tokens = Path(arguments.input).stat().st_size / _CHARACTERS_A_TOKEN
    return choose_engine(
        tokens * work_of_token(AlbertConfig.from_pretrained(model)),
        arguments.device,
        arguments.dtype,
        installed=find_installed(),
        loaded=(),
        is_only_exported=is_only_exported(model),
    ).engine


def _settings(command: TaskCommand, arguments: Namespace) -> dict[str, Any]:
    """All that an answer depends on, by the names of the flags."""
    with open_input(arguments.input) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    model = Path(arguments.model)
    names = ("engine", "device", "dtype", "revision", "batch_size", "token_budget", *command.given, *command.options)
    found: dict[str, Any] = {
        "albertkit": albertkit.__version__,
        "task": command.task,
        "input": [Path(arguments.input).suffix, digest],
        "model": str(model.resolve()) if model.is_dir() else arguments.model,
        "files of the model": [
            (file.name, file.stat().st_size, file.stat().st_mtime_ns)
            for file in sorted(model.glob("*"))
            if file.suffix in (".json", ".safetensors", ".bin", ".model", ".onnx")
        ],
    }
    found |= {f"--{name.replace('_', '-')}": vars(arguments).get(name) for name in names}
    as_read_back: dict[str, Any] = json.loads(json.dumps(found))  # tuples are lists
    return as_read_back


class _Writer:
    """Answers as lines of a file."""

    def __init__(self, command: TaskCommand, form: Form, source: str, suffix: str) -> None:
        self._command = command
        self._form = form
        self._suffix = suffix
        self._columns: list[str] = []
        if suffix == ".csv":
            # Those of the first readable item: a table has its columns before its rows.
            first = next((item for item in read_items([], source, form) if item.error is None), None)
            self._columns = [name for name in (first.columns if first else ()) if name != "error"]

    def head(self) -> str:
        """What stands before the answers."""
        if self._suffix != ".csv":
            return ""
        return _row([*self._columns, *(f"answer.{name}" for name in self._command.columns), "error"])

    def write(self, item: Item, answer: Any) -> str:
        """The line of one answer; of what could not be answered, its error, or in ``.txt`` nothing."""
        failed = isinstance(answer, InputError)
        if self._suffix == ".jsonl":
            return to_json(item, answer) + "\n"
        if self._suffix == ".csv":
            cells = [""] * len(self._command.columns) if failed else self._command.cells(answer)
            error = str(answer) if failed else ""
            return _row([*map(_cell, (item.columns.get(name) for name in self._columns)), *map(_cell, cells), error])
        return ("" if failed else " ".join(self._command.line(self._form.record(item), answer).split())) + "\n"


def _row(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _cell(value: Any) -> str:
    """A value as one cell: nothing for none, lists with separators, objects as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list | tuple):
        return LIST_SEPARATOR.join(map(_cell, value))
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class _Done:
    """How far a run came: items answered, bytes of output, and items that could not be answered."""

    items: int = 0
    bytes: int = 0
    bad: int = 0


class _Partial:
    """The unfinished output and the log of its progress."""

    def __init__(self, output: Path, settings: dict[str, Any]) -> None:
        self._output = output
        self._data_path = output.with_name(f"{output.name}.partial")
        self._log_path = output.with_name(f"{output.name}.partial.progress")
        self._log = self._log_path.open("a", encoding="utf-8")
        try:
            _require_alone(self._log, output)
            if self._data_path.exists():
                self.done = self._read_log(settings)
            else:
                self.done = _Done()
                self._log.truncate(0)
                self._log.write(json.dumps(settings) + "\n")
                self._log.flush()
            self._data = self._data_path.open("ab")
        except BaseException:
            self._log.close()
            raise
        self._data.truncate(self.done.bytes)

    @classmethod
    @contextmanager
    def open(cls, output: Path, settings: dict[str, Any]) -> Iterator[_Partial]:
        """Begin or go on; where a disk does not take it, say so."""
        try:
            partial = cls(output, settings)
            try:
                yield partial
            finally:
                partial._close()
        except OSError as error:
            raise InputError("--output must name a file that can be written", received=f"{output} ({error.strerror})") from None

    def _read_log(self, settings: dict[str, Any]) -> _Done:
        """How far the run before came, if it was told the same."""
        anew = f"to start anew, remove {self._data_path}"
        try:
            text = self._log_path.read_bytes()
            whole = text[: text.rfind(b"\n") + 1]  # the last line may be half-written
            before, *windows = map(json.loads, whole.splitlines())
        except (OSError, ValueError):
            raise InputError(
                "an unfinished output needs its log to go on", received=f"no {self._log_path.name} of it", fix=anew
            ) from None
        changed = [name for name in {**before, **settings} if before.get(name) != settings.get(name)]
        if changed:
            raise InputError(
                "an interrupted run goes on with the input and the settings it began with",
                received=f"another {', '.join(changed)}",
                fix=f"run it as before, or, {anew}",
            )
        os.truncate(self._log_path, len(whole))
        return _Done(**windows[-1]) if windows else _Done()

    def append(self, text: str, items: int, bad: int) -> None:
        """Add a window; once this returns it is kept."""
        done = self.done
        # Lone surrogates come from damaged input; so written they are what JSON escapes them to.
        data = text.encode("utf-8", "backslashreplace")
        self._data.write(data)
        self._data.flush()
        os.fsync(self._data.fileno())
        self.done = _Done(done.items + items, done.bytes + len(data), done.bad + bad)
        self._log.write(json.dumps(asdict(self.done)) + "\n")
        self._log.flush()

    def finish(self) -> None:
        """Give the output its name."""
        self._data.close()
        self._data_path.replace(self._output)
        self._close()  # the log last: no other run begins before
        self._log_path.unlink()

    def _close(self) -> None:
        self._data.close()
        self._log.close()


def _require_alone(log: TextIO, output: Path) -> None:
    """Refuse to write beside another run, whose answers would stand between ours; until the log is closed."""
    if sys.platform != "win32":
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "one run at a time may write an output", received=f"{output}, which another run writes", fix="wait for that one"
            ) from None


def _progress_bar(total: int, done: int) -> tqdm[Any]:
    """Share, texts a second and time left on standard error, where that is a terminal."""
    from tqdm import tqdm

    return tqdm(total=total, initial=done, unit=" texts", file=sys.stderr, disable=None)
