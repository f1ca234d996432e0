"""What every training loop is made of: an update, batches made ahead, and a way to stop in peace. For any model."""

from __future__ import annotations

import math
import queue
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from albertkit.errors import TrainingError

__all__ = ["StopRequest", "choose_device", "made_ahead", "update"]

Item = TypeVar("Item")
_AHEAD = 4  # batches in waiting


def choose_device(name: str) -> torch.device:
    """The device a recipe names; ``auto`` is a GPU if there is one.

    Raises:
        TrainingError: If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise TrainingError(
            "device must be one that PyTorch can use here", received=name, fix="auto takes what there is"
        ) from None
    return device


def update(
    optimizer: Optimizer, losses: Iterable[Tensor], *, learning_rate: float, clip_norm: float | None, where: str
) -> tuple[float, float]:
    """Make one update from the sum of some losses, each of which is differentiated before the next is computed.

    Args:
        optimizer: Over the parameters.
        losses: Scalars; an iterator computes them one at a time, so that the memory of one is needed.
        learning_rate: Of this update.
        clip_norm: Largest global norm of the gradient.
        where: The step, for the message.

    Returns:
        The loss and the gradient's norm before clipping.

    Raises:
        TrainingError: If either is not finite. Nothing has been updated then.
    """
    optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(parameters, math.inf if clip_norm is None else clip_norm, foreach=True).item()
    if not (math.isfinite(total) and math.isfinite(norm)):
        optimizer.zero_grad(set_to_none=True)
        raise TrainingError(
            "the loss and its gradient must stay finite",
            received=f"loss {total} and gradient norm {norm} at {where}, which was not applied",
            fix="lower optimizer.learning_rate or lengthen schedule.warmup_steps",
        )
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    return total, norm


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

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            signals = (signal.SIGINT, signal.SIGTERM)
            self._before = {number: signal.signal(number, self._receive) for number in signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
