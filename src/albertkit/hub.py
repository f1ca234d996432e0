"""Where a checkpoint's files are: a directory, a model embedded in the package, or a repository of the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from albertkit.errors import AlbertError, CheckpointError

__all__ = ["DEFAULT_MODEL", "EMBEDDED", "Name", "Source", "locate"]

EMBEDDED = Path(__file__).parent / "pretrained"
"""The folder of the models that come with the package, one directory each."""

DEFAULT_MODEL = "albert-mini-en"
"""The embedded model used where none is named."""

_SHORT_NAME = re.compile(r"albert-(base|large|xlarge|xxlarge)-v[12]")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Source:
    """A checkpoint by name, and how to reach it where the name is a repository of the hub."""

    name: str | Path
    """A directory, the name of an embedded model, a published short name (``albert-base-v2``) or a hub id."""
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
        """``name`` itself if it is a source, else a new one."""
        return name if isinstance(name, Source) else cls(name, revision, cache_dir, token, local_files_only, allow_pickle)

    def __str__(self) -> str:
        return str(self.name)


Name = str | Path | Source
"""What names a checkpoint."""


def locate(checkpoint: Name, filenames: Sequence[str]) -> dict[str, Path]:
    """Find those of ``filenames`` that a checkpoint has.

    Args:
        checkpoint: Its name, or a :class:`Source`.
        filenames: File names in order of preference; a hub repository is asked for each.

    Returns:
        File name → local path, in the order asked for; never empty.

    Raises:
        CheckpointError: If the name is none of these, the checkpoint has none of the files, or the hub cannot be reached.
    """
    source = Source.of(checkpoint)
    name = source.name
    directory = next((path for path in (Path(name), EMBEDDED / str(name)) if str(name) and path.is_dir()), None)
    if directory is not None:
        found = {filename: directory / filename for filename in filenames if (directory / filename).is_file()}
    elif _SHORT_NAME.fullmatch(str(name)):
        found = _download(f"albert/{name}", filenames, source)
    elif _HUB_ID.fullmatch(str(name)) and not str(name).startswith("."):
        found = _download(str(name), filenames, source)
    else:
        embedded = ", ".join(sorted(path.name for path in EMBEDDED.glob("*/")))
        raise CheckpointError(
            "a model is named by a directory, an embedded model, a published name or a hub id",
            received=repr(str(name)),
            fix=f"the embedded models are: {embedded}",
        )
    if not found:
        raise CheckpointError(f"a checkpoint must hold {' or '.join(filenames)}", received=f"{name}, which does not")
    return found


def _download(repository: str, filenames: Sequence[str], source: Source) -> dict[str, Path]:
    """Fetch files into the hub's cache; a file the repository lacks is left out."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    found: dict[str, Path] = {}
    for filename in filenames:
        try:
            found[filename] = Path(hf_hub_download(repository, filename, revision=source.revision))
        except LocalEntryNotFoundError:
            raise _unreachable(repository, "the hub could not be reached and its cache has no copy") from None
        except EntryNotFoundError:
            continue
        except (HfHubHTTPError, OSError) as error:
            raise _unreachable(repository, str(error).splitlines()[0]) from None
    return found


def _unreachable(repository: str, reason: str) -> AlbertError:
    return CheckpointError(
        "a hub id must name a repository that can be downloaded or is in the local cache",
        received=f"{repository} ({reason})",
        fix="give a local directory to work without a network",
    )
