"""What every run leaves behind: log, line of progress, checkpoints. Only the main process writes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch.optim import Optimizer

from albertkit.models.torch import AlbertPreTrainedModel
from albertkit.training.distributed import Processes
from albertkit.training.flops import measure_matrix_rate
from albertkit.training.loop import peak_memory_bytes
from albertkit.training.monitoring import Log, Progress, Window
from albertkit.training.state import RunState, checkpoint_path, save_checkpoint

__all__ = ["AnyRun", "RunRecord"]


class AnyRun(Protocol):
    """What a record needs of a run."""

    recipe: Any
    processes: Processes
    optimizer: Optimizer

    @property
    def output(self) -> Path:
        """Its directory."""
        ...

    @property
    def tokenizer(self) -> Path:
        """Folder of the tokenizer's files, which stand with every checkpoint."""
        ...

    @property
    def model(self) -> AlbertPreTrainedModel:
        """What is trained."""
        ...

    @property
    def state(self) -> RunState:
        """Where it stands."""
        ...

    def describe(self) -> str:
        """The run in one line."""
        ...


R = TypeVar("R", bound=AnyRun)


class RunRecord(Generic[R]):
    """The part of a record that does not ask what is learnt; on every process but the main one, its acts do nothing.

    Args:
        run: The run.

    Raises:
        TrainingError: If the log cannot be written.
    """

    def __init__(self, run: R) -> None:
        settings = run.recipe.training
        self._run, self._is_main = run, run.processes.is_main
        self._dtype = torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32
        self._open = ExitStack()
        if self._is_main:
            tensorboard = run.output / "tensorboard" if settings.tensorboard else None
            self._log = self._open.enter_context(
                Log(run.output / "log.jsonl", after_step=run.state.step, tensorboard=tensorboard)
            )
            self._progress = Progress(run.state.total_steps)
            self._progress.say(run.describe())
            rate = measure_matrix_rate(run.model.device, self._dtype)
            self._window = Window(run.state, rate * run.processes.world_size)

    def save(self) -> Path:
        """Write a checkpoint, and give its directory."""
        run = self._run
        directory = checkpoint_path(run.output, run.state.step)
        if self._is_main:
            save_checkpoint(
                run.output,
                model=run.model,
                optimizer=run.optimizer,
                state=run.state,
                recipe=run.recipe.to_dict(),
                tokenizer=run.tokenizer,
                keep=run.recipe.training.keep_checkpoints,
            )
            self._log.write("checkpoint", {"step": run.state.step, "directory": directory.name})
        return directory

    def _log_train(self) -> None:
        """Write the steps since the last line into the log."""
        self._log.write("train", self._window.close() | {"peak_memory_bytes": peak_memory_bytes(self._run.model.device)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()
