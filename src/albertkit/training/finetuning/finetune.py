"""Fine-tuning, on one page: load, then for each step a batch, an update, a line, and now and then a test and a checkpoint.

Several seeds make one such run after the other.

``run.py`` has what a run holds and how it makes a step, ``record.py`` what it leaves behind, ``seeds.py`` what several seeds say
together.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from albertkit.tasks.base import Scores
from albertkit.training.distributed import Processes, join_processes
from albertkit.training.finetuning.examples import read_examples
from albertkit.training.finetuning.recipe import FinetuningRecipe
from albertkit.training.finetuning.record import FinetuneRecord
from albertkit.training.finetuning.run import FinetuneRun, FinetuneState
from albertkit.training.finetuning.seeds import summarize
from albertkit.training.loop import StopRequest
from albertkit.training.start import check_output

__all__ = ["FinetuneOutcome", "finetune"]


@dataclass(frozen=True)
class FinetuneOutcome:
    """How a run with one seed ended.

    Attributes:
        directory: The final model, which is the best; or, of a run that was stopped, its newest checkpoint.
        scores: Of the final model, on the main process; ``None`` if it was stopped.
        state: Where it stands.
        stopped_by: The signal that stopped it, if one did.
        is_main: Whether this process is the one of the run that writes and speaks.
        seed: Of the run.
    """

    directory: Path
    scores: Scores | None
    state: FinetuneState
    stopped_by: signal.Signals | None
    is_main: bool
    seed: int


def finetune(recipe: FinetuningRecipe, *, resume: bool = False) -> FinetuneOutcome:
    """Train a model on a task as a recipe says, and score it.

    Under ``torchrun``, each process makes its share of every batch, and the main one scores and writes. The update is that of one
    process but for rounding (and dropout, which every process draws for itself).

    Args:
        recipe: From :func:`albertkit.training.finetuning.recipe.read_recipe`.
        resume: Go on from the newest whole checkpoint of the output, of the seed that was at work; on any number of processes.

    Returns:
        Of several seeds the best one's, its model as ``final`` of the output.

    Raises:
        ConfigError: If task, data and model do not fit, or the recipe of a resumed run has changed in what may not.
        DataError: If examples are malformed: file, line and reason.
        CheckpointError: If a checkpoint cannot be read or written.
        TrainingError: If there is something in the output already, the loss is not finite any more, or another process has ended.
    """
    outputs = _list_outputs(recipe)
    with join_processes() as processes:
        if processes.is_main and not resume:
            for directory in {Path(recipe.output), *outputs.values()}:
                check_output(directory)
        examples = read_examples(recipe, world_size=processes.world_size, is_main=processes.is_main)
        outcomes = []
        for seed, output in outputs.items():
            run = FinetuneRun.load(recipe, examples, seed, output, processes, resume=resume)
            outcomes.append(_train(run, processes))
            if outcomes[-1].stopped_by is not None:
                return outcomes[-1]
        return outcomes[0] if len(outcomes) == 1 else summarize(recipe, outcomes)


def _train(run: FinetuneRun, processes: Processes) -> FinetuneOutcome:
    """Train with one seed, from where the run stands."""
    with StopRequest() as stop, FinetuneRecord(run) as record, run.batches() as batches:
        while run.goes_on() and not stop.reached_anyone(processes):
            record.add_step(run.take_step(next(batches)))
            if run.is_evaluation_due():
                record.test()
            if run.is_checkpoint_due():
                record.save()
        if stop:
            scores, directory = None, record.save()
        else:
            record.save()
            scores, directory = record.finish(), run.output / "final"
        processes.wait()
    return FinetuneOutcome(directory, scores, run.state, stop.signal, processes.is_main, run.seed)


def _list_outputs(recipe: FinetuningRecipe) -> dict[int, Path]:
    """Seed → directory of its run: the output itself, or one inside it for each of several seeds."""
    output, seeds = Path(recipe.output), recipe.training.seeds
    return {seed: output / f"seed-{seed}" if len(seeds) > 1 else output for seed in seeds}
