"""Score a model: on the examples of the task that it was fine-tuned for; on the held-out documents of a recipe, which takes
PyTorch; and on English sentences with a gap.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from albertkit.cli.evaluate_task import TASK_FLAGS, add_task_arguments, run_task
from albertkit.cli.recipe_arguments import add_recipe_arguments, read_recipe_arguments
from albertkit.hub import DEFAULT_MODEL

if TYPE_CHECKING:
    from albertkit.evaluation import ClozeScores
    from albertkit.training.evaluation import Scores
    from albertkit.training.recipe import Recipe

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    from albertkit.training.recipe import list_keys

    parser.add_argument(
        "--model",
        metavar="NAME",
        help=f"directory, embedded model or hub id (default: the recipe's final model; {DEFAULT_MODEL} without a recipe)",
    )
    parser.add_argument(
        "--cloze",
        action=BooleanOptionalAction,
        help="score the sentences with a gap (default: if the recipe's data.language is en, or there is no recipe)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    add_task_arguments(parser)
    keys = {key: meaning for key, meaning in list_keys().items() if key != "output"}  # which is a flag already
    options = ("[--model NAME]", "[--data FILE [--task TASK] [--output FOLDER]]", "[--cloze | --no-cloze]", "[--json]")
    add_recipe_arguments(parser, *options, required=False, keys=keys)


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    _check_words(arguments)
    if arguments.data is not None:
        return run_task(arguments)
    recipe = _read_recipe(arguments)
    model = arguments.model or (DEFAULT_MODEL if recipe is None else str(Path(recipe.output) / "final"))
    has_cloze = arguments.cloze if arguments.cloze is not None else recipe is None or recipe.data.language == "en"
    held_out = None if recipe is None else _score_held_out(model, recipe)
    cloze = _score_cloze(model) if has_cloze else None
    if arguments.json:
        found: dict[str, Any] = {"model": model}
        found |= {} if held_out is None else {"held_out": held_out.to_dict()}
        found |= {} if cloze is None else {"cloze": cloze.to_dict()}
        print(json.dumps(found, indent=2))
        return 0
    print(model)
    if held_out is not None:
        print(_describe_held_out(held_out))
    if cloze is not None:
        print(_describe_cloze(cloze))
    return 0


def _check_words(arguments: Namespace) -> None:
    """Be sure that what is given belongs together: examples of a task with a model, or a recipe with its keys, or neither."""
    from albertkit.errors import InputError
    from albertkit.training.recipe import list_keys

    has_data, has_recipe = arguments.data is not None, arguments.recipe is not None
    keys = [key for key in list_keys() if getattr(arguments, key, None) is not None and not (has_data and key == "output")]
    if keys and not has_recipe:
        raise InputError("keys of a recipe are changed where one is given", received=f"--{keys[0]} alone", fix="name the recipe")
    if not has_data:
        for name, default in TASK_FLAGS.items():
            if getattr(arguments, name) != default:
                raise InputError(
                    f"--{name.replace('_', '-')} goes with --data",
                    received="no --data",
                    fix="name a file of examples with --data",
                )
    elif has_recipe or arguments.cloze is not None:
        received = "a recipe" if has_recipe else "--cloze or --no-cloze"
        raise InputError("--data goes with neither a recipe nor the cloze test", received=received, fix="run the command twice")
    elif arguments.model is None:
        raise InputError("--data needs a fine-tuned model", received="none", fix="name its directory with --model")


def _read_recipe(arguments: Namespace) -> Recipe | None:
    """The recipe, if one is given."""
    from albertkit.errors import InputError

    if arguments.recipe is not None:
        return read_recipe_arguments(arguments)
    if arguments.cloze is False:
        raise InputError("there must be something to score on", received="--no-cloze without a recipe", fix="name a recipe")
    return None


def _score_held_out(model: str, recipe: Recipe) -> Scores:
    from albertkit import optional

    optional.require("torch", "Scoring on held-out documents")
    from albertkit.training.evaluation import evaluate_checkpoint

    return evaluate_checkpoint(model, recipe)


def _score_cloze(model: str) -> ClozeScores:
    from albertkit.evaluation import score_cloze
    from albertkit.inference import load_engine
    from albertkit.tokenization import AlbertTokenizer

    return score_cloze(load_engine(model, "masked_lm"), AlbertTokenizer.from_pretrained(model))


def _describe_held_out(scores: Scores) -> str:
    accuracy = f"{scores.masked_lm_accuracy:.2%} ± {scores.masked_lm_error:.2%}"
    order = f"{scores.sentence_order_accuracy:.1%} ± {scores.sentence_order_error:.1%}"
    rows = [
        ("masked LM", f"accuracy {accuracy}, loss {scores.masked_lm_loss:.3f}, {scores.predicted_tokens:,} tokens"),
        ("commonest token", f"accuracy {scores.majority_accuracy:.2%}, if it were always the answer"),
        ("sentence order", f"accuracy {order}, loss {scores.sentence_order_loss:.3f}, {scores.sequences:,} sequences"),
        ("test", f"SHA-256 {scores.digest}"),
    ]
    return "\nheld-out documents, ± one standard error\n" + "\n".join(f"  {name:16}{text}" for name, text in rows)


def _describe_cloze(scores: ClozeScores) -> str:
    lines = [f"\n{'sentences with a gap':30}{'number':>8}{'top 1':>8}{'top 5':>8}  mean reciprocal rank"]
    for name, score in scores.rows():
        shares = f"{score.top_1:8.1%}{score.top_5:8.1%}"
        lines.append(f"  {name:28}{score.sentences:8}{shares}{score.mean_reciprocal_rank:22.3f}")
    if scores.not_scorable:
        lines.append(f"  {'not scorable':28}{scores.not_scorable:8}  without an answer of one piece here, or too long")
    return "\n".join([*lines, f"  {'test':14}SHA-256 {scores.digest}"])
