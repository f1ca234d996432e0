"""What loading has to settle beside the values: the floating type, the device, and what a checkpoint and a model do not share."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import nn

from albertkit.checkpoints.huggingface import LoadedParameters
from albertkit.checkpoints.parameters import HEADS, HEADS_OF_CLASS, Head, list_parameters
from albertkit.config import AlbertConfig
from albertkit.errors import InputError

__all__ = ["Device", "find_dtype", "move", "warn_of_differences"]

Device = str | int | torch.device
"""What names a device; ``"auto"`` is the fastest that is there."""

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def find_dtype(dtype: torch.dtype | str | None) -> torch.dtype:
    """The floating type of that name; float32 where none is given.

    Raises:
        InputError: If models do not run in it.
    """
    name = str(dtype or "float32").removeprefix("torch.")
    if name not in _DTYPES:
        raise InputError(f"dtype must be auto or one of {', '.join(_DTYPES)}", received=name)
    return _DTYPES[name]


def move(model: nn.Module, device: Device | Mapping[str, Device] | None, dtype: torch.dtype | None = None) -> None:
    """Put a model on a device, and convert it.

    Args:
        model: Any; changed in place.
        device: ``"auto"``, or a device, or a map ``{"": device}``; ``None``: where it is.
        dtype: ``None``: as it is.

    Raises:
        InputError: If PyTorch has no such device here, or a map spreads the model over several.
    """
    if isinstance(device, Mapping):
        if len(set(device.values())) != 1:
            raise InputError("ALBERT stands on one device: its layers are one", received=f"device_map={dict(device)}")
        device = next(iter(device.values()))
    if device == "auto":
        device = torch.accelerator.current_accelerator(check_available=True) or "cpu"
    try:
        model.to(device=device, dtype=dtype)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError("device must be one that PyTorch has here", received=f"{device} ({reason})", fix="try cpu") from None


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
