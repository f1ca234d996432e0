"""Fine-tune a model as a recipe says: on a known task, or on a table of one's own."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from albertkit.cli.recipe_arguments import add_recipe_arguments, list_overrides
from albertkit.cli.training_command import run_training

if TYPE_CHECKING:
    from albertkit.training.finetuning.finetune import FinetuneOutcome
    from albertkit.training.finetuning.recipe import FinetuningRecipe

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    from albertkit.training.finetuning.recipe import list_keys

    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint, if there is one")
    add_recipe_arguments(parser, "[--resume]", "[--task TASK --data.train FILE]", required=False, keys=list_keys())


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status, see :func:`~albertkit.cli.training_command.run_training`."""
    return run_training(
        lambda: _read(arguments),
        lambda recipe: _train(recipe, resume=arguments.resume),
        lambda outcome: f"the model is in {outcome.directory}",
    )


def _read(arguments: Namespace) -> FinetuningRecipe:
    from albertkit.training.finetuning.recipe import list_keys, read_recipe

    return read_recipe(arguments.recipe, list_overrides(arguments, list_keys()))


def _train(recipe: FinetuningRecipe, *, resume: bool) -> FinetuneOutcome:
    from albertkit.training.finetuning.finetune import finetune

    return finetune(recipe, resume=resume)
