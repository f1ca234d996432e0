"""How a run starts: what it may not mix or change, and weights from elsewhere."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from albertkit.checkpoints.huggingface import load_parameters
from albertkit.checkpoints.parameters import PRETRAINING_HEADS
from albertkit.config import AlbertConfig
from albertkit.data.options import DataRecipe, ExampleOptions
from albertkit.data.shards import TOKENIZER_FOLDER, read_manifest
from albertkit.errors import CheckpointError, ConfigError, TrainingError
from albertkit.models.torch import AlbertForPreTraining
from albertkit.tokenization.tokenizer import AlbertTokenizer
from albertkit.training.recipe import EvaluationRecipe, Recipe
from albertkit.training.state import list_checkpoints

__all__ = ["check_output", "check_pieces", "check_same", "check_vocabulary", "load_initial_weights"]

_FIXED_SECTIONS = {"data": DataRecipe, "examples": ExampleOptions, "model": AlbertConfig, "evaluation": EvaluationRecipe}
_FREE_KEYS = {"data": ("workers", "language"), "evaluation": ("digest",)}  # change neither weights nor scores
_FIXED_KEYS = {"training": ("seed", "examples_per_batch", "tokens_per_batch"), "optimizer": ("name",)}

_SIZES = (
    "vocab_size", "embedding_size", "hidden_size", "num_hidden_groups", "inner_group_num", "num_attention_heads",
    "intermediate_size", "type_vocab_size", "hidden_act", "position_embedding_type",
)  # fmt: skip
_POSITIONS = "albert.embeddings.position_embeddings.weight"
_HEAD_NAMES = {"albert.pooler.": "the pooler", "predictions.": "the masked-LM head", "sop_classifier.": "the sentence-order head"}


def check_output(output: Path) -> None:
    """Refuse to mix a new run with another.

    Args:
        output: The run's directory.

    Raises:
        TrainingError: If it holds a run.
    """
    if list_checkpoints(output) or any((output / name).exists() for name in ("log.jsonl", "best", "final")):
        raise TrainingError(
            "the output of a new run must be an empty directory",
            received=f"{output}, which holds a run",
            fix="go on with --resume or choose another output",
        )


def check_vocabulary(recipe: Recipe) -> None:
    """Refuse data that were prepared with more or fewer pieces than the model has.

    Args:
        recipe: The run's.

    Raises:
        ConfigError: If the numbers differ.
        DataError: If the data are not prepared.
    """
    pieces = read_manifest(recipe.data.output).vocab_size
    if pieces != recipe.model.vocab_size:
        raise ConfigError(
            "model.vocab_size must be the number of the vocabulary's pieces",
            received=f"{recipe.model.vocab_size}, and {recipe.data.output} was prepared with {pieces}",
            fix=f"write vocab_size: {pieces}, or prepare the data with the model's tokenizer",
        )


def check_pieces(name: str | Path, prepared: Path) -> None:
    """Refuse a checkpoint whose tokenizer cuts otherwise than the data were cut; one without a tokenizer is believed.

    Args:
        name: Directory, embedded model, published name or hub id.
        prepared: The prepared folder.

    Raises:
        ConfigError: If the pieces differ.
    """
    try:
        theirs = AlbertTokenizer.from_pretrained(name).get_vocab()
    except CheckpointError:
        return
    if theirs != AlbertTokenizer.from_pretrained(prepared / TOKENIZER_FOLDER).get_vocab():
        raise ConfigError(
            "the data must be prepared with the checkpoint's tokenizer",
            received=f"{prepared}, whose pieces are not those of {name}",
            fix=f"write data.tokenizer: {name} and prepare again",
        )


def check_same(recipe: Recipe, before: dict[str, Any], *, stage: int, checkpoint: Path) -> None:
    """Refuse to change under a run what decides which weights and examples come next.

    Args:
        recipe: As it is now.
        before: As the checkpoint has it; a key it lacks is younger than the run, and had its default.
        stage: That the run is in; later ones may change.
        checkpoint: For the message.

    Raises:
        ConfigError: If something has changed.
    """
    now = recipe.to_dict()
    pairs: dict[str, tuple[Any, Any]] = {}
    for section, kind in _FIXED_SECTIONS.items():
        for key in now[section].keys() - _FREE_KEYS.get(section, ()):
            pairs[f"{section}.{key}"] = (before[section].get(key, _default(kind, key)), now[section][key])
    for section, keys in _FIXED_KEYS.items():
        pairs |= {f"{section}.{key}": (before[section].get(key), now[section][key]) for key in keys}
    pairs["schedule.stages"] = (_begun_stages(before, stage), _begun_stages(now, stage))
    for name, (old, new) in sorted(pairs.items()):
        if old != new:
            raise ConfigError(
                f"{name} of a resumed run must be as at its start",
                received=f"{new!r} in place of {old!r} in {checkpoint}",
                fix="take the change back, or start a new run in another output",
            )


def load_initial_weights(model: AlbertForPreTraining, name: str, prepared: Path) -> str:
    """Give a model the weights of a checkpoint; a head that it lacks, and positions beyond its own, stay as they were drawn.

    Args:
        model: Of the checkpoint's sizes, but for its depth and the number of positions.
        name: Directory, embedded model, published name or hub id.
        prepared: The prepared folder, whose vocabulary must be the checkpoint's, if that has one.

    Returns:
        One line that names what was not taken from it.

    Raises:
        ConfigError: If sizes or vocabularies differ.
        CheckpointError: If it cannot be read.
    """
    source, ours = AlbertConfig.from_pretrained(name), model.config
    for key in _SIZES:
        if getattr(source, key) != getattr(ours, key):
            raise ConfigError(
                f"model.{key} must be that of the checkpoint to start from",
                received=f"{getattr(ours, key)}, and {name} has {getattr(source, key)}",
                fix=f"write {key}: {getattr(source, key)}, or start from another one",
            )
    check_pieces(name, prepared)
    loaded = load_parameters(name, source, PRETRAINING_HEADS)
    known = min(source.max_position_embeddings, ours.max_position_embeddings)
    with torch.no_grad():
        for key, parameter in model.named_by_contract().items():
            if key in loaded.parameters:
                values = torch.tensor(loaded.parameters[key])
                target = parameter[:known] if key == _POSITIONS else parameter
                target.copy_(values[:known] if key == _POSITIONS else values)
    anew = [text for prefix, text in _HEAD_NAMES.items() if any(key.startswith(prefix) for key in loaded.missing)]
    if ours.max_position_embeddings > known:
        anew.append(f"positions {known} to {ours.max_position_embeddings - 1}")
    depth = "" if source.num_hidden_layers == ours.num_hidden_layers else f" in {source.num_hidden_layers} layers"
    return f"weights of {name}{depth}; at random start {', '.join(anew) or 'none'}"


def _begun_stages(recipe: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """The keys that are given in the first stages; others may be younger than the run."""
    stages = recipe["schedule"].get("stages", [])[:number]
    return [{key: value for key, value in stage.items() if value is not None} for stage in stages]


def _default(kind: type[Any], key: str) -> Any:
    return next((field.default for field in fields(kind) if field.name == key), None)
