"""What the hub refuses, as sentences that say what to do."""

from __future__ import annotations

import errno
import os

from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError, whose own package changed its name
    GatedRepoError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from albertkit.errors import CheckpointError

__all__ = ["HUB_ERRORS", "explain", "explain_upload", "first_line", "unreachable"]

HUB_ERRORS = (HTTPError, OSError, ValueError, RuntimeError)
"""What the hub's library raises: the network's and the hub's errors, a full disk, an impossible name, a lost file."""


def explain(error: Exception, name: str, revision: str | None) -> CheckpointError | None:
    """The sentence for what the hub refuses and for a full disk; ``None`` where it or the network does not work."""
    if isinstance(error, OfflineModeIsEnabled):
        return unreachable(name, "HF_HUB_OFFLINE is set, and the cache has no copy")
    if isinstance(error, GatedRepoError):
        return CheckpointError(
            "a gated repository opens to those who accepted its conditions",
            received=name,
            fix="accept them on its page, then give token= or run: hf auth login",
        )
    if isinstance(error, RevisionNotFoundError):
        return CheckpointError("revision must be a branch, tag or commit of the repository", received=f"{revision!r} for {name}")
    if isinstance(error, RepositoryNotFoundError) or _status(error) in (401, 403):
        return CheckpointError(
            "a hub id must name a repository that exists and that you may read",
            received=f"{name} (the hub answered {_status(error)})",
            fix="check the spelling; if it is private, give a valid token= or run: hf auth login",
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return CheckpointError(
            "a download needs room on the disk",
            received=f"{name} ({os.strerror(errno.ENOSPC)})",
            fix="free some space, or give a cache_dir (HF_HOME) on another disk",
        )
    return None


def explain_upload(error: Exception, name: str) -> CheckpointError:
    """The sentence for an upload that failed."""
    cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error  # of one file's upload
    denied = _status(cause) in (401, 403)
    return CheckpointError(
        "an upload needs a repository of the hub that you may write to",
        received=f"{name} ({f'the hub answered {_status(cause)}' if denied else first_line(cause)})",
        fix="give a token= with the right to write, or run: hf auth login" if denied else None,
    )


def unreachable(name: str, reason: str) -> CheckpointError:
    """The sentence for a repository that is neither on a reachable hub nor in the cache."""
    return CheckpointError(
        "a hub id must name a repository that can be downloaded or is in the local cache",
        received=f"{name} ({reason})",
        fix="give a local directory to work without a network",
    )


def first_line(error: BaseException) -> str:
    """What an error of another library says, short."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)
