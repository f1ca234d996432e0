"""Where a checkpoint's files are: a directory, a model embedded in the package, or a repository of the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from albertkit.errors import AlbertError, CheckpointError

__all__ = ["DEFAULT_MODEL", "EMBEDDED", "locate"]

EMBEDDED = Path(__file__).parent / "pretrained"
"""The folder of the models that come with the package, one directory each."""

DEFAULT_MODEL = "albert-mini-en"
"""The embedded model used where none is named."""

_SHORT_NAME = re.compile(r"albert-(base|large|xlarge|xxlarge)-v[12]")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def locate(name: str | Path, filenames: Sequence[str], *, revision: str | None = None) -> dict[str, Path]:
    """Find those of ``filenames`` that a checkpoint has.

    Args:
        name: A directory, the name of an embedded model, a published short name (``albert-base-v2``) or a hub id.
        filenames: File names in order of preference.
        revision: Branch, tag or commit, for a hub id.

    Returns:
        File name → local path, in the order asked for; never empty.

    Raises:
        CheckpointError: If the name is none of these, the checkpoint has none of the files, or the hub cannot be reached.
    """
    directory = next((path for path in (Path(name), EMBEDDED / str(name)) if str(name) and path.is_dir()), None)
    if directory is not None:
        found = {filename: directory / filename for filename in filenames if (directory / filename).is_file()}
    elif _SHORT_NAME.fullmatch(str(name)):
        found = _download(f"albert/{name}", filenames, revision)
    elif _HUB_ID.fullmatch(str(name)) and not str(name).startswith("."):
        found = _download(str(name), filenames, revision)
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


def _download(repository: str, filenames: Sequence[str], revision: str | None) -> dict[str, Path]:
    """Fetch files into the hub's cache; a file the repository lacks is left out."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    found: dict[str, Path] = {}
    for filename in filenames:
        try:
            found[filename] = Path(hf_hub_download(repository, filename, revision=revision))
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
