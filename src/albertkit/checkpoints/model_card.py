"""Model cards: the ``README.md`` of a checkpoint as the Hugging Face hub reads it, a YAML header and Markdown sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from albertkit.errors import CheckpointError
from albertkit.files import new_file

__all__ = ["CARD_FILE", "ModelCard", "format_table"]

CARD_FILE = "README.md"
"""A model card's name in the directory of a checkpoint."""


@dataclass(frozen=True)
class ModelCard:
    """A card."""

    title: str
    """Name of the model."""
    summary: str
    """First paragraph."""
    metadata: Mapping[str, Any]
    """The header: ``language``, ``license``, ``pipeline_tag``, ``tags`` …; keys whose value is ``None`` are left out."""
    sections: Mapping[str, str] = field(default_factory=dict)
    """Heading → Markdown, in order."""

    def __str__(self) -> str:
        header = {name: value for name, value in self.metadata.items() if value is not None}
        parts = [f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---", f"# {self.title}", self.summary]
        parts += [f"## {heading}\n\n{text}" for heading, text in self.sections.items()]
        return "\n\n".join(part.strip() for part in parts) + "\n"

    def write(self, directory: str | Path) -> Path:
        """Write the card into the directory of its checkpoint, in place of one that is there.

        Args:
            directory: The checkpoint's.

        Returns:
            The file.

        Raises:
            CheckpointError: If it cannot be written.
        """
        path = Path(directory) / CARD_FILE
        try:
            with new_file(path) as temporary:
                temporary.write_text(str(self), encoding="utf-8")
        except OSError as error:
            raise CheckpointError("a model card must be writable", received=f"{path} ({error.strerror or error})") from None
        return path


def format_table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table.

    Args:
        header: Names of the columns.
        rows: Cells, as many each.
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
