"""The errors a user may meet: each one sentence that gives the rule, what was received and the likely fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AlbertError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "InputError",
    "TrainingError",
    "VocabularyError",
    "suggest",
]


class AlbertError(Exception):
    """Base class of every error that albertkit raises on purpose.

    Args:
        rule: What must hold, for example ``"hidden_size must be a multiple of num_attention_heads"``.
        received: What came instead.
        fix: What the user most likely wants to do about it.
    """

    def __init__(self, rule: str, *, received: object | None = None, fix: str | None = None) -> None:
        parts = [rule.rstrip(".")]
        if received is not None:
            parts.append(f"received {received}")
        if fix is not None:
            parts.append(fix.rstrip("."))
        sentence = "; ".join(parts)
        super().__init__(sentence if sentence.endswith("?") or len(parts) == 1 else f"{sentence}.")


class ConfigError(AlbertError, ValueError):
    """A configuration or recipe holds an impossible value or an unknown key."""


class InputError(AlbertError, ValueError):
    """A text, an id or an argument given to a model, tokenizer or pipeline cannot be used."""


class VocabularyError(AlbertError, ValueError):
    """A vocabulary file is missing, damaged or of the wrong kind."""


class CheckpointError(AlbertError):
    """Weights are missing, damaged, or do not fit the configuration."""


class DataError(AlbertError):
    """A corpus or a prepared data set is missing, empty or damaged."""


class TrainingError(AlbertError):
    """Training cannot start or cannot go on."""


def suggest(name: object, allowed: Iterable[object]) -> str | None:
    """``"did you mean X?"`` for the nearest of the ``allowed`` names; ``None`` if none is near."""
    close = difflib.get_close_matches(str(name), [str(item) for item in allowed], n=1)
    return f"did you mean {close[0]}?" if close else None
