"""The files that hold a checkpoint's weights: one or several, safetensors or, by permission, pickled by PyTorch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from albertkit import hub
from albertkit.checkpoints.pickled import read_pickled
from albertkit.checkpoints.storage import FLOAT_TYPES, StoredTensors, read_tensors
from albertkit.errors import CheckpointError
from albertkit.hub import Files, Name, Source

__all__ = ["WEIGHTS_FILE", "WEIGHT_FILES", "StoredWeights", "read_weights"]

WEIGHTS_FILE = "model.safetensors"
"""Where the weights of a checkpoint are, if they are in one file."""

_INDEX = ".index.json"
_SAFE = (WEIGHTS_FILE, WEIGHTS_FILE + _INDEX)
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin" + _INDEX)
WEIGHT_FILES = _SAFE + _PICKLED
"""All names under which weights are found, in order of preference."""
_MOST_INDEX_BYTES = 10_000_000


@dataclass(frozen=True)
class StoredWeights:
    """What the weight files of a checkpoint hold.

    Attributes:
        tensors: Name on disk → array, as :func:`~albertkit.checkpoints.storage.read_tensors` gives it.
        dtype: The narrowest floating type, one of :data:`~albertkit.checkpoints.storage.FLOAT_TYPES`.
        files: The weight files, an index not among them.
        pickled: Whether they are PyTorch's pickles.
    """

    tensors: dict[str, np.ndarray]
    dtype: str
    files: tuple[Path, ...]
    pickled: bool

    @property
    def origin(self) -> str:
        """The file, or the first of several, for messages."""
        return str(self.files[0])


def read_weights(name: Name) -> StoredWeights:
    """Read all tensors of a checkpoint; safetensors files are preferred and memory-mapped.

    Args:
        name: A directory, an embedded model, a published name or a hub id, or a :class:`~albertkit.hub.Source`, whose
            ``allow_pickle`` permits ``pytorch_model.bin``.

    Raises:
        CheckpointError: If there are no weights, or pickled ones alone without permission, or a file is missing or damaged.
    """
    files = hub.open_files(name)
    chosen = next((filename for filename in WEIGHT_FILES if files.has(filename)), None)
    if chosen is None:
        raise files.unreachable or CheckpointError(
            f"a checkpoint must hold {WEIGHTS_FILE}, whole or in parts with an index", received=f"{name}, which does not"
        )
    if chosen in _PICKLED and not Source.of(name).allow_pickle:
        raise CheckpointError(
            "weights in a pickle, which could run code, are read by permission only",
            received=f"{name}, whose weights are {chosen} alone",
            fix="give allow_pickle=True (--allow-pickle), by which PyTorch reads tensors and nothing else, or convert the file to"
            f" {WEIGHTS_FILE}",
        )
    read = read_pickled if chosen in _PICKLED else read_tensors
    path = files.fetch(chosen)
    if chosen.endswith(_INDEX):
        return _read_parts(path, files, read, pickled=chosen in _PICKLED)
    stored = read(path)
    return StoredWeights(stored.tensors, stored.dtype, (path,), pickled=chosen in _PICKLED)


def _read_parts(index: Path, files: Files, read: Callable[[Path], StoredTensors], *, pickled: bool) -> StoredWeights:
    """Read the files that an index names, and of each the tensors that the index seeks there."""
    places = _read_index(index)
    tensors: dict[str, np.ndarray] = {}
    paths, types = [], []
    for filename in sorted(set(places.values())):
        if not files.has(filename):
            raise files.unreachable or CheckpointError(
                "a checkpoint in parts must hold every file of its index", received=f"{index}, whose {filename} is missing"
            )
        path = files.fetch(filename)
        part = read(path)
        for key in (key for key, place in places.items() if place == filename):
            if key not in part.tensors:
                raise CheckpointError("a file must hold the tensors that its index seeks there", received=f"{path} without {key}")
            tensors[key] = part.tensors[key]
        paths.append(path)
        types.append(part.dtype)
    return StoredWeights(tensors, max(types, key=FLOAT_TYPES.index), tuple(paths), pickled)


def _read_index(path: Path) -> dict[str, str]:
    """Tensor → file, as ``weight_map`` says; files are those beside the index and no others."""
    try:
        if path.stat().st_size > _MOST_INDEX_BYTES:
            raise ValueError("it is too large")
        places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        if not places or not all(isinstance(place, str) for place in places.values()):
            raise ValueError("its weight_map names no files")
        if outside := next((place for place in places.values() if place in ("", ".", "..") or set(place) & set("/\\")), None):
            raise ValueError(f"{outside!r} is not beside it")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            "an index of weights must map tensors to files beside it", received=f"{path} ({error})", fix="save the model again"
        ) from None
    return dict(places)
