"""Pre-train a model as a recipe says: masked language model and sentence order."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from albertkit.cli.recipe_arguments import add_recipe_arguments, read_recipe_arguments

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint, if there is one")
    add_recipe_arguments(parser, "[--resume]")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status; that of a run stopped by a signal is 128 and the signal's number."""
    from albertkit.data.shards import MANIFEST_FILE
    from albertkit.errors import DataError

    recipe = read_recipe_arguments(arguments)
    if not (Path(recipe.data.output) / MANIFEST_FILE).is_file():
        raise DataError(
            "the recipe's data must be prepared first",
            received=f"{recipe.data.output}, which has no {MANIFEST_FILE}",
            fix=f"run: albertkit prepare {arguments.recipe}",
        )
    from albertkit.training.pretraining import pretrain

    outcome = pretrain(recipe, resume=arguments.resume)
    if outcome.stopped_by is not None:
        print(
            f"albertkit: stopped by {outcome.stopped_by.name} after step {outcome.state.step:,}; saved in {outcome.directory}."
            " To go on, run the same command with --resume.",
            file=sys.stderr,
        )
        return 128 + outcome.stopped_by
    print(f"trained {outcome.state.step:,} steps, {outcome.state.tokens:,} tokens; the model is in {outcome.directory}")
    return 0
