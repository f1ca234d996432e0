"""PyTorch's pickled weights (``pytorch_model.bin``), read as tensors and nothing else."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from albertkit.checkpoints.storage import StoredTensors, narrowest
from albertkit.errors import CheckpointError
from albertkit.optional import require

__all__ = ["read_pickled"]


def read_pickled(path: str | Path) -> StoredTensors:
    """Read a file of ``torch.save``, old form or new, with PyTorch's reader that knows tensors alone (``weights_only``).

    Args:
        path: The file.

    Returns:
        Its tensors; float16 and bfloat16 widened to float32.

    Raises:
        CheckpointError: If the file is damaged or holds anything but tensors by name, such as code.
        MissingExtraError: If PyTorch is not installed.
    """
    torch = require("torch", f"Reading {Path(path).name}")
    try:
        # Files from before PyTorch 1.6, as the published ones are, are no zip archives and cannot be mapped.
        values = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        if not isinstance(values, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in values.values()):
            raise TypeError("it holds something else")
        types = {str(tensor.dtype).removeprefix("torch.") for tensor in values.values()}
        tensors = {str(name): _to_numpy(tensor.detach(), torch) for name, tensor in values.items()}
    except Exception as error:  # whatever a damaged or hostile pickle brings about
        reason = next(iter(str(error).splitlines()), "").split(". ")[0] or type(error).__name__
        raise CheckpointError(
            "pickled weights must be tensors by name and nothing else",
            received=f"{path} ({reason})",
            fix="do not use a file whose source you do not trust",
        ) from None
    return StoredTensors(tensors, narrowest(types), {})


def _to_numpy(tensor: Any, torch: Any) -> np.ndarray:
    wide = tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
    return np.asarray(wide.numpy())
