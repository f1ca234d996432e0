"""The batches of a run: the stream of the stage it is in, made ahead, and the next stage's when that begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import numpy as np

from albertkit.data.batches import PretrainingData
from albertkit.data.examples import PretrainingBatch
from albertkit.training.distributed import Processes
from albertkit.training.loop import made_ahead
from albertkit.training.recipe import Recipe
from albertkit.training.state import TrainerState

__all__ = ["StagedBatches", "stage_seed"]


class StagedBatches:
    """An iterator over the batches of this process; it reads the run's step and sets ``stage`` and ``next_example`` of its state
    when a stage begins.

    A stage's stream is that of :class:`PretrainingData` from its first example, under a seed of its own: an order of the corpus
    that has nothing to do with that of the stage before.

    Args:
        recipe: The run's.
        state: The run's.
        processes: This process and the others.

    Raises:
        DataError: If the prepared data are missing or damaged.
    """

    def __init__(self, recipe: Recipe, state: TrainerState, processes: Processes) -> None:
        self._recipe, self._state, self._processes = recipe, state, processes
        self._open = ExitStack()
        self._ahead: Iterator[PretrainingBatch] | None = None
        self._enter_stage()
        self.data = self._read(verify=True)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PretrainingBatch:
        if self._enter_stage():
            self.close()
            self.data = self._read(verify=False)
        if self._ahead is None:
            training, processes = self._recipe.training, self._processes
            stream = self.data.batches(
                examples_per_batch=training.examples_per_batch,
                tokens_per_batch=training.tokens_per_batch,
                start_example=self._state.next_example,
                rank=processes.rank,
                world_size=processes.world_size,
            )
            self._ahead = self._open.enter_context(made_ahead(stream))
        return next(self._ahead)

    def close(self) -> None:
        """End the thread that makes batches ahead."""
        self._open.close()
        self._ahead = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _enter_stage(self) -> bool:
        """Go on to the stage of the next step; whether it is another one."""
        state = self._state
        stage = self._recipe.schedule.stage_at(state.step, state.total_steps)
        if stage <= state.stage:  # a run made longer does not go back
            return False
        state.stage, state.next_example = stage, 0
        return True

    def _read(self, *, verify: bool) -> PretrainingData:
        recipe, stage = self._recipe, self._state.stage
        return PretrainingData(
            recipe.data.output,
            options=recipe.examples_of_stage(stage),
            seed=stage_seed(recipe.training.seed, stage),
            verify=verify,
        )


def stage_seed(seed: int, stage: int) -> int:
    """The seed of a stage's examples.

    Args:
        seed: The run's, which is that of what comes before the first stage.
        stage: From 1; 0 is what comes before.
    """
    return int(np.random.SeedSequence((seed, stage)).generate_state(1, np.uint64)[0]) if stage else seed
