"""Pre-training, on one page: load, then for each step a batch, an update, a line, and now and then a test and a checkpoint.

``run.py`` has what a run holds and how it makes a step, ``record.py`` what it leaves behind, ``distributed.py`` how several
processes make one run.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from albertkit.training.distributed import join_processes
from albertkit.training.evaluation import Scores
from albertkit.training.loop import StopRequest
from albertkit.training.recipe import Recipe
from albertkit.training.record import Record
from albertkit.training.run import Run
from albertkit.training.state import TrainerState

__all__ = ["Outcome", "pretrain"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        directory: The final model, or, of a run that was stopped, its newest checkpoint.
        state: Where it stands.
        scores: The last evaluation's, on the main process; ``None`` if it was stopped.
        stopped_by: The signal that stopped it, if one did.
        is_main: Whether this process is the one of the run that writes and speaks.
    """

    directory: Path
    state: TrainerState
    scores: Scores | None
    stopped_by: signal.Signals | None
    is_main: bool = True


def pretrain(recipe: Recipe, *, resume: bool = False) -> Outcome:
    """Train a model as a recipe says: masked LM and sentence order (arXiv:1909.11942 §3.1).

    Under ``torchrun``, each process makes its share of every batch, and the main one writes. The update is that of one process
    but for rounding (and dropout, which every process draws for itself).

    Args:
        recipe: From :func:`albertkit.training.recipe.read_recipe`.
        resume: Go on from the newest whole checkpoint of the output, if there is one; on any number of processes.

    Raises:
        ConfigError: If model, data and ``init_from`` do not fit, or the recipe of a resumed run has changed in what may not.
        DataError: If the prepared data are missing or damaged.
        CheckpointError: If a checkpoint cannot be read or written.
        TrainingError: If there is something in the output already, the loss is not finite any more, or another process has ended.
    """
    with join_processes() as processes:
        # -------------------------------------------------------------- load
        run = Run.load(recipe, processes, resume=resume)
        state, settings = run.state, recipe.training

        # -------------------------------------------------------------- loop
        with StopRequest() as stop, Record(run) as record, run.batches as batches:
            while run.goes_on() and not stop.reached_anyone(processes):
                record.add_step(run.take_step(next(batches)))
                if state.step < state.total_steps and state.step % settings.evaluate_every_steps == 0:
                    record.test()
                if state.step < state.total_steps and state.step % settings.save_every_steps == 0:
                    record.save()

            # ---------------------------------------------------------- end
            if stop:
                scores, directory = None, record.save()
            else:
                scores = record.test()
                record.save()
                directory = record.finish(scores)
            processes.wait()
    return Outcome(directory, state, scores, stop.signal, processes.is_main)
