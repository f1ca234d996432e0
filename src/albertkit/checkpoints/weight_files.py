"""The files of a checkpoint's weights, whichever tool wrote them: one or several, found, read, and named by the contract."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from albertkit import hub
from albertkit.checkpoints.flax_msgpack import read_flax
from albertkit.checkpoints.framework_names import clean_flax_name, clean_keras_name, from_flax, from_keras
from albertkit.checkpoints.google_bundle import INDEX
from albertkit.checkpoints.google_names import read_google
from albertkit.checkpoints.hdf5 import read_arrays
from albertkit.checkpoints.keras_hub import read_keras_hub
from albertkit.checkpoints.pickled import read_pickled
from albertkit.checkpoints.storage import StoredTensors, narrowest, read_tensors
from albertkit.errors import CheckpointError
from albertkit.hub import Files, Name, Source

__all__ = ["WEIGHTS_FILE", "StoredWeights", "has_weights", "read_weights"]

WEIGHTS_FILE = "model.safetensors"
"""Where the weights of a checkpoint are, if they are in one file."""

_INDEX = ".index.json"
_MOST_INDEX_BYTES = 10_000_000


@dataclass(frozen=True)
class _Format:
    """How a tool keeps weights: its name for people, the file, a reader, and the way to the contract's names and orientation."""

    label: str
    filename: str
    read: Callable[[Path], StoredTensors]
    clean: Callable[[str], str] = str
    to_contract: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]] = dict


_SAFE = _Format("Hugging Face, safetensors", WEIGHTS_FILE, read_tensors)
_PICKLED = _Format("Hugging Face, PyTorch pickle", "pytorch_model.bin", read_pickled)
_FLAX = _Format("Hugging Face, Flax msgpack", "flax_model.msgpack", read_flax, clean_flax_name, from_flax)
_KERAS = _Format("Hugging Face, TensorFlow HDF5", "tf_model.h5", read_arrays, clean_keras_name, from_keras)
_KERAS_HUB = _Format("KerasHub preset", "model.weights.h5", read_keras_hub)
_TF_HUB = _Format("TensorFlow Hub module", f"variables/variables{INDEX}", read_google)
_GOOGLE = _Format("Google TensorFlow 1 checkpoint", f"*{INDEX}", read_google)
_FORMATS = (_SAFE, _PICKLED, _FLAX, _KERAS, _KERAS_HUB, _TF_HUB, _GOOGLE)
"""In order of preference."""
_FORMAT_OF_ENDING = {
    ".safetensors": _SAFE, ".bin": _PICKLED, ".msgpack": _FLAX, ".weights.h5": _KERAS_HUB, ".h5": _KERAS, INDEX: _GOOGLE
}  # fmt: skip

# transformers' Flax and TensorFlow classes write safetensors with their own names, and say so in its metadata.
_SAFE_BY_WRITER = {
    "flax": _Format("Hugging Face, safetensors of a Flax class", WEIGHTS_FILE, read_tensors, clean_flax_name, from_flax),
    "tf": _Format("Hugging Face, safetensors of a TensorFlow class", WEIGHTS_FILE, read_tensors, clean_keras_name, from_keras),
}


@dataclass(frozen=True)
class StoredWeights:
    """What the weight files of a checkpoint hold.

    Attributes:
        tensors: Hugging Face's name → array, as :func:`~albertkit.checkpoints.storage.read_tensors` gives it.
        dtype: The narrowest floating type, one of :data:`~albertkit.checkpoints.storage.FLOAT_TYPES`.
        files: The weight files, an index not among them.
        format: What they are, for people.
        directory: The checkpoint's.
    """

    tensors: dict[str, np.ndarray]
    dtype: str
    files: tuple[Path, ...]
    format: str
    directory: Path

    @property
    def origin(self) -> str:
        """The file, or the first of several, for messages."""
        return str(self.files[0])


def has_weights(files: Files) -> bool:
    """Whether a checkpoint holds weights in any format."""
    return any(True for _ in _find(files))


def read_weights(name: Name) -> StoredWeights:
    """Read all tensors of a checkpoint; safetensors files are preferred and memory-mapped.

    Args:
        name: A directory, a file of weights in it (of a TensorFlow checkpoint the prefix will do), an embedded model, a published
            name or a hub id, or a :class:`~albertkit.hub.Source`, whose ``allow_pickle`` permits ``pytorch_model.bin``.

    Raises:
        CheckpointError: If there are no weights, or pickled ones alone without permission, or a file is missing or damaged.
        MissingExtraError: If their format needs a package that is not installed.
    """
    files = hub.open_files(name)
    format, filename = _choose(name, files)
    path = files.fetch(filename)
    directory = path.parents[filename.count("/")]
    if format is _KERAS_HUB:
        files.fetch("config.json")  # which its reader looks into
    data = [
        files.fetch(part) for part in files.find(f"{glob.escape(filename.removesuffix(INDEX))}.data-*")
    ]  # TensorFlow's, by its index
    places = _read_index(path) if filename.endswith(_INDEX) else None
    paths = [path] if places is None else [_fetch_part(files, path, part) for part in sorted(set(places.values()))]
    parts = [format.read(part) for part in paths]
    if format is _SAFE:
        format = _SAFE_BY_WRITER.get(parts[0].metadata.get("format", ""), _SAFE)
    tensors: dict[str, np.ndarray] = {}
    for part_path, part in zip(paths, parts, strict=True):
        found = {format.clean(key): array for key, array in part.tensors.items()}
        if places is not None:
            found = _take(found, [format.clean(key) for key, place in places.items() if place == part_path.name], part_path)
        tensors |= found
    dtype = narrowest([part.dtype for part in parts])
    return StoredWeights(format.to_contract(tensors), dtype, tuple(data or paths), format.label, directory)


def _find(files: Files) -> Iterator[tuple[_Format, str]]:
    """The formats that a checkpoint holds, each with the file to begin with, in order of preference."""
    if files.named is not None:
        yield _format_of(files.named), files.named
        return
    for format in _FORMATS:
        if format is _GOOGLE:
            yield from ((format, filename) for filename in sorted(files.find(format.filename), key=_progress, reverse=True))
        else:
            yield from ((format, filename) for filename in (format.filename, format.filename + _INDEX) if files.has(filename))


def _format_of(filename: str) -> _Format:
    """The format of a file that is named itself, by its own name or how that ends."""
    whole = filename.removesuffix(_INDEX)
    endings = ((ending, format) for ending, format in _FORMAT_OF_ENDING.items() if whole.endswith(ending))
    return _TF_HUB if filename == _TF_HUB.filename else next(format for _, format in endings)


def _progress(filename: str) -> tuple[bool, int]:
    """Orders a training's checkpoints: ``model.ckpt-best``, as Google published it, comes last, and otherwise the most steps."""
    steps = re.search(r"-(\d{1,18})\.", filename)
    return "-best." in filename, int(steps[1]) if steps else 0


def _choose(name: Name, files: Files) -> tuple[_Format, str]:
    """The format to read."""
    found = list(_find(files))
    if not found:
        raise files.unreachable or CheckpointError(
            f"a checkpoint must hold {WEIGHTS_FILE}, whole or in parts with an index, or the weights of another ALBERT tool",
            received=f"{name}, which does not",
        )
    allowed = found if Source.of(name).allow_pickle else [(format, file) for format, file in found if format is not _PICKLED]
    if not allowed:
        raise CheckpointError(
            "weights in a pickle, which could run code, are read by permission only",
            received=f"{name}, whose weights are {found[0][1]} alone",
            fix="give allow_pickle=True (--allow-pickle), by which PyTorch reads tensors and nothing else, or convert the file to"
            f" {WEIGHTS_FILE}",
        )
    return allowed[0]


def _fetch_part(files: Files, index: Path, filename: str) -> Path:
    """A file that an index names."""
    if not files.has(filename):
        raise files.unreachable or CheckpointError(
            "a checkpoint in parts must hold every file of its index", received=f"{index}, whose {filename} is missing"
        )
    return files.fetch(filename)


def _take(found: Mapping[str, np.ndarray], names: list[str], path: Path) -> dict[str, np.ndarray]:
    """Of a part's tensors those that the index seeks there."""
    if missing := next((name for name in names if name not in found), None):
        raise CheckpointError("a file must hold the tensors that its index seeks there", received=f"{path} without {missing}")
    return {name: found[name] for name in names}


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
