"""Processes that take turns: each method of a benchmark lives in one of its own, so that no thread pool disturbs another's.

A worker says that it is ready, or why it cannot be; then it answers one line of JSON with another. While it measures, it watches
what its processors do for anyone else; a sample that others disturbed is measured again.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

NOISE = 0.02  # of the processors' time, spent for others: more makes a sample noisy
RETRIES = 5


class AbsentError(Exception):
    """A method cannot run here; the text says why."""


class Finished(Exception):  # noqa: N818
    """Nobody asks for more."""


@contextmanager
def answering() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Keep standard output for answers, the last of which says what went wrong; what libraries print goes to standard error."""
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)

        def answer(values: dict[str, Any]) -> None:
            print(json.dumps(values), file=channel, flush=True)

        try:
            yield answer
        except AbsentError as reason:
            answer({"absent": str(reason)})
        except ImportError as error:
            answer({"absent": f"not installed: {error.name or error}"})
        except Exception as error:  # a peer may break in any way; the others go on
            traceback.print_exc()
            answer({"absent": f"{type(error).__name__}: {str(error)[:200]}"})


def serve(build: Callable[[], Callable[[dict[str, Any]], dict[str, Any]]]) -> None:
    """Be a worker: ``build`` makes the function that answers each request."""
    with answering() as answer:
        respond = build()
        answer({"ready": True})
        for line in sys.stdin:
            answer(respond(json.loads(line)))


def serve_loop(run: Callable[[Callable[[int], None]], None]) -> None:
    """Be a worker whose work is a loop, maybe somebody else's: it calls ``pause`` before its first step with 0, and after each
    with the number of items that the step read. The step is the answer to a request, and there it waits for the next."""
    watch = memory = None
    with answering() as answer:

        def pause(items: int) -> None:
            nonlocal watch, memory
            if watch is None or memory is None:
                memory = Memory()
                answer({"ready": True})
            else:
                measured = {"seconds": watch.seconds, "noise": watch.noise}
                answer(measured | {"items": items, "base": memory.base, "above": memory.above})
            if not sys.stdin.readline():
                raise Finished
            watch = Watch()

        with suppress(Finished):
            run(pause)


class Worker:
    """The asking side of a worker."""

    def __init__(self, module: str, arguments: list[str], threads: int, log: Path) -> None:
        self.log = log
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        places = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | dict.fromkeys(names, str(threads)) | {"PYTHONPATH": os.pathsep.join(places)}
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", module, *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True, env=environment,
            )  # fmt: skip

    def absent(self) -> str | None:
        """Wait until it is ready; why it cannot run, where it cannot."""
        first = self._read()
        if "absent" in first:
            self.close()
        return first.get("absent")

    def ask(self, **request: Any) -> dict[str, Any]:
        """One answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._read()

    def ask_quietly(self, **request: Any) -> dict[str, Any]:
        """An answer that nobody disturbed, or the least disturbed of a few; or why there is none any more."""
        best: dict[str, Any] | None = None
        for number in range(RETRIES):
            if number:
                time.sleep(number)
            answer = self.ask(**request)
            if "absent" in answer:
                return answer
            if best is None or answer["noise"] < best["noise"]:
                best = answer
            if best["noise"] <= NOISE:
                break
        assert best is not None
        return best

    def close(self) -> None:
        """Let it end."""
        self.process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
            raise SystemExit(f"{' '.join(self.process.args)} has ended:\n{tail}")  # type: ignore[arg-type]
        return json.loads(line)  # type: ignore[no-any-return]


class Watch:
    """Seconds since it was made, and what others took of the processors meanwhile."""

    def __init__(self) -> None:
        self.busy, self.own, self.start = _busy_seconds(), time.process_time(), time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.start

    @property
    def noise(self) -> float:
        """A share of the processors that this process may use, from 0 to 1; its clock ticks a hundred times a second."""
        others = _busy_seconds() - self.busy - (time.process_time() - self.own)
        return max(0.0, others / self.seconds / len(os.sched_getaffinity(0)))


class Memory:
    """What this process holds in memory, MiB: ``base``, when this was made, and what its peak since lies above that."""

    def __init__(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on: proc(5)
        self.base = psutil.Process().memory_info().rss / 2**20

    @property
    def above(self) -> float:
        return max(0.0, _peak_memory() - self.base)


def _peak_memory() -> float:
    """MiB; what getrusage(2) says begins with what the parent held, so it is asked only where there is no other."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure(method: Callable[[], object], seconds: float) -> dict[str, float]:
    """Call ``method`` until ``seconds`` are over: seconds of a call, and the noise."""
    watch, calls = Watch(), 0
    while calls == 0 or watch.seconds < seconds:
        method()
        calls += 1
    return {"seconds": watch.seconds / calls, "noise": watch.noise}


def _busy_seconds() -> float:
    times = psutil.cpu_times(percpu=True)
    mine = [times[cpu] for cpu in os.sched_getaffinity(0)]
    return float(sum(sum(row) - row.idle - row.iowait - row.guest for row in mine))
