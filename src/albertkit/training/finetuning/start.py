"""How fine-tuning starts: the model with its head, what of it is trained, and what a resumed run may not change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from albertkit import optional
from albertkit.checkpoints.huggingface import find_heads, load_parameters
from albertkit.config import AlbertConfig
from albertkit.errors import ConfigError
from albertkit.models import torch as models
from albertkit.models.torch import AlbertPreTrainedModel
from albertkit.tasks.base import Task
from albertkit.training.finetuning.recipe import FinetuningRecipe, LoraRecipe

__all__ = ["add_adapters", "check_same", "freeze", "make_model"]

_FREE_KEYS = {
    "output", "data.test", "data.workers", "data.cache", "training.seeds", "training.device", "training.log_every_steps",
    "training.save_every_steps", "training.keep_checkpoints", "training.patience", "training.tensorboard",
    "training.micro_batch_tokens",
}  # fmt: skip
_EMBEDDINGS = ("albert.embeddings.",)
_ENCODER = (*_EMBEDDINGS, "albert.encoder.")
_HEAD_MODULES = ("pooler", "classifier", "qa_outputs", "start_logits", "end_logits", "answer_class")


def make_model(recipe: FinetuningRecipe, task: Task[Any], seed: int) -> tuple[AlbertPreTrainedModel, str]:
    """The model of a task with the weights of the recipe's checkpoint.

    The checkpoint's own head is kept if it has the task's labels, in whatever order, or as many without names; otherwise the head
    starts at random.

    Args:
        recipe: Its ``model`` and ``config``.
        task: With its labels.
        seed: Of what starts at random.

    Returns:
        The model, and one line that says where its weights came from.

    Raises:
        CheckpointError: If the checkpoint cannot be read or lacks a part of the encoder.
        ConfigError: If a change makes the configuration impossible.
    """
    source = AlbertConfig.from_pretrained(recipe.model)
    changes: dict[str, Any] = {**recipe.config.changes(), "problem_type": task.problem_type}
    if task.head in ("sequence_classification", "token_classification"):
        changes |= {"num_labels": 1} if task.labels is None else {"id2label": dict(enumerate(task.labels))}
    config = source.replace(**changes)
    torch.manual_seed(seed)
    model: AlbertPreTrainedModel = getattr(models, task.architecture)(config)
    order, head = None, "head at random start"
    if task.head in find_heads(recipe.model):
        order = _match_labels(source, config) if "num_labels" in changes or "id2label" in changes else []
        other = ", ".join(source.id2label.values()) if source.id2label else ""
        head = f"{head}, since the checkpoint's has other labels ({other})" if order is None else "head of the checkpoint"
    heads = tuple(name for name in model.heads if name != task.head or order is not None)
    loaded = load_parameters(recipe.model, config, heads)
    with torch.no_grad():
        for key, parameter in model.named_by_contract().items():
            if key in loaded.parameters:
                values = torch.tensor(loaded.parameters[key])
                parameter.copy_(values[order] if order and key.startswith("classifier.") else values)
    pooler = ", pooler at random start" if any(key.startswith("albert.pooler.") for key in loaded.missing) else ""
    return model, f"weights of {recipe.model}{pooler}, {head}"


def _match_labels(source: AlbertConfig, config: AlbertConfig) -> list[int] | None:
    """For each of the model's labels, the row of the checkpoint's head; ``None`` if it knows others."""
    theirs, ours = dict(source.id2label or {}), dict(config.id2label or {})
    if len(theirs) != len(ours):
        return None
    numbers = {name: number for number, name in theirs.items()}
    if sorted(numbers) == sorted(ours.values()):
        return [numbers[ours[number]] for number in range(len(ours))]
    has_names = any(name != f"LABEL_{number}" for number, name in theirs.items())
    return None if has_names else list(range(len(ours)))


def freeze(model: AlbertPreTrainedModel, what: str) -> None:
    """Leave parameters as they are.

    Args:
        model: Changed in place.
        what: ``none``; ``embeddings``; or ``encoder``, all but pooler and head.
    """
    prefixes: tuple[str, ...] = {"none": (), "embeddings": _EMBEDDINGS, "encoder": _ENCODER}[what]
    for name, parameter in model.named_by_contract().items():
        parameter.requires_grad_(not name.startswith(prefixes))


def add_adapters(model: AlbertPreTrainedModel, recipe: LoraRecipe) -> nn.Module:
    """Put low-rank adapters into a model; they, pooler and head are trained from here on, and nothing else.

    Args:
        model: Changed in place.
        recipe: Of the adapters.

    Returns:
        The ``peft`` model around it, which writes adapters and merges them.

    Raises:
        MissingExtraError: If ``peft`` is not installed.
    """
    peft = optional.require("peft", "lora")
    owned = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    options = peft.LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=rf".*\.albert_layers\.\d+\.(attention\.)?({'|'.join(recipe.targets)})",
        modules_to_save=[name for name in _HEAD_MODULES if name in owned],
    )
    adapted: nn.Module = peft.get_peft_model(model, options)
    return adapted


def check_same(recipe: FinetuningRecipe, before: dict[str, Any], checkpoint: Path) -> None:
    """Refuse to change under a run what decides which weights come next.

    Args:
        recipe: As it is now.
        before: As the checkpoint has it.
        checkpoint: For the message.

    Raises:
        ConfigError: If something has changed.
    """
    now, then = _flatten(recipe.to_dict()), _flatten(before)
    for name in sorted(now.keys() - _FREE_KEYS):
        old, new = then.get(name), now[name]
        if list(old) != list(new) if isinstance(new, list | tuple) and isinstance(old, list | tuple) else old != new:
            raise ConfigError(
                f"{name} of a resumed run must be as at its start",
                received=f"{new!r} in place of {old!r} in {checkpoint}",
                fix="take the change back, or start a new run in another output",
            )


def _flatten(values: dict[str, Any]) -> dict[str, Any]:
    """``section.key`` → value."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
    return flat
