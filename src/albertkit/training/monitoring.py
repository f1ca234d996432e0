"""What a run tells: a line of JSON for programs, always; events for TensorBoard on request; a line of progress for people."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from albertkit import optional
from albertkit.errors import TrainingError
from albertkit.files import new_file
from albertkit.training.state import RunState

__all__ = ["Clock", "Log", "Progress", "Window", "describe_seconds"]

_TERMINAL_SECONDS = 0.5
_PIPE_SECONDS = 30.0
_DRAWN = ("train", "evaluation")  # events whose numbers go to TensorBoard


class Log:
    """``log.jsonl``: one JSON object a line, each flushed; floats that are not finite are written as ``null``.

    Args:
        path: The file; it is made or continued.
        after_step: On resuming, lines of later steps, which will be made again, are dropped.
        tensorboard: Folder of TensorBoard's event files, to which the numbers on training and evaluation go too, as
            ``train/loss`` and so on; there, what an earlier process wrote of later steps is hidden from the viewer.

    Raises:
        TrainingError: If the file cannot be written.
        MissingExtraError: If TensorBoard is asked for and not installed.
    """

    def __init__(self, path: Path, *, after_step: int, tensorboard: Path | None = None) -> None:
        self.path = path
        self._events = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                _keep_until(path, after_step)
            if tensorboard is not None:
                optional.require("tensorboard", "training.tensorboard")
                tensorboard.mkdir(parents=True, exist_ok=True)  # TensorFlow, where it is installed, fails by errors of its own
                writer = optional.require("torch.utils.tensorboard").SummaryWriter
                self._events = writer(str(tensorboard), purge_step=after_step + 1)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise self._unwritable(error) from None

    def write(self, event: str, values: Mapping[str, Any]) -> None:
        """Add a line.

        Args:
            event: What the line is about: ``train``, ``evaluation``, ``checkpoint``.
            values: Numbers and texts, ``step`` among them.

        Raises:
            TrainingError: If the disk is full.
        """
        finite = {name: _finite(value) for name, value in values.items()}
        try:
            self._file.write(json.dumps({"event": event} | finite) + "\n")
            self._file.flush()
            if self._events is not None and event in _DRAWN:
                for name, value in finite.items():
                    if name != "step" and isinstance(value, int | float):
                        self._events.add_scalar(f"{event}/{name}", value, values["step"])
                self._events.flush()
        except OSError as error:
            raise self._unwritable(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        if self._events is not None:
            self._events.close()

    def _unwritable(self, error: OSError) -> TrainingError:
        return TrainingError(
            "the log must be writable", received=f"{self.path} ({error.strerror})", fix="free some space, then run with --resume"
        )


class Progress:
    """One line on standard error: rewritten in place on a terminal, a new one every half minute elsewhere.

    Args:
        total_steps: Steps of the run.
        stream: Where to; standard error when absent.
    """

    def __init__(self, total_steps: int, stream: TextIO | None = None) -> None:
        self.total_steps = total_steps
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._due = 0.0

    def show(self, step: int, *figures: str, seconds_left: float) -> None:
        """Show how far the run is, if the last time is long enough ago.

        Args:
            step: Updates made.
            figures: What to show of the last steps, such as ``loss 2.345``.
            seconds_left: Estimate to the end of the run.
        """
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + (_TERMINAL_SECONDS if self._terminal else _PIPE_SECONDS)
        begin = f"step {step:,}/{self.total_steps:,} ({step / self.total_steps:.1%})"
        line = "  ".join((begin, *figures, f"{describe_seconds(seconds_left)} left"))
        self._stream.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
        self._stream.flush()

    def say(self, line: str) -> None:
        """Write a line that stays.

        Args:
            line: Without its end.
        """
        self._stream.write(f"\r\x1b[K{line}\n" if self._terminal else f"{line}\n")
        self._stream.flush()


class Clock:
    """Seconds of training, over all resumed parts.

    Args:
        before: Those of the parts before.
    """

    def __init__(self, before: float) -> None:
        self._start = time.monotonic() - before

    def read(self) -> float:
        """Seconds until now."""
        return time.monotonic() - self._start


class Window:
    """Means over the steps between two lines of the log.

    Args:
        state: The run's, read whenever a step is added.
        matrix_rate: Floating-point operations a second that the devices of the run can do.

    Attributes:
        tokens_per_second: Since the last line.
        tflops: 10¹² floating-point operations of the model a second (:mod:`albertkit.training.flops`), since the last line.
        mfu: The share of ``matrix_rate`` that these are.
    """

    def __init__(self, state: RunState, matrix_rate: float) -> None:
        self.tokens_per_second = self.tflops = self.mfu = 0.0
        self._state, self._matrix_rate = state, matrix_rate
        self._steps: list[Mapping[str, float]] = []
        self._begin = (state.tokens, state.flops, state.seconds)

    def add(self, values: Mapping[str, float]) -> None:
        """Add a step.

        Args:
            values: What is to be averaged, and ``learning_rate``.
        """
        self._steps.append(values)
        tokens, flops, begin = self._begin
        seconds = max(self._state.seconds - begin, 1e-9)
        self.tokens_per_second = (self._state.tokens - tokens) / seconds
        self.tflops = (self._state.flops - flops) / seconds / 1e12
        self.mfu = self.tflops * 1e12 / self._matrix_rate

    def close(self) -> dict[str, float]:
        """The log's line on the steps added; the next window begins."""
        state, last = self._state, self._steps[-1]
        line = {"step": state.step} | {name: sum(step[name] for step in self._steps) / len(self._steps) for name in last}
        line |= {"learning_rate": last["learning_rate"], "tokens_per_second": self.tokens_per_second}
        line |= {"tflops": self.tflops, "mfu": self.mfu, "tokens": state.tokens, "seconds": state.seconds}
        self._steps, self._begin = [], (state.tokens, state.flops, state.seconds)
        return line


def describe_seconds(seconds: float) -> str:
    """A duration for people: ``42 s``, ``3 min 20 s``, ``1 h 05 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _keep_until(path: Path, step: int) -> None:
    """Drop the lines of steps after ``step``, and a last line that was cut short."""
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line).get("step", 0) <= step:
                kept.append(line + "\n")
        except ValueError:
            continue
    with new_file(path) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")
