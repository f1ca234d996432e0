"""A repository of the hub: one listing, then downloads into the cache of the hub's library.

A file that the cache has at the listed commit costs no further request; one that is downloaded is compared with the checksum
that the listing states. Where the hub refuses or does not answer, the cache's copy is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from albertkit.errors import AlbertError, CheckpointError
from albertkit.files import new_file
from albertkit.hub.refusals import HUB_ERRORS, explain, first_line, unreachable
from albertkit.hub.source import Source

__all__ = ["open_repository"]

_PATIENCE_SECONDS = 5.0  # for the hub to answer, unless the library's own setting HF_HUB_ETAG_TIMEOUT says otherwise


@dataclass(frozen=True)
class _Repository:
    """A repository of the hub at one commit."""

    name: str
    commit: str
    checksums: Mapping[str, str | None]
    source: Source
    unreachable: None = None
    named: None = None

    def has(self, filename: str) -> bool:
        return filename in self.checksums

    def find(self, pattern: str) -> list[str]:
        depth = pattern.count("/")
        return sorted(name for name in self.checksums if fnmatchcase(name, pattern) and name.count("/") == depth)

    def fetch(self, filename: str) -> Path:
        cached = try_to_load_from_cache(self.name, filename, cache_dir=self.source.cache_dir, revision=self.commit)
        if isinstance(cached, str):
            path = Path(cached)
        else:
            path = self._download(filename)
            self._verify(filename, path)
        self._remember_revision(path)
        return path

    def _download(self, filename: str) -> Path:
        source = self.source
        try:
            path = hf_hub_download(self.name, filename, revision=self.commit, cache_dir=source.cache_dir, token=source.token)
        except HUB_ERRORS as error:
            raise explain(error, self.name, source.revision) or CheckpointError(
                "a download must arrive whole", received=f"{filename} of {self.name} ({first_line(error)})", fix="try again"
            ) from None
        return Path(path)

    def _verify(self, filename: str, path: Path) -> None:
        """Compare a fresh download with the hub's checksum, and remove it from the cache if it differs."""
        stated = self.checksums[filename]
        if stated is None or _checksum(path, stated) == stated:
            return
        blob = path.resolve()
        path.unlink()
        blob.unlink(missing_ok=True)
        raise CheckpointError(
            "a download must have the checksum that the hub states",
            received=f"other content for {filename} of {self.name}",
            fix="it was removed from the cache; download it again",
        )

    def _remember_revision(self, path: Path) -> None:
        """Note which commit the revision is, where the hub's library looks it up without a network (``refs`` of its cache)."""
        if self.source.revision == self.commit:
            return
        note = path.parents[2] / "refs" / (self.source.revision or "main")
        with contextlib.suppress(OSError):  # a cache may be read-only
            if not note.is_file() or note.read_text(encoding="utf-8") != self.commit:
                with new_file(note) as temporary:
                    temporary.write_text(self.commit, encoding="utf-8")


@dataclass(frozen=True)
class _Cached:
    """What the cache holds of a repository that cannot be reached."""

    name: str
    source: Source
    unreachable: AlbertError
    named: None = None

    def has(self, filename: str) -> bool:
        return self._find(filename) is not None

    def find(self, pattern: str) -> list[str]:
        source = self.source
        try:
            folder = Path(
                snapshot_download(self.name, revision=source.revision, cache_dir=source.cache_dir, local_files_only=True)
            )
        except HUB_ERRORS:  # nothing of it is in the cache
            return []
        return sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern))

    def fetch(self, filename: str) -> Path:
        path = self._find(filename)
        if path is None:
            raise self.unreachable
        return path

    def _find(self, filename: str) -> Path | None:
        found = try_to_load_from_cache(self.name, filename, cache_dir=self.source.cache_dir, revision=self.source.revision)
        return Path(found) if isinstance(found, str) else None


def open_repository(name: str, source: Source) -> _Repository | _Cached:
    """List a repository of the hub, once: the library's own retries would last most of a minute without a network.

    Args:
        name: ``owner/name``.
        source: How to reach it.

    Raises:
        CheckpointError: If its name cannot be one.
    """
    if source.local_files_only:
        return _Cached(name, source, unreachable(name, "local_files_only allows no download, and the cache has no copy"))
    patience = float(os.environ.get("HF_HUB_ETAG_TIMEOUT") or _PATIENCE_SECONDS)
    try:
        info = HfApi(token=source.token).model_info(name, revision=source.revision, timeout=patience, files_metadata=True)
    except HUB_ERRORS as error:
        problem = explain(error, name, source.revision) or unreachable(name, first_line(error))
        if isinstance(error, HFValidationError):
            raise problem from None
        return _Cached(name, source, problem)
    checksums = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in info.siblings or ()}
    return _Repository(name, str(info.sha), checksums, source)


def _checksum(path: Path, stated: str) -> str:
    """The checksum that git (SHA-1 of a blob) or its large-file storage (SHA-256) keeps a file by."""
    if len(stated) == 64:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
