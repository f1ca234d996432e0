"""What the runs of several seeds say together: median and spread, and the best one's model as the final one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from albertkit.training.finetuning.card import write_card
from albertkit.training.finetuning.recipe import FinetuningRecipe
from albertkit.training.finetuning.record import copy_model
from albertkit.training.finetuning.results import RESULTS_FILE, Results, Spread, write_json
from albertkit.training.monitoring import Progress

if TYPE_CHECKING:
    from albertkit.training.finetuning.finetune import FinetuneOutcome

__all__ = ["format_spreads", "summarize"]


def summarize(recipe: FinetuningRecipe, outcomes: Sequence[FinetuneOutcome]) -> FinetuneOutcome:
    """Make the best seed's model the final one of the whole, and tell how the scores lie.

    Args:
        recipe: Of the runs.
        outcomes: Of the seeds, all of them complete.

    Returns:
        The best seed's, its directory ``final`` of the output. On other processes than the main one, which alone knows scores
        and writes, the first one's.

    Raises:
        CheckpointError: If the model cannot be written.
        TrainingError: If the results cannot be read or written.
    """
    output = Path(recipe.output)
    best = max(outcomes, key=lambda outcome: outcome.scores.main if outcome.scores is not None else 0.0)
    if best.is_main:
        results = {outcome.seed: Results.read(outcome.directory.parent) for outcome in outcomes}
        chosen = results[best.seed]
        spreads = _spread([one.scores.values for one in results.values()])
        tests = [one.test.values for one in results.values() if one.test is not None]
        write_json(
            output / RESULTS_FILE,
            {
                "command": chosen.command,
                "task": chosen.task,
                "model": chosen.model,
                "primary": chosen.scores.primary,
                "baseline": chosen.scores.baseline,
                "best_seed": best.seed,
                "scores": {name: spread.to_dict() for name, spread in spreads.items()},
                "test": {name: spread.to_dict() for name, spread in _spread(tests).items()},
                "seeds": {seed: dataclasses.asdict(one) for seed, one in results.items()},
            },
        )
        copy_model(best.directory, output / "final")
        write_card(output / "final", chosen, best.directory.parent, spreads=spreads)
        Progress(best.state.total_steps).say(format_spreads(spreads, chosen))
    return dataclasses.replace(best, directory=output / "final")


def format_spreads(spreads: Mapping[str, Spread], best: Results) -> str:
    """A table for the terminal.

    Args:
        spreads: Metric → how its values lie.
        best: Of the best seed.
    """
    rows: list[tuple[str, ...]] = [("", "median", "least", "greatest", "deviation", "baseline")]
    for name, spread in spreads.items():
        numbers = (spread.median, min(spread.values), max(spread.values), spread.deviation)
        baseline = best.scores.baseline if name == best.scores.primary else None
        rows.append((name, *(f"{number:.4f}" for number in numbers), "" if baseline is None else f"{baseline:.4f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    count = len(next(iter(spreads.values())).values)
    return "\n".join([f"{count} seeds, of which {best.seed} is the best:", *(line.rstrip() for line in lines), best.command])


def _spread(values: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Metric → its values over the seeds."""
    return {name: Spread([one[name] for one in values]) for name in (values[0] if values else ())}
