"""What a checkpoint holds, for people: sizes, parameters by part, heads, types and checksums."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from albertkit import hub
from albertkit.checkpoints.huggingface import CONFIG_FILE, WEIGHTS_FILE, from_disk_name, heads_on_disk
from albertkit.checkpoints.parameters import PRETRAINING_HEADS
from albertkit.checkpoints.storage import read_tensors
from albertkit.config import AlbertConfig
from albertkit.hub import Name

__all__ = ["Description", "describe_checkpoint"]

_PARTS = {
    "embeddings": "albert.embeddings.",
    "projection": "albert.encoder.embedding_hidden_mapping_in.",
    "shared layers": "albert.encoder.albert_layer_groups.",
    "pooler": "albert.pooler.",
    "masked-LM head": "predictions.",
    "sentence-order head": "sop_classifier.",
}


@dataclass(frozen=True)
class Description:
    """A checkpoint in numbers.

    Attributes:
        location: Where it was found.
        format: The kind of its files.
        config: Its configuration.
        parameters: Part → number of parameters; parts that are absent are left out.
        heads: Heads it has.
        missing_heads: Heads of the pre-training model that it lacks.
        dtype: Floating type on disk.
        bytes: Size of the weights' file.
        sha256: Checksum of the weights' file.
        files: All its files by name.
    """

    location: str
    format: str
    config: AlbertConfig
    parameters: dict[str, int]
    heads: tuple[str, ...]
    missing_heads: tuple[str, ...]
    dtype: str
    bytes: int
    sha256: str
    files: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as a JSON-ready dictionary."""
        return asdict(self) | {"config": self.config.to_dict(), "total_parameters": sum(self.parameters.values())}


def describe_checkpoint(name: Name) -> Description:
    """Read a checkpoint's files and count what they hold.

    Args:
        name: A directory, an embedded model, a published name or a hub id, or a :class:`~albertkit.hub.Source`.

    Raises:
        CheckpointError: If there is no such checkpoint or its weights are damaged.
    """
    path = hub.locate(name, (WEIGHTS_FILE,))[WEIGHTS_FILE]
    config = AlbertConfig.from_json_file(hub.locate(name, (CONFIG_FILE,))[CONFIG_FILE])
    stored = read_tensors(path)
    sizes = {key: stored.tensors[disk].size for disk in stored.tensors if (key := from_disk_name(disk)) is not None}
    parts = {part: sum(size for key, size in sizes.items() if key.startswith(prefix)) for part, prefix in _PARTS.items()}
    parts["other"] = sum(sizes.values()) - sum(parts.values())
    heads = heads_on_disk(sizes, config.architectures)
    return Description(
        location=str(path.parent),
        format="Hugging Face, safetensors",
        config=config,
        parameters={part: count for part, count in parts.items() if count},
        heads=heads,
        missing_heads=tuple(head for head in PRETRAINING_HEADS if head not in heads),
        dtype=stored.dtype,
        bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        files=tuple(sorted(file.name for file in path.parent.iterdir())),
    )
