"""Features of many examples: made by all cores, kept in a cache, joined, and packed into batches."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Generic

import numpy as np

from albertkit.data.workers import map_in_order
from albertkit.errors import DataError
from albertkit.files import new_file
from albertkit.hub import Name
from albertkit.tasks.base import E, Features, Task
from albertkit.tokenization import AlbertTokenizer

__all__ = ["encode", "join", "lay_out", "make_features", "pack", "rows_per_unit"]

_CHUNK = 512
"""Examples that a worker is given at a time: many, so that handing over costs little; few, so that progress is seen."""

_FORMAT = 1
"""Of the cache; a change of what any task makes of its examples counts it up."""


def encode(tokenizer: AlbertTokenizer, texts: Iterable[str]) -> dict[str, list[int]]:
    """Ids of texts, each encoded once however often it comes, without special tokens."""
    unique = list(dict.fromkeys(texts))
    encoded = tokenizer(unique, add_special_tokens=False, return_token_type_ids=False, return_attention_mask=False)
    return dict(zip(unique, encoded["input_ids"], strict=True)) if unique else {}


def lay_out(
    rows: Sequence[Sequence[int]],
    types: Sequence[Sequence[int]],
    *,
    owners: Sequence[int] | None = None,
    rows_per_unit: int = 1,
    targets: dict[str, np.ndarray] | None = None,
    places: dict[str, np.ndarray] | None = None,
    counts: dict[str, int] | None = None,
) -> Features:
    """Features from rows, laid end to end.

    Args:
        rows: Ids of each row.
        types: Segment numbers of each, of the same lengths.
        owners: Example of each unit; ``None``: one unit for each example.
        rows_per_unit: Rows of a unit, the same for all.
        targets: As in :class:`~albertkit.tasks.base.Features`.
        places: The same.
        counts: The same.
    """
    boundaries = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    units = np.arange(0, len(rows) + 1, rows_per_unit, dtype=np.int64)
    return Features(
        input_ids=np.fromiter(chain.from_iterable(rows), np.int32, boundaries[-1]),
        token_type_ids=np.fromiter(chain.from_iterable(types), np.int8, boundaries[-1]),
        boundaries=boundaries,
        units=units,
        owners=np.arange(len(units) - 1, dtype=np.int32) if owners is None else np.asarray(owners, np.int32),
        targets=targets or {},
        places=places or {},
        counts=counts or {},
    )


def join(parts: Sequence[Features]) -> Features:
    """Features of all examples from those of parts, in order.

    Args:
        parts: Each with its examples numbered from 0, every one of which has a unit; at least one part.

    Raises:
        DataError: If some parts have right answers and others none.
    """
    if any(part.targets.keys() != parts[0].targets.keys() for part in parts):
        raise DataError("all examples must have right answers, or none", received="some that have and some that have not")
    examples = [int(part.owners[-1]) + 1 for part in parts]
    return Features(
        input_ids=np.concatenate([part.input_ids for part in parts]),
        token_type_ids=np.concatenate([part.token_type_ids for part in parts]),
        boundaries=_join_bounds([part.boundaries for part in parts]),
        units=_join_bounds([part.units for part in parts]),
        owners=np.concatenate([part.owners for part in parts]) + _spread(examples, [part.num_units for part in parts]),
        targets={name: np.concatenate([part.targets[name] for part in parts]) for name in parts[0].targets},
        places={name: np.concatenate([part.places[name] for part in parts]) for name in parts[0].places},
        counts={name: sum(part.counts[name] for part in parts) for name in parts[0].counts},
    )


def make_features(
    task: Task[E],
    examples: Sequence[E],
    tokenizer: Name,
    *,
    workers: int = 1,
    cache: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Features:
    """Featurize examples; with any number of workers, and from the cache, the same.

    Args:
        task: Whose they are.
        examples: At least one.
        tokenizer: Name of the checkpoint that it belongs to, or a :class:`~albertkit.hub.Source`.
        workers: Number of processes; a script that uses more than one calls this under ``if __name__ == "__main__"``.
        cache: Folder to keep features in, under a name made of all they depend on; a damaged file is made anew.
        on_progress: Told how many examples are done, and of how many.

    Raises:
        DataError: If there is no example, or one cannot be used, or the cache cannot be written.
        VocabularyError: If the tokenizer cannot be read.
    """
    if not examples:
        raise DataError("there must be at least one example", received="none")
    file = cache / f"{_fingerprint(task, examples, tokenizer)}.npz" if cache is not None else None
    found = _read(file) if file is not None else None
    if found is not None:
        return found
    chunks = (examples[start : start + _CHUNK] for start in range(0, len(examples), _CHUNK))
    parts, done = [], 0
    for part in map_in_order(partial(_Featurizer, task, tokenizer), chunks, workers):
        parts.append(part)
        done += int(part.owners[-1]) + 1
        if on_progress is not None:
            on_progress(done, len(examples))
    features = join(parts)
    if file is not None:
        _write(features, file)
    return features


def pack(features: Features, units: np.ndarray) -> dict[str, np.ndarray]:
    """Arguments of the model for some units as a packed batch: rows end to end, without padding.

    Args:
        features: Of all examples.
        units: Numbers of the units, in the order wanted.

    Returns:
        ``input_ids`` and ``token_type_ids`` ``[T]``, ``cu_seqlens`` ``[rows + 1]``, all int64, and the targets. A batch of
        choices also needs ``num_choices``: :func:`rows_per_unit`.
    """
    rows = _ranges(features.units[units], features.units[units + 1])
    tokens = _ranges(features.boundaries[rows], features.boundaries[rows + 1])
    batch = {
        "input_ids": features.input_ids[tokens].astype(np.int64),
        "token_type_ids": features.token_type_ids[tokens].astype(np.int64),
        "cu_seqlens": np.cumsum([0, *features.lengths[rows]], dtype=np.int64),
    }
    for name, values in features.targets.items():  # of units, or of tokens: a row has two tokens at least
        batch[name] = values[units if len(values) == features.num_units else tokens]
    return batch


def rows_per_unit(features: Features) -> int:
    """Rows of every unit: 1, or the number of choices of every question.

    Raises:
        DataError: If they are not the same for all.
    """
    numbers = np.unique(np.diff(features.units))
    if len(numbers) != 1:
        raise DataError("all questions must have equally many choices", received=f"{numbers.min()} to {numbers.max()}")
    return int(numbers[0])


class _Featurizer(Generic[E]):
    """What a worker does with a chunk of examples."""

    def __init__(self, task: Task[E], tokenizer: Name) -> None:
        self._task = task
        self._tokenizer = AlbertTokenizer.from_pretrained(tokenizer)

    def __call__(self, examples: Sequence[E]) -> Features:
        return self._task.featurize(examples, self._tokenizer)


def _join_bounds(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Bounds ``[N + 1]`` of things end to end, from those of parts, each from 0."""
    sizes = np.concatenate([np.diff(part) for part in parts])
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _spread(examples: Sequence[int], units: Sequence[int]) -> np.ndarray:
    """For each unit of all parts, the number of examples in the parts before its own."""
    before = np.cumsum([0, *examples[:-1]])
    return np.repeat(before, units).astype(np.int32)


def _ranges(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """The numbers from each start to its stop, end to end."""
    sizes = stops - starts
    return np.asarray(np.arange(sizes.sum()) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes))


# ------------------------------------------------------------------- cache


def _fingerprint(task: Task[E], examples: Iterable[E], tokenizer: Name) -> str:
    """SHA-256 of all that features depend on."""
    used = AlbertTokenizer.from_pretrained(tokenizer)
    digest = hashlib.sha256(used.file.to_bytes())
    digest.update(repr((_FORMAT, task, used, used.special_tokens_map, used.added_tokens.by_id)).encode())
    for example in examples:
        digest.update(repr(example).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _write(features: Features, file: Path) -> None:
    arrays = {name: getattr(features, name) for name in _ARRAYS}
    for group in _GROUPS:
        arrays |= {f"{group}/{name}": np.asarray(value) for name, value in getattr(features, group).items()}
    try:
        with new_file(file) as path, path.open("wb") as stream:
            np.savez(stream, **arrays)
    except OSError as error:
        received = f"{file.parent} ({error.strerror or error})"
        raise DataError("the cache must be a folder that can be written", received=received) from None


def _read(file: Path) -> Features | None:
    """What was written; ``None`` where there is nothing, or it is damaged (a zip file knows the sum of each of its parts)."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = dict(stored)
        groups: dict[str, dict[str, np.ndarray]] = {group: {} for group in _GROUPS}
        for name in arrays.keys() - set(_ARRAYS):
            group, _, key = name.partition("/")
            groups[group][key] = arrays[name]
        counts = {name: int(value) for name, value in groups["counts"].items()}
        five = {name: arrays[name] for name in _ARRAYS}
        return Features(**five, targets=groups["targets"], places=groups["places"], counts=counts)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


_ARRAYS = ("input_ids", "token_type_ids", "boundaries", "units", "owners")
_GROUPS = ("targets", "places", "counts")
