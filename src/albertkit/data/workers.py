"""Work shared out to processes, the results in order; what comes out is the same with any number of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from threading import Thread
from typing import Any, TypeVar

from albertkit.errors import DataError

__all__ = ["count_cores", "map_in_order"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_ITEMS_PER_WORKER = 2
"""Items on the way for each worker: one at work, one waiting, so that memory is bounded and nobody idles."""

_function: Callable[[Any], Any] | None = None
"""What a worker process applies to its items."""


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_order(make_function: Callable[[], Callable[[Item], Result]], items: Iterable[Item], workers: int) -> Generator[Result]:
    """Apply a function to items in worker processes, and give the results in the order of the items.

    Processes are started afresh ("spawn") and inherit nothing. With one worker, or one item, no process is started.

    Args:
        make_function: Called once in every worker, to load what the function needs; pickled, as are items and results.
        items: Taken one by one, never more ahead than the workers need.
        workers: Number of processes.

    Raises:
        DataError: If a worker dies.
    """
    items = iter(items)
    first_items = list(islice(items, 2))
    if workers == 1 or len(first_items) < 2:
        yield from map(make_function(), chain(first_items, items))
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(make_function,))
    pending: deque[Future[Result]] = deque()
    try:
        for item in chain(first_items, items):
            pending.append(_submit(executor, item))
            if len(pending) == workers * _ITEMS_PER_WORKER:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            "worker processes must stay alive to the end",
            received="one that was killed or could not start",
            fix="give it more memory or fewer workers; a script must call this under if __name__ == '__main__'",
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


def _submit(executor: ProcessPoolExecutor, item: Any) -> Future[Any]:
    """Hand an item over; a worker started for it inherits that Ctrl-C is not for it, but for the main process alone."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return executor.submit(_apply, item)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start_worker(make_function: Callable[[], Callable[[Any], Any]]) -> None:
    global _function
    Thread(target=_end_with_parent, daemon=True).start()
    _function = make_function()


def _end_with_parent() -> None:
    """Leave when the main process is gone, even killed: nobody would read the results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _apply(item: Any) -> Any:
    if _function is None:
        raise RuntimeError("a worker was not started")
    return _function(item)
