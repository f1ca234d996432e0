"""A checkpoint on this machine: a directory, or one file of weights with what belongs to it beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from albertkit.errors import CheckpointError

__all__ = ["Directory", "find_weights"]

_WEIGHTS = re.compile(r".*\.(safetensors|bin|msgpack|h5)(\.index\.json)?")
_BUNDLE = re.compile(r"(?P<prefix>.+?)(\.index|\.meta|\.data-\d{5}-of-\d{5})?")
_HUB_MODULE = "variables"  # the folder, and the prefix, of a TensorFlow Hub module's weights


@dataclass(frozen=True)
class Directory:
    """The files of a checkpoint that lie in a directory.

    Attributes:
        path: The directory.
        named: The file of weights in it by which it was named, if it was.
        unreachable: Nothing is, here.
    """

    path: Path
    named: str | None = None
    unreachable: None = None

    def has(self, filename: str) -> bool:
        """Whether it has the file.

        Raises:
            CheckpointError: If the directory may not be searched.
        """
        try:
            return (self.path / filename).is_file()
        except OSError as error:
            raise _unusable(self.path, error) from None

    def find(self, pattern: str) -> list[str]:
        """Names of the files that fit a pattern."""
        return sorted(path.relative_to(self.path).as_posix() for path in self.path.glob(pattern))

    def fetch(self, filename: str) -> Path:
        """The path of a file."""
        return self.path / filename


def find_weights(name: str | Path) -> Directory | None:
    """The checkpoint of which a path names the weights; ``None`` if it does not.

    Args:
        name: A file of weights or the index of its parts; or a checkpoint of TensorFlow as its tools name it, by the prefix that
            its files share (``…/model.ckpt-best``) or by one of them.

    Raises:
        CheckpointError: If the system refuses the path: it is too long, or a folder may not be searched.
    """
    path = Path(name)
    match = _BUNDLE.fullmatch(path.name)
    try:
        if match is None or path.is_dir():
            return None
        index = path.with_name(f"{match['prefix']}.index")
        if index.is_file():
            if path.parent.name == match["prefix"] == _HUB_MODULE:
                return Directory(path.parent.parent, f"{_HUB_MODULE}/{index.name}")
            return Directory(path.parent, index.name)
        return Directory(path.parent, path.name) if _WEIGHTS.fullmatch(path.name) and path.is_file() else None
    except OSError as error:
        raise _unusable(name, error) from None


def _unusable(path: str | Path, error: OSError) -> CheckpointError:
    return CheckpointError("a checkpoint's path must be one that the system opens", received=f"{path} ({error.strerror})")
