"""Pre-train a model as a recipe says: masked language model and sentence order."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from albertkit.cli.recipe_arguments import add_recipe_arguments, read_recipe_arguments

if TYPE_CHECKING:
    from albertkit.training.pretraining import Outcome

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint, if there is one")
    add_recipe_arguments(parser, "[--resume]")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status; that of a run stopped by a signal is 128 and the signal's number.

    Of several processes that ``torchrun`` has started, one speaks.
    """
    from albertkit.data.shards import MANIFEST_FILE
    from albertkit.errors import AlbertError, DataError

    try:
        recipe = read_recipe_arguments(arguments)
        if not (Path(recipe.data.output) / MANIFEST_FILE).is_file():
            raise DataError(
                "the recipe's data must be prepared first",
                received=f"{recipe.data.output}, which has no {MANIFEST_FILE}",
                fix=f"run: albertkit prepare {arguments.recipe}",
            )
    except AlbertError:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            raise
        return 1  # the first process of this host says it
    from albertkit.training.distributed import PeerError
    from albertkit.training.pretraining import pretrain

    try:
        outcome = pretrain(recipe, resume=arguments.resume)
    except PeerError:
        return 1
    if outcome.is_main:
        _tell(outcome)
    return 0 if outcome.stopped_by is None else 128 + outcome.stopped_by


def _tell(outcome: Outcome) -> None:
    """How the run ended, in one line."""
    state = outcome.state
    if outcome.stopped_by is None:
        print(f"trained {state.step:,} steps, {state.tokens:,} tokens; the model is in {outcome.directory}")
        return
    print(
        f"albertkit: stopped by {outcome.stopped_by.name} after step {state.step:,}; saved in {outcome.directory}."
        " To go on, run the same command with --resume.",
        file=sys.stderr,
    )
