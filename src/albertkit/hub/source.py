"""How a checkpoint is named, and how it is reached where the name is a repository of the hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from albertkit.errors import InputError

__all__ = ["Name", "Source"]


@dataclass(frozen=True)
class Source:
    """A checkpoint by name, and how to reach it where the name is a repository of the hub."""

    name: str | Path
    """A directory, a file of weights in it, an embedded model, a published short name (``albert-base-v2``) or a hub id."""
    revision: str | None = None
    """Branch, tag or commit."""
    cache_dir: str | Path | None = None
    """Where downloads are kept; the hub library's own place when absent (``HF_HOME``)."""
    token: str | None = None
    """For private repositories; that of ``hf auth login`` when absent."""
    local_files_only: bool = False
    """Take files from the cache alone, as ``HF_HUB_OFFLINE=1`` does for every call."""
    allow_pickle: bool = False
    """Read weights from ``pytorch_model.bin`` where there is no safetensors file; PyTorch then reads nothing but tensors."""

    @classmethod
    def of(
        cls,
        name: Name,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | None = None,
        local_files_only: bool = False,
        allow_pickle: bool = False,
    ) -> Source:
        """``name`` itself if it is a source, else a new one.

        Raises:
            InputError: If a source comes with anything beside it.
        """
        if not isinstance(name, Source):
            return cls(name, revision, cache_dir, token, local_files_only, allow_pickle)
        if (revision, cache_dir, token, local_files_only, allow_pickle) != (None, None, None, False, False):
            raise InputError(
                "a Source says itself how it is reached",
                received=f"{name} with more beside it",
                fix="make it with revision=… and all",
            )
        return name

    def __str__(self) -> str:
        return str(self.name)


Name = str | Path | Source
"""What names a checkpoint."""
