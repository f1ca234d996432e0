"""Files that appear whole or not at all: written beside their place, flushed to disk, then renamed."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["new_directory", "new_file"]


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write; on success it takes the place of ``path``, on any error it is removed.

    Args:
        path: The file to make or replace; its directory is made if need be.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(target)
        _flush(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def new_directory(path: str | Path) -> Iterator[Path]:
    """Give a temporary directory to fill; on success it takes the place of ``path``, on any error it is removed.

    Args:
        path: The directory to make. One that exists is replaced as a whole; a link stays, and what it leads to is replaced.
    """
    target = Path(os.path.realpath(path))  # pathlib's own raises no OSError for links that go round in circles
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.rglob("*"):
            _flush(file)
        _flush(temporary)
        _replace_directory(temporary, target)
        _flush(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _replace_directory(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target``; an old target is moved aside first and removed last, so that one of both always stands."""
    if not target.exists():
        source.rename(target)
        return
    aside = target.with_name(f".{target.name}.old.{secrets.token_hex(4)}")
    target.rename(aside)
    try:
        source.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    shutil.rmtree(aside)


def _flush(path: Path) -> None:
    """Make sure that what was written to ``path`` is on the disk before it is renamed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
