"""What loading has to settle beside the values: the floating type and the device."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from albertkit.errors import InputError

__all__ = ["Device", "find_dtype", "move"]

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
