"""The arguments of every command that follows a recipe: the file, and each of its keys to change for once."""

from __future__ import annotations

import re
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from albertkit.training.recipe import Recipe

__all__ = ["add_recipe_arguments", "list_overrides", "read_recipe_arguments"]


def add_recipe_arguments(
    parser: ArgumentParser, *options: str, required: bool = True, keys: Mapping[str, str] | None = None
) -> None:
    """Add ``RECIPE.yaml`` and ``--section.key VALUE`` for each key.

    Args:
        parser: The command's.
        options: The command's own options, as the usage line shows them; the recipe's many keys stand there as one.
        required: Whether the command can do nothing without a recipe.
        keys: Of the recipe, with their meaning; those of pre-training when absent.
    """
    from albertkit.training.recipe import list_keys

    name = "RECIPE.yaml" if required else "[RECIPE.yaml]"
    parser.usage = " ".join((parser.prog, name, *options, "[--SECTION.KEY VALUE …]"))
    parser.add_argument(
        "recipe", metavar="RECIPE.yaml", nargs=None if required else "?", help="what to do; the folder recipes has commented ones"
    )
    group = parser.add_argument_group("keys of the recipe, to change for once")
    for key, meaning in (list_keys() if keys is None else keys).items():
        names = [f"--{key}"] if "." in key or "_" not in key else [f"--{key.replace('_', '-')}", f"--{key}"]
        text = re.sub(r":\w+:`~?(.*?)`", r"\1", meaning).replace("``", "").replace("%", "%%")
        group.add_argument(*names, dest=key, metavar="VALUE", default=SUPPRESS, help=text)


def read_recipe_arguments(arguments: Namespace) -> Recipe:
    """Read the recipe with the changes of the command line.

    Raises:
        ConfigError: See :func:`albertkit.training.recipe.read_recipe`.
    """
    from albertkit.training.recipe import list_keys, read_recipe

    return read_recipe(arguments.recipe, list_overrides(arguments, list_keys()))


def list_overrides(arguments: Namespace, keys: Mapping[str, str]) -> list[str]:
    """The changes of the command line, ``section.key=value`` each.

    Args:
        arguments: The command's.
        keys: As given to :func:`add_recipe_arguments`.
    """
    return [f"{key}={value}" for key in keys if (value := getattr(arguments, key, None)) is not None]
