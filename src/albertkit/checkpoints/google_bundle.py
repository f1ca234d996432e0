"""TensorFlow's checkpoints (``model.ckpt.index``, ``model.ckpt.data-00000-of-00001``), read and written without TensorFlow.

The index is a LevelDB table: "" → header, and variable → where in which data file the tensor lies, of what type and shape, and
with what checksum. The data files are the tensors' bytes and nothing else.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from albertkit.checkpoints.bundle_messages import BundleEntry, parse_entry, parse_header, serialize_entry, serialize_header
from albertkit.checkpoints.crc32c import masked_crc32c
from albertkit.checkpoints.sstable import read_table, write_table
from albertkit.checkpoints.storage import FLOAT_TYPES, STORED_AS, StoredTensors, as_array, narrowest, to_stored, unwritable
from albertkit.errors import CheckpointError
from albertkit.files import new_file

__all__ = ["INDEX", "read_bundle", "write_bundle"]

INDEX = ".index"
"""How the name of a checkpoint's index ends."""

_MOST_INDEX_BYTES = 1 << 20  # some 15,000 variables; the largest ALBERT has a hundred
_MOST_SHARDS = 99_999  # five digits in a file's name
# TensorFlow's number for a type (tensorflow/core/framework/types.proto), and what safetensors calls it.
_KINDS = {
    1: "F32", 2: "F64", 3: "I32", 4: "U8", 5: "I16", 6: "I8", 9: "I64", 10: "BOOL", 14: "BF16", 17: "U16", 19: "F16", 22: "U32",
    23: "U64",
}  # fmt: skip
_NUMBERS = {kind: number for number, kind in _KINDS.items()}
_STRINGS = 7
_MOST_DIMS = 16
_MOST_REASON = 300  # characters: a damaged name may be long


def read_bundle(index: str | Path, keep: Callable[[str], bool] = lambda name: True) -> StoredTensors:
    """Memory-map a checkpoint of TensorFlow; every tensor that is kept has the checksum stored with it.

    Args:
        index: The file ``….index``; the data files lie beside it.
        keep: Tells by its name whether a variable is wanted; the bytes of the others are never read. Text is never wanted.

    Raises:
        CheckpointError: If a file is missing, damaged or truncated, or holds what cannot be read here.
    """
    try:
        shards, entries = _read_index(Path(index))
        wanted = {name: entry for name, entry in entries.items() if entry.type != _STRINGS and keep(name)}
        _refuse_overlaps(wanted.values())
        used = sorted({entry.shard for entry in wanted.values()})
        contents = {shard: _map(_data_file(Path(index), shard, shards)) for shard in used}
        tensors = {name: _read_tensor(name, entry, contents[entry.shard]) for name, entry in wanted.items()}
    except (OSError, ValueError) as error:
        raise _damaged(index, error) from None
    kinds = {_KINDS[entry.type] for entry in wanted.values()}
    return StoredTensors(tensors, narrowest([name for name, kind in STORED_AS.items() if kind in kinds]), {})


def write_bundle(
    prefix: str | Path, tensors: Mapping[str, np.ndarray], *, shards: int = 1, dtype: str = "float32"
) -> tuple[Path, ...]:
    """Write a checkpoint that TensorFlow restores; the index, without which there is none, takes its place last.

    Args:
        prefix: The files' common name, such as ``…/model.ckpt-best``.
        tensors: Variable → array; floating arrays are stored as ``dtype``, others as they are.
        shards: Number of data files.
        dtype: One of :data:`~albertkit.checkpoints.storage.FLOAT_TYPES`.

    Returns:
        The files, the index first.

    Raises:
        CheckpointError: If ``dtype`` or ``shards`` is impossible, or the files cannot be written.
    """
    if dtype not in FLOAT_TYPES or not 1 <= shards <= _MOST_SHARDS:
        raise CheckpointError(
            f"dtype must be one of {', '.join(FLOAT_TYPES)} and shards 1 to {_MOST_SHARDS:,}", received=f"{dtype} and {shards}"
        )
    index = Path(f"{prefix}{INDEX}")
    files = [_data_file(index, shard, shards) for shard in range(shards)]
    entries = {b"": serialize_header(shards)}
    try:
        with ExitStack() as stack:
            new_index = stack.enter_context(new_file(index))  # entered first, left last
            for shard, path in enumerate(files):
                with stack.enter_context(new_file(path)).open("wb") as file:
                    for name in sorted(tensors)[shard::shards]:
                        kind, array = to_stored(tensors[name], dtype)
                        content = np.frombuffer(array.tobytes(), np.uint8)
                        entry = BundleEntry(_NUMBERS[kind], array.shape, shard, file.tell(), content.size, masked_crc32c(content))
                        entries[name.encode()] = serialize_entry(entry)
                        file.write(content.data)
            new_index.write_bytes(write_table(entries))
    except OSError as error:
        raise unwritable(index, error) from None
    return index, *files


def _damaged(index: str | Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        "a TensorFlow checkpoint must be an index with its data files beside it, all whole",
        received=f"{index} ({str(error)[:_MOST_REASON]})",
        fix="download or save it again",
    )


def _data_file(index: Path, shard: int, shards: int) -> Path:
    return index.with_name(f"{index.name.removesuffix(INDEX)}.data-{shard:05}-of-{shards:05}")


def _read_index(index: Path) -> tuple[int, dict[str, BundleEntry]]:
    """The number of data files, and where in them each variable lies."""
    if index.stat().st_size > _MOST_INDEX_BYTES:
        raise ValueError("the index is too large")
    table = read_table(index.read_bytes())
    if b"" not in table:
        raise ValueError("the index has no header")
    shards = parse_header(table.pop(b""))
    if not 1 <= shards <= _MOST_SHARDS:
        raise ValueError(f"the index speaks of {shards} data files")
    entries = {name.decode(): parse_entry(message) for name, message in table.items()}
    for name, entry in entries.items():
        if entry.shard >= shards:
            raise ValueError(f"{name!r} lies in a file of which there is none")
        if entry.type not in _KINDS and entry.type != _STRINGS:
            raise ValueError(f"{name!r} is of type {entry.type}, which is not read here")
    return shards, entries


def _refuse_overlaps(entries: Iterable[BundleEntry]) -> None:
    """No byte belongs to two tensors, so that a small file cannot ask for much work."""
    places = sorted((entry.shard, entry.offset, entry.offset + entry.size) for entry in entries)
    for (shard, _, end), (next_shard, start, _) in itertools.pairwise(places):
        if shard == next_shard and start < end:
            raise ValueError("two tensors overlap")


def _map(path: Path) -> np.ndarray:
    if path.stat().st_size == 0:  # which cannot be mapped
        return np.empty(0, np.uint8)
    return np.asarray(np.memmap(path, np.uint8, "r"))


def _read_tensor(name: str, entry: BundleEntry, content: np.ndarray) -> np.ndarray:
    """One tensor, its bytes found to be there, as many as its shape takes, and with the right checksum."""
    data = content[entry.offset : entry.offset + entry.size]
    if data.size < entry.size:
        raise ValueError(f"{name!r} ends past its file")
    values = as_array(data, _KINDS[entry.type], [-1], [0, entry.size])
    if len(entry.shape) > _MOST_DIMS or values.size != math.prod(entry.shape):
        raise ValueError(f"{name!r} has {values.size} values and the shape {entry.shape}")
    if masked_crc32c(data) != entry.crc32c:
        raise ValueError(f"{name!r} does not have the checksum stored with it")
    return np.require(values, requirements="A").reshape(entry.shape)
