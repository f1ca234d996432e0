"""safetensors files of every floating type, read and written with NumPy alone.

NumPy has no bfloat16: such tensors are widened to float32 on reading (exact) and rounded to nearest even on writing.
The format: eight bytes of header length, a JSON header, then the tensors' bytes (safetensors' own documentation).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from albertkit.errors import AlbertError, CheckpointError
from albertkit.files import new_file

__all__ = [
    "FLOAT_TYPES",
    "STORED_AS",
    "StoredTensors",
    "as_array",
    "narrowest",
    "read_tensors",
    "to_stored",
    "unwritable",
    "widen",
    "write_tensors",
]

FLOAT_TYPES = ("float32", "float16", "bfloat16")
"""The floating types weights may be stored in."""

# The format's names of types: how NumPy reads them, and which floating type PyTorch calls them.
_NUMPY_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
STORED_AS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
"""Floating type → the name that the format gives it."""
_FLOAT_NAMES = {kind: name for name, kind in STORED_AS.items()}


@dataclass(frozen=True)
class StoredTensors:
    """What a safetensors file holds.

    Attributes:
        tensors: Name → array. Float32 and whole numbers are read-only views of the memory-mapped file; float16 and bfloat16
            are widened to float32.
        dtype: The narrowest floating type in the file, by PyTorch's name: one of :data:`FLOAT_TYPES`.
        metadata: The file's own strings.
    """

    tensors: dict[str, np.ndarray]
    dtype: str
    metadata: dict[str, str]


def read_tensors(path: str | Path) -> StoredTensors:
    """Memory-map a safetensors file.

    Raises:
        CheckpointError: If the file is missing, damaged or truncated, or holds a type unknown here.
    """
    try:
        with safe_open(str(path), framework="numpy") as checked:  # refuses a damaged header, gaps, overlaps and cut-off files
            metadata = checked.metadata() or {}
        content = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            "weights must be a whole, readable safetensors file",
            received=f"{path} ({error})",
            fix="download or save the file again",
        ) from None
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    header = json.loads(content[8:start].tobytes())
    header.pop("__metadata__", None)
    kinds = {entry["dtype"] for entry in header.values()}
    if unknown := kinds - _NUMPY_TYPES.keys():
        raise CheckpointError(f"weights may be stored as {', '.join(_NUMPY_TYPES)}", received=f"{', '.join(unknown)} in {path}")
    return StoredTensors(
        tensors={name: as_array(content[start:], **entry) for name, entry in header.items()},
        dtype=narrowest([_FLOAT_NAMES.get(kind, "") for kind in kinds]),
        metadata=metadata,
    )


def write_tensors(
    path: str | Path, tensors: Mapping[str, np.ndarray], *, dtype: str = "float32", metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file that appears whole or not at all.

    Args:
        path: The file to make or replace.
        tensors: Name → array; floating arrays are stored as ``dtype``, others as they are.
        dtype: One of :data:`FLOAT_TYPES`.
        metadata: Strings to keep in the header.

    Raises:
        CheckpointError: If the type is unknown or the file cannot be written.
    """
    if dtype not in FLOAT_TYPES:
        raise CheckpointError(f"dtype must be one of {', '.join(FLOAT_TYPES)}", received=repr(dtype))
    stored = {name: to_stored(array, dtype) for name, array in tensors.items()}
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for name, (kind, array) in stored.items():
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [position, position := position + array.nbytes]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that every tensor begins on a multiple of eight bytes
    try:
        with new_file(path) as temporary, temporary.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for _, array in stored.values():
                file.write(array.data if array.size else b"")
    except OSError as error:
        raise unwritable(path, error) from None


def narrowest(types: Collection[str]) -> str:
    """The narrowest of :data:`FLOAT_TYPES` among the names of types; ``float32`` where none is."""
    return next((name for name in reversed(FLOAT_TYPES) if name in types), "float32")


def widen(array: np.ndarray, dtype: str) -> np.ndarray:
    """The same values in float32 where they are ``float16`` or the bit patterns of ``bfloat16``, exactly; else as they are."""
    if dtype == "bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32) if dtype == "float16" else array


def unwritable(path: str | Path, error: Exception) -> AlbertError:
    """The error for a file that could not be written, with the system's reason."""
    reason = getattr(error, "strerror", None) or str(error)
    return CheckpointError(
        "a checkpoint must be written whole",
        received=f"{path} ({reason})",
        fix="free some space or choose another directory; nothing was left behind",
    )


def as_array(data: np.ndarray, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    """One tensor as a view of the file; the narrow floating types as float32."""
    array = data[slice(*data_offsets)].view(_NUMPY_TYPES[dtype]).reshape(shape)
    return widen(np.asarray(array), _FLOAT_NAMES.get(dtype, ""))


def to_stored(array: np.ndarray, dtype: str) -> tuple[str, np.ndarray]:
    """The format's name for a tensor's type, and its values in that type."""
    values = np.ascontiguousarray(array).reshape(np.shape(array))
    if not np.issubdtype(values.dtype, np.floating):
        little = values.dtype.newbyteorder("<")
        return next(kind for kind, name in _NUMPY_TYPES.items() if np.dtype(name) == little and kind != "BF16"), values
    return STORED_AS[dtype], _to_bfloat16(values) if dtype == "bfloat16" else values.astype(dtype)


def _to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Round to the nearest bfloat16, ties to even, as bit patterns."""
    bits = values.astype(np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)
