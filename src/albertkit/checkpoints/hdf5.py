"""HDF5 files, read as the arrays they hold and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from albertkit.checkpoints.storage import StoredTensors, narrowest, widen
from albertkit.errors import CheckpointError
from albertkit.optional import require

__all__ = ["read_arrays"]


def read_arrays(path: str | Path) -> StoredTensors:
    """Memory-map the arrays of an HDF5 file.

    Only arrays in one piece of the file itself are read, as every Keras writes them: a file can then neither announce more
    than it holds nor have another file read, and no object is made of its bytes.

    Args:
        path: The file.

    Returns:
        Its arrays by their path; float16 and bfloat16 widened to float32, others read-only views of the file.

    Raises:
        CheckpointError: If the file is missing, damaged or truncated, or holds anything but numbers in one piece.
        MissingExtraError: If h5py is not installed.
    """
    h5py = require("h5py", f"Reading {Path(path).name}")
    tensors: dict[str, np.ndarray] = {}
    types: set[str] = set()

    def take(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.size:
            tensors[name], dtype = _map_array(content, item)
            types.add(dtype)

    try:
        content = np.memmap(path, np.uint8, "r")
        with h5py.File(path, "r") as file:
            file.visititems(take)
    except Exception as error:  # whatever a damaged or hostile file brings about
        raise CheckpointError(
            "HDF5 weights must be a whole, readable file of uncompressed arrays",
            received=f"{path} ({str(error).partition(chr(10))[0] or type(error).__name__})",
            fix="download or save the file again",
        ) from None
    return StoredTensors(tensors, narrowest(types), {})


def _map_array(content: np.ndarray, dataset: Any) -> tuple[np.ndarray, str]:
    """A dataset as a view of its file, or widened, and its floating type's name."""
    dtype, offset = dataset.dtype, dataset.id.get_offset()
    if dtype.kind == "V" and dataset.attrs.get("dtype") == "bfloat16":  # two opaque bytes, as Keras 3 stores it
        name, dtype = "bfloat16", np.dtype("<u2")
    elif dtype.kind in "fiub":
        name = dtype.name
    else:
        raise TypeError(f"{dataset.name} is of type {dtype}")
    if offset is None:  # in pieces, compressed, virtual or in another file
        raise ValueError(f"{dataset.name} is not in one piece")
    array = content[offset : offset + dataset.nbytes].view(dtype).reshape(dataset.shape)
    return widen(array, name), name
