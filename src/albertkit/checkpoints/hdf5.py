"""HDF5 files, read as the arrays they hold and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from albertkit.checkpoints.storage import StoredTensors, narrowest, widen
from albertkit.errors import CheckpointError
from albertkit.optional import require

__all__ = ["read_arrays"]

_MOST_DEEP = 32  # twice what the names of an ALBERT need


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
    try:
        content = np.memmap(path, np.uint8, "r")
        with h5py.File(path, "r") as file:
            for name, dataset in _walk(h5py, file, [], {h5py.h5o.get_info(file.id).addr}):
                tensors[name], dtype = _map_array(content, dataset)
                types.add(dtype)
    except Exception as error:  # whatever a damaged or hostile file brings about
        raise CheckpointError(
            "HDF5 weights must be a whole, readable file of uncompressed arrays",
            received=f"{path} ({str(error).partition(chr(10))[0] or type(error).__name__})",
            fix="download or save the file again",
        ) from None
    return StoredTensors(tensors, narrowest(types), {})


def _walk(h5py: Any, group: Any, path: list[str], seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Path and dataset of every array below a group, each once, in the order of the names.

    The library's own walk takes hours for a few megabytes of groups within groups.
    """
    if len(path) > _MOST_DEEP:
        raise ValueError(f"groups lie more than {_MOST_DEEP} deep")
    for name in group:
        link = group.id.links.get_info(name.encode())
        if link.type != h5py.h5l.TYPE_HARD or link.u in seen:  # others lead to another place, even another file
            continue
        seen.add(link.u)  # where the object lies
        item = group[name]
        if isinstance(item, h5py.Group):
            yield from _walk(h5py, item, [*path, name], seen)
        elif isinstance(item, h5py.Dataset) and item.size:
            yield "/".join([*path, name]), item


def _map_array(content: np.ndarray, dataset: Any) -> tuple[np.ndarray, str]:
    """A dataset as a view of its file, or widened, and its floating type's name."""
    dtype, offset = dataset.dtype, dataset.id.get_offset()
    if dtype == np.dtype("V2") and dataset.attrs.get("dtype") == "bfloat16":  # two opaque bytes, as Keras 3 stores it
        name, dtype = "bfloat16", np.dtype("<u2")
    elif dtype.kind in "fiub":
        name = dtype.name
    else:
        raise TypeError(f"{dataset.name} is of type {dtype}")
    if offset is None:  # in pieces, compressed, virtual or in another file
        raise ValueError(f"{dataset.name} is not in one piece")
    array = content[offset : offset + dataset.nbytes].view(dtype).reshape(dataset.shape)
    return widen(array, name), name
