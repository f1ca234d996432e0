"""What every training loop is made of: an update, batches made ahead, and a way to stop in peace. For any model."""

from __future__ import annotations

import math
import queue
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from albertkit.errors import TrainingError
from albertkit.training.distributed import Processes

if sys.platform != "win32":
    import resource

__all__ = ["StopRequest", "choose_device", "made_ahead", "mix_seed", "peak_memory_bytes", "update"]

Item = TypeVar("Item")
_AHEAD = 4  # batches in waiting


def choose_device(name: str, local_rank: int | None = None) -> torch.device:
    """The device a recipe names; ``auto`` is a GPU if there is one.

    Args:
        name: As in the recipe.
        local_rank: Number of this process on its host, whose GPU it takes where none is named by number.

    Raises:
        TrainingError: If there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and local_rank is not None:
        name = f"cuda:{local_rank}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise TrainingError(
            "device must be one that PyTorch can use here", received=name, fix="auto takes what there is"
        ) from None
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory that was in use at once: a GPU's by tensors, else this process's; 0 where the system does not tell.

    Args:
        device: Of the model.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, kibibytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def mix_seed(*numbers: int) -> int:
    """A seed for each step of each run and process.

    Args:
        numbers: Seed, step, rank and the like.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def update(
    optimizer: Optimizer,
    losses: Iterable[Sequence[Tensor]],
    *,
    names: Sequence[str],
    learning_rate: float,
    clip_norm: float | None,
    processes: Processes,
    where: str,
) -> dict[str, float]:
    """Make one update from the sum of some losses, those of other processes among them.

    Args:
        optimizer: Over the parameters.
        losses: For each part of the batch, scalars whose sum is differentiated before the next part is computed: an iterator
            computes one part at a time, so that the memory of one is needed.
        names: Of a part's losses.
        learning_rate: Of this update.
        clip_norm: Largest global norm of the gradient.
        processes: Those that make the update together.
        where: The step, for the message.

    Returns:
        Name → total of each loss; ``loss``, their sum; and ``grad_norm``, before clipping.

    Raises:
        TrainingError: If the loss or the norm is not finite. Nothing has been updated then, on any process.
    """
    optimizer.zero_grad(set_to_none=True)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    sums = torch.zeros(len(names), dtype=torch.float64, device=parameters[0].device)
    for part in losses:
        sum(part[1:], part[0]).backward()  # type: ignore[no-untyped-call]
        sums += torch.stack([loss.detach() for loss in part])
    processes.sum_gradients(parameters)
    length = torch.nn.utils.clip_grad_norm_(parameters, math.inf if clip_norm is None else clip_norm, foreach=True)
    *totals, norm = torch.cat([sums, length.to(sums)[None]]).tolist()  # the step's one wait for a GPU
    totals = processes.sum(*totals)
    total = sum(totals)
    if not (math.isfinite(total) and math.isfinite(norm)):
        optimizer.zero_grad(set_to_none=True)
        raise TrainingError(
            "the loss and its gradient must stay finite",
            received=f"loss {total} and gradient norm {norm} at {where}, which was not applied",
            fix="lower optimizer.learning_rate or lengthen schedule.warmup_steps",
        )
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["rate_factor"]
    optimizer.step()
    return dict(zip(names, totals, strict=True)) | {"loss": total, "grad_norm": norm}


@contextmanager
def made_ahead(items: Iterator[Item]) -> Iterator[Iterator[Item]]:
    """Make the items of an iterator in a thread, a few before they are asked for; order and errors stay as they are.

    Args:
        items: Used by the thread alone from here on.
    """
    waiting: queue.Queue[tuple[bool, Any]] = queue.Queue(_AHEAD)
    done = threading.Event()

    def put(entry: tuple[bool, Any]) -> None:
        while not done.is_set():
            try:
                return waiting.put(entry, timeout=0.1)
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put((True, item))
                if done.is_set():
                    return
            put((False, None))
        except BaseException as error:  # handed to the consumer, whichever it is
            put((False, error))

    def take() -> Iterator[Item]:
        while True:
            is_item, content = waiting.get()
            if is_item:
                yield content
            elif content is None:
                return
            else:
                raise content

    thread = threading.Thread(target=make, name="batches", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        done.set()
        thread.join()


class StopRequest:
    """Turns the first Ctrl-C or SIGTERM into a wish that the loop reads between two steps; the second Ctrl-C interrupts."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: Mapping[signal.Signals, Any] = {}

    def __bool__(self) -> bool:
        return self.signal is not None

    def reached_anyone(self, processes: Processes) -> bool:
        """Whether any process of the run has been told to stop; all are then.

        Args:
            processes: This process and the others.
        """
        (number,) = processes.sum(self.signal or 0)
        if number and self.signal is None:
            self.signal = signal.SIGTERM
        return number > 0

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            signals = (signal.SIGINT, signal.SIGTERM)
            self._before = {number: signal.signal(number, self._receive) for number in signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if number == self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
