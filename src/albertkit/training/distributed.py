"""The processes of a run, as ``torchrun`` starts them: who each is, what they add up, and how all end when one fails.

Gradients are added up in one flat all-reduce after the last part of a batch. DistributedDataParallel would send some of them
during the backward pass, but ALBERT leaves it nothing to send: the gradient of the shared layer is complete only when the pass
has come down to its first application, that of the tied embeddings after it. One flat sum needs no special case for parts of
a batch, for processes without an example, or for layers used more than once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous
from torch.optim import Optimizer

from albertkit.errors import TrainingError
from albertkit.training.state import RunState

__all__ = ["PeerError", "Processes", "join_processes"]

_PATIENCE = timedelta(minutes=30)  # for the slowest evaluation and checkpoint of the main process
_FAILURES = "albertkit/failures"


class PeerError(TrainingError):
    """Another process of the run has failed, and has said why."""


@dataclass(frozen=True)
class Processes:
    """A process among those of its run; alone, everything here costs nothing."""

    rank: int = 0
    """From 0; the main process is 0."""
    world_size: int = 1
    """Number of processes."""
    local_rank: int = 0
    """Number among those of this host, which is the number of its GPU."""
    is_joined: bool = False
    """Whether there is a process group, be it of one."""

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def sum(self, *values: float) -> list[float]:
        """Add up numbers over all processes, in float64; every process gets the sums.

        Args:
            values: As many on every process.

        Raises:
            TrainingError: If another process has ended.
        """
        if not self.is_joined:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        _exchange(dist.all_reduce, sums)
        return sums.tolist()

    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Add up the gradients over all processes, in place; one that is absent counts as 0.

        Args:
            parameters: The same on every process.

        Raises:
            TrainingError: If another process has ended.
        """
        if not self.is_joined:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([parameter.grad.flatten() for parameter in parameters if parameter.grad is not None])
        _exchange(dist.all_reduce, flat)
        for parameter, total in zip(parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True):
            parameter.grad = total.view_as(parameter)

    def share_start(self, model: nn.Module, optimizer: Optimizer, state: RunState) -> None:
        """Give every process the main one's weights, moments and place, so that only that one needs the checkpoint's files.

        Args:
            model: Of the same configuration everywhere.
            optimizer: Over its parameters.
            state: Where the run stands.

        Raises:
            TrainingError: If another process has ended.
        """
        if not self.is_joined:
            return
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        moments = [{kind: (tensor.shape, tensor.dtype) for kind, tensor in optimizer.state[p].items()} for p in parameters]
        box: list[Any] = [asdict(state), moments]
        _exchange(dist.broadcast_object_list, box, src=0)
        for name, value in box[0].items():
            setattr(state, name, value)
        for tensor in model.state_dict().values():
            _exchange(dist.broadcast, tensor, src=0)
        for parameter, kinds in zip(parameters, box[1], strict=True):
            for kind, (shape, dtype) in kinds.items():
                held = optimizer.state[parameter]
                if kind not in held:
                    held[kind] = torch.empty(shape, dtype=dtype, device=parameter.device)
                _exchange(dist.broadcast, held[kind], src=0)

    def wait(self) -> None:
        """Wait until every process has come here.

        Raises:
            TrainingError: If another process has ended.
        """
        self.sum(0.0)


@contextmanager
def join_processes() -> Iterator[Processes]:
    """Join the processes that ``torchrun`` (or whatever sets ``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR`` and ``MASTER_PORT``) has
    started; without these, be alone. GPUs talk over NCCL, everything else over gloo.

    When a process fails and ends, the connections to it break, and all others fail in their next exchange. The first of all keeps
    its error; the others get a :class:`PeerError`, so that one sentence is told.

    Raises:
        TrainingError: If the processes do not find one another.
        PeerError: If another process has failed first.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield Processes()
        return
    has_nccl = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        store, rank, world_size = next(rendezvous("env://", timeout=_PATIENCE))
        backend = "cpu:gloo,cuda:nccl" if has_nccl else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            "the processes of a run must find one another", received=_first_line(error), fix="start them with torchrun"
        ) from None
    try:
        yield Processes(rank, world_size, int(os.environ.get("LOCAL_RANK", rank)), is_joined=True)
    except BaseException as error:
        if not _is_first_to_fail(store):
            raise PeerError("another process of the run has failed, which says why") from error
        raise
    finally:
        dist.destroy_process_group()


def _exchange(act: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    try:
        act(*arguments, **options)
    except RuntimeError as error:
        raise TrainingError(
            "every process of a run must go on to its end",
            received=f"no answer from another one ({_first_line(error)})",
            fix="look for what ended it, then run with --resume",
        ) from None


def _is_first_to_fail(store: Any) -> bool:
    """Whether no process has failed before. A store that is not torchrun's ends with the main process: better two sentences
    than none then.
    """
    try:
        return bool(store.add(_FAILURES, 1) == 1)
    except RuntimeError:
        return True


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
