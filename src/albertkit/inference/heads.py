"""Which heads a checkpoint has, and the sentence for one that it lacks."""

from __future__ import annotations

from pathlib import Path

from albertkit import hub
from albertkit.checkpoints.huggingface import WEIGHTS_FILE, heads_on_disk
from albertkit.checkpoints.parameters import Head
from albertkit.checkpoints.storage import read_tensors
from albertkit.errors import CheckpointError

__all__ = ["find_heads", "require_head"]


def find_heads(name: str | Path, *, revision: str | None = None) -> tuple[Head, ...]:
    """The heads whose weights a checkpoint holds.

    Args:
        name: A directory, an embedded model, a published name or a hub id.
        revision: Branch, tag or commit of a hub repository.
    """
    return heads_on_disk(read_tensors(hub.locate(name, (WEIGHTS_FILE,), revision=revision)[WEIGHTS_FILE]).tensors)


def require_head(head: Head, heads: tuple[Head, ...]) -> None:
    """Raise :class:`~albertkit.errors.CheckpointError` unless ``head`` is among ``heads``."""
    if head not in heads:
        raise CheckpointError(
            f"this task needs a checkpoint with a {head} head",
            received=f"one with {', '.join(heads) or 'the encoder alone'}",
            fix="albertkit info tells what a checkpoint holds",
        )
