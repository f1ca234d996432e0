"""One vector for a text from those of its tokens, and what a directory of sentence-transformers says about it.

Names and arithmetic are those of sentence-transformers: every token counts, ``[CLS]`` and ``[SEP]`` included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from albertkit import hub
from albertkit.errors import CheckpointError, InputError, suggest
from albertkit.hub import Source

__all__ = ["POOLINGS", "SavedPooling", "normalize_length", "pool", "read_saved_pooling", "require_pooling"]


def _weighted_mean(hidden: np.ndarray) -> np.ndarray:
    weights = np.arange(1, len(hidden) + 1, dtype=np.float32)
    mean: np.ndarray = weights @ hidden / weights.sum()
    return mean


POOLINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "cls": lambda hidden: hidden[0],
    "mean": lambda hidden: hidden.mean(axis=0),
    "max": lambda hidden: hidden.max(axis=0),
    "mean_sqrt_len_tokens": lambda hidden: hidden.sum(axis=0) / np.sqrt(np.float32(len(hidden))),
    "weightedmean": _weighted_mean,
    "lasttoken": lambda hidden: hidden[-1],
}
"""Name → ``[L, H]`` to ``[H]``."""

_OLD_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""How releases before 6 wrote the modes: a flag each; several are concatenated in this order."""


@dataclass(frozen=True)
class SavedPooling:
    """How a directory of sentence-transformers makes sentence vectors."""

    pooling: str | tuple[str, ...]
    """A name of :data:`POOLINGS`, or several whose vectors are concatenated."""
    normalize: bool
    """Bring vectors to length 1."""


def pool(hidden: np.ndarray, pooling: str | Sequence[str]) -> np.ndarray:
    """The vector ``[H]`` of a text; several poolings are concatenated.

    Args:
        hidden: ``[L, H]`` of its tokens.
        pooling: A name of :data:`POOLINGS`, or several.
    """
    return np.concatenate([POOLINGS[name](hidden) for name in ([pooling] if isinstance(pooling, str) else pooling)])


def normalize_length(vectors: np.ndarray) -> np.ndarray:
    """Bring vectors ``[..., H]`` to Euclidean length 1."""
    unit: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return unit


def require_pooling(pooling: str | Sequence[str]) -> None:
    """Raise :class:`InputError` unless this is a name of :data:`POOLINGS`, or several."""
    several = not isinstance(pooling, str) and isinstance(pooling, Sequence) and len(pooling) > 0
    for name in pooling if several else (pooling,):
        if not isinstance(name, str) or name not in POOLINGS:
            raise InputError(f"pooling must be one of {', '.join(POOLINGS)}", received=repr(name), fix=suggest(name, POOLINGS))


def read_saved_pooling(source: Source) -> SavedPooling | None:
    """What ``modules.json`` of a checkpoint and the files it names say; ``None`` if it has none.

    Args:
        source: The checkpoint.

    Raises:
        CheckpointError: If the files are damaged, or name modules that are not the encoder, one pooling and normalisation.
    """
    found = hub.locate(source, ("config.json", "modules.json"))
    if "modules.json" not in found:
        return None
    try:
        modules = json.loads(found["modules.json"].read_text(encoding="utf-8"))
        kinds = [module["type"].rpartition(".")[2] for module in modules]
        if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
            raise CheckpointError(
                "a directory of sentence-transformers may hold a Transformer, a Pooling and a Normalize module",
                received=f"{', '.join(kinds)} in {source}",
                fix="say how to pool: pooling='mean', for example",
            )
        filename = f"{_require_folder(modules[1]['path'])}/config.json"
        pooling = _read_modes(json.loads(hub.locate(source, (filename,))[filename].read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            "modules.json and the pooling's config.json must be as sentence-transformers writes them",
            received=f"{source} ({error!r})",
            fix="say how to pool: pooling='mean', for example",
        ) from None
    return SavedPooling(pooling, "Normalize" in kinds)


def _require_folder(path: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", path):
        raise ValueError(f"{path!r} is no folder in it")
    return path


def _read_modes(config: Mapping[str, Any]) -> str | tuple[str, ...]:
    """The modes of a pooling's ``config.json``, new form or old."""
    pooling = config.get("pooling_mode") or [mode for key, mode in _OLD_KEYS.items() if config.get(key)] or "mean"
    require_pooling(pooling)
    if isinstance(pooling, str):
        return pooling
    return pooling[0] if len(pooling) == 1 else tuple(pooling)
