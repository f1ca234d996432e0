"""Where a checkpoint's files are: a directory, a model embedded in the package, or a repository of the Hugging Face hub.

The hub's own library is imported when a repository is named, not before: that takes a sixth of a second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from albertkit.errors import AlbertError, CheckpointError, InputError
from albertkit.hub.directory import Directory, find_weights
from albertkit.hub.source import Name, Source

__all__ = ["DEFAULT_MODEL", "EMBEDDED", "Files", "Name", "Source", "find_weights", "locate", "open_files", "upload"]

EMBEDDED = Path(__file__).parents[1] / "pretrained"
"""The folder of the models that come with the package, one directory each."""

DEFAULT_MODEL = "albert-mini-en"
"""The embedded model used where none is named."""

_MOST_NAMED = 3  # of the files that will do, where none of them is there
_SHORT_NAME = re.compile(r"albert-(base|large|xlarge|xxlarge)-v[12]")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class Files(Protocol):
    """The files of one checkpoint, wherever it is."""

    def has(self, filename: str) -> bool:
        """Whether it has the file; nothing is downloaded."""

    def find(self, pattern: str) -> list[str]:
        """Names of the files that fit a pattern with ``*`` for any characters but a slash; nothing is downloaded."""

    def fetch(self, filename: str) -> Path:
        """The local path of a file that it has, downloaded if need be.

        Raises:
            CheckpointError: If it cannot be downloaded whole.
        """

    @property
    def unreachable(self) -> AlbertError | None:
        """Why only the hub's cache could be asked, if so: the error for a file that it lacks."""

    @property
    def named(self) -> str | None:
        """The file of weights that the checkpoint's name is itself, if it is one."""


def open_files(checkpoint: Name) -> Files:
    """Find a checkpoint.

    Args:
        checkpoint: Its name, or a :class:`Source`.

    Raises:
        CheckpointError: If the name is none of these.
    """
    source = Source.of(checkpoint)
    name = str(source.name)
    if (weights := find_weights(name)) is not None:
        return weights
    directory = next((path for path in (Path(name), EMBEDDED / name) if name and path.is_dir()), None)
    if directory is not None:
        return Directory(directory)
    if Path(name).is_file():
        raise CheckpointError(
            "a checkpoint is named by its directory or by its file of weights", received=f"{name}, which is another file"
        )
    repository = f"albert/{name}" if _SHORT_NAME.fullmatch(name) else name
    if not _HUB_ID.fullmatch(repository) or repository.startswith("."):
        embedded = ", ".join(sorted(path.name for path in EMBEDDED.glob("*/")))
        raise CheckpointError(
            "a model is named by a directory, an embedded model, a published name, a hub id or its file of weights",
            received=repr(name),
            fix=f"the embedded models are: {embedded}",
        )
    from albertkit.hub.repository import open_repository

    return open_repository(repository, source)


def locate(checkpoint: Name, filenames: Sequence[str]) -> dict[str, Path]:
    """Find those of ``filenames`` that a checkpoint has.

    Args:
        checkpoint: Its name, or a :class:`Source`.
        filenames: File names in order of preference; all that a hub repository has are downloaded.

    Returns:
        File name → local path, in the order asked for; never empty.

    Raises:
        CheckpointError: If the name is none of these, the checkpoint has none of the files, or the hub cannot be reached.
    """
    files = open_files(checkpoint)
    found = {filename: files.fetch(filename) for filename in filenames if files.has(filename)}
    if not found:
        named = " or ".join(filenames[:_MOST_NAMED]) + (" or the like" if len(filenames) > _MOST_NAMED else "")
        received = f"{checkpoint}, {'which does not' if files.named is None else 'beside which is none'}"
        raise files.unreachable or CheckpointError(f"a checkpoint must hold {named}", received=received)
    return found


def upload(
    directory: str | Path,
    repository: str,
    *,
    defaults: Callable[[str], Mapping[str, str]] | None = None,
    commit_message: str | None = None,
    private: bool | None = None,
    token: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> str:
    """Send the files of a directory to a repository of the hub, which is made if need be, in one commit.

    Args:
        directory: Its files go, its folders do not.
        repository: ``owner/name``, or a name alone for one's own.
        defaults: ``owner/name`` → name and text of files that go too if neither the directory nor the repository has them.
        commit_message: The commit's first line.
        private: Whether a new repository is seen by its owner alone; one that exists stays as it is.
        token: With the right to write; that of ``hf auth login`` when absent.
        revision: Branch to commit to, made if need be; the main one when absent.
        create_pr: Open a pull request instead.

    Returns:
        The URL of the commit, or of the pull request.

    Raises:
        CheckpointError: If the hub refuses or cannot be reached.
        InputError: If both a branch and a pull request are asked for.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    from albertkit.hub.refusals import HUB_ERRORS, explain_upload

    if create_pr and revision is not None:
        raise InputError("a pull request is made against the main branch", received=f"revision={revision!r}", fix="leave it out")
    files: dict[str, Path | bytes] = {path.name: path for path in sorted(Path(directory).iterdir()) if path.is_file()}
    api = HfApi(token=token)
    try:
        name = api.create_repo(repository, private=private, exist_ok=True).repo_id
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        if defaults is not None:
            present = {file.rfilename for file in api.model_info(name, revision=revision).siblings or ()} | files.keys()
            files |= {filename: text.encode() for filename, text in defaults(name).items() if filename not in present}
        commit = api.create_commit(
            name,
            [CommitOperationAdd(filename, content) for filename, content in files.items()],
            commit_message=commit_message or "Upload with albertkit",
            revision=revision,
            create_pr=create_pr,
        )
    except HUB_ERRORS as error:
        raise explain_upload(error, repository) from None
    return str(commit.pr_url or commit.commit_url)
