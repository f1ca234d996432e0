"""Fine-tune a model as a recipe says: on a known task, or on a table of one's own."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from albertkit.cli.recipe_arguments import add_recipe_arguments, list_overrides

if TYPE_CHECKING:
    from albertkit.training.finetuning.finetune import FinetuneOutcome

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    from albertkit.training.finetuning.recipe import list_keys

    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint, if there is one")
    add_recipe_arguments(parser, "[--resume]", "[--task TASK --data.train FILE]", required=False, keys=list_keys())


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status; that of a run stopped by a signal is 128 and the signal's number.

    Of several processes that ``torchrun`` has started, one speaks.
    """
    from albertkit.errors import AlbertError
    from albertkit.training.finetuning.recipe import list_keys, read_recipe

    try:
        recipe = read_recipe(arguments.recipe, list_overrides(arguments, list_keys()))
    except AlbertError:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            raise
        return 1  # the first process of this host says it
    from albertkit.training.distributed import PeerError
    from albertkit.training.finetuning.finetune import finetune

    try:
        outcome = finetune(recipe, resume=arguments.resume)
    except PeerError:
        return 1
    if outcome.is_main:
        _tell(outcome)
    return 0 if outcome.stopped_by is None else 128 + outcome.stopped_by


def _tell(outcome: FinetuneOutcome) -> None:
    """How the run ended, in one line."""
    if outcome.stopped_by is None:
        print(f"the model is in {outcome.directory}")
        return
    print(
        f"albertkit: stopped by {outcome.stopped_by.name} after step {outcome.state.step:,}; saved in {outcome.directory}."
        " To go on, run the same command with --resume.",
        file=sys.stderr,
    )
