"""Files of a few lines, and the tiny tokenizer in a directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from albertkit.testing import tiny_tokenizer


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file by its name and its text (or bytes), and gives its path."""

    def to_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to_file


@pytest.fixture(scope="session")
def tokenizer_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny tokenizer, saved."""
    directory = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer().save_pretrained(directory)
    return directory
