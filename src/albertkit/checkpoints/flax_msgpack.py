"""``flax_model.msgpack``: the nested parameters of transformers' Flax classes, as flax.serialization lays them out.

A map of maps by msgpack; an array is an extension of type 1 whose content is msgpack again: shape, type and bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from albertkit.checkpoints.framework_names import to_flax
from albertkit.checkpoints.storage import StoredTensors, narrowest, unwritable, widen
from albertkit.errors import CheckpointError
from albertkit.files import new_file
from albertkit.optional import require

__all__ = ["read_flax", "write_flax"]

_ARRAY = 1  # the extension's type
_TYPES = {name: name for name in ("float64", "float32", "float16", "int64", "int32", "int8", "uint8")} | {"bfloat16": "uint16"}
# Far more than a model has: a reader makes room for what a map or a list announces.
_MOST_ENTRIES = 65_536
_MOST_AXES = 32


def read_flax(path: str | Path) -> StoredTensors:
    """Read a file of ``flax.serialization.to_bytes`` as arrays and nothing else.

    Args:
        path: The file.

    Returns:
        Its arrays by their path in the tree, joined by slashes; float16 and bfloat16 widened to float32.

    Raises:
        CheckpointError: If the file is missing, damaged or truncated, or holds anything but arrays in maps.
        MissingExtraError: If msgpack is not installed.
    """
    msgpack = require("msgpack", f"Reading {Path(path).name}")
    types: set[str] = set()

    def to_array(code: int, data: bytes) -> np.ndarray:
        if code != _ARRAY:
            raise ValueError(f"an extension of type {code}")
        shape, name, content = msgpack.unpackb(data, raw=True, max_array_len=_MOST_AXES)
        dtype = name.decode()
        types.add(dtype)
        return widen(np.frombuffer(content, _TYPES[dtype]).reshape(shape), dtype)

    try:
        content = np.memmap(path, np.uint8, "r")
        tree = msgpack.unpackb(content, ext_hook=to_array, max_map_len=_MOST_ENTRIES, max_array_len=_MOST_AXES)
        tensors = dict(_flatten(tree))
    except Exception as error:  # whatever a damaged or hostile file brings about
        raise CheckpointError(
            "Flax weights must be a whole, readable file of arrays by name",
            received=f"{path} ({str(error).partition(chr(10))[0] or type(error).__name__})",
            fix="download or save the file again",
        ) from None
    return StoredTensors(tensors, narrowest(types), {})


def _flatten(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(tree, np.ndarray):
        yield "/".join(path), tree
    elif isinstance(tree, dict):
        for key, branch in tree.items():
            yield from _flatten(branch, (*path, str(key)))
    else:
        raise TypeError(f"{'/'.join(path) or 'it'} is of type {type(tree).__name__}")


def write_flax(path: str | Path, parameters: Mapping[str, np.ndarray]) -> None:
    """Write ``flax_model.msgpack`` as transformers' Flax classes read it; the file appears whole or not at all.

    Args:
        path: The file to make or replace.
        parameters: Contract name → array; stored as float32.

    Raises:
        CheckpointError: If the file cannot be written.
        MissingExtraError: If msgpack is not installed.
    """
    msgpack = require("msgpack", f"Writing {Path(path).name}")
    tree: dict[str, Any] = {}
    for name, array in to_flax(parameters).items():
        *owners, leaf = name.split("/")
        branch = tree
        for owner in owners:
            branch = branch.setdefault(owner, {})
        content = (array.shape, "float32", array.astype(np.float32).tobytes())
        branch[leaf] = msgpack.ExtType(_ARRAY, msgpack.packb(content))
    try:
        with new_file(path) as temporary, temporary.open("wb") as file:
            msgpack.pack(tree, file)
    except OSError as error:
        raise unwritable(path, error) from None
