"""Pre-train a model as a recipe says: masked language model and sentence order."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from albertkit.cli.recipe_arguments import add_recipe_arguments, read_recipe_arguments
from albertkit.cli.training_command import run_training

if TYPE_CHECKING:
    from albertkit.training.pretraining import Outcome
    from albertkit.training.recipe import Recipe

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint, if there is one")
    add_recipe_arguments(parser, "[--resume]")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status, see :func:`~albertkit.cli.training_command.run_training`."""
    return run_training(lambda: _read(arguments), lambda recipe: _train(recipe, resume=arguments.resume), _describe)


def _read(arguments: Namespace) -> Recipe:
    """The recipe, whose data must be prepared."""
    from albertkit.data.shards import MANIFEST_FILE
    from albertkit.errors import DataError

    recipe = read_recipe_arguments(arguments)
    if not (Path(recipe.data.output) / MANIFEST_FILE).is_file():
        raise DataError(
            "the recipe's data must be prepared first",
            received=f"{recipe.data.output}, which has no {MANIFEST_FILE}",
            fix=f"run: albertkit prepare {arguments.recipe}",
        )
    return recipe


def _train(recipe: Recipe, *, resume: bool) -> Outcome:
    from albertkit.training.pretraining import pretrain

    return pretrain(recipe, resume=resume)


def _describe(outcome: Outcome) -> str:
    state = outcome.state
    return f"trained {state.step:,} steps, {state.tokens:,} tokens; the model is in {outcome.directory}"
