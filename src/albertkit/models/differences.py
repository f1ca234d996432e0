"""What a checkpoint and a model that was loaded from it do not share, said in one sentence whatever the framework."""

from __future__ import annotations

import warnings

from albertkit.checkpoints.huggingface import LoadedParameters
from albertkit.checkpoints.parameters import HEADS, HEADS_OF_CLASS, Head, list_parameters
from albertkit.config import AlbertConfig

__all__ = ["warn_of_differences"]


def warn_of_differences(name: str, model: str, heads: tuple[Head, ...], config: AlbertConfig, loaded: LoadedParameters) -> None:
    """Say in one sentence what a checkpoint and a model do not share.

    Args:
        name: The checkpoint's.
        model: The model's class.
        heads: The model's.
        config: Of the checkpoint and the model.
        loaded: What the checkpoint gave.

    Warns:
        UserWarning: Names each head that starts at random, with its parameters; the task that a classifier was trained for,
            if it is another; and weights of unknown purpose.
    """
    parts = []
    encoder = {parameter.name for parameter in list_parameters(config)}
    for head in heads:
        names = [parameter.name for parameter in list_parameters(config, (head,)) if parameter.name not in encoder]
        missing = [name for name in names if name in loaded.missing]
        if missing:
            verb = "has another size of" if set(missing) & set(loaded.mismatched) else "lacks"
            parts.append(f"{verb} the {head} head ({', '.join(missing)}), which starts at random: train it before use")
    trained_for = [head for owner in config.architectures for head in HEADS_OF_CLASS.get(owner, ()) if _is_classifier(head)]
    if "classifier.weight" in loaded.parameters and trained_for and not set(trained_for) & set(heads):
        parts.append(f"holds a classifier that was trained for {trained_for[0]}, as its config.json says")
    every = {parameter.name for parameter in list_parameters(config, HEADS)}
    unknown = [key for key in loaded.unexpected if key not in every]
    if unknown:
        parts.append(f"holds weights the model has no place for: {', '.join(unknown)}")
    if parts:
        warnings.warn(f"{name}, loaded as {model}, {'; it '.join(parts)}", UserWarning, stacklevel=3)


def _is_classifier(head: Head) -> bool:
    """Tell whether a head is one of those that are all named ``classifier``."""
    return head in ("sequence_classification", "multiple_choice", "token_classification")
