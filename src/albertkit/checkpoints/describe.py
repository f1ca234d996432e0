"""What a checkpoint holds, for people: sizes, parameters by part, heads, types and checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from albertkit import hub
from albertkit.checkpoints.huggingface import from_disk_name, heads_on_disk
from albertkit.checkpoints.parameters import HEADS, Head
from albertkit.checkpoints.weight_files import StoredWeights, read_weights
from albertkit.config import CONFIG_FILES, AlbertConfig
from albertkit.hub import Name

__all__ = ["Description", "describe_checkpoint", "describe_weights", "read_config"]

_PARTS: dict[str, str | tuple[str, ...]] = {
    "embeddings": "albert.embeddings.",
    "projection": "albert.encoder.embedding_hidden_mapping_in.",
    "shared layers": "albert.encoder.albert_layer_groups.",
    "pooler": "albert.pooler.",
    "masked-LM head": "predictions.",
    "sentence-order head": "sop_classifier.",
    "classifier": "classifier.",
    "question-answering head": "qa_outputs.",
    "answerability head": ("start_logits.", "end_logits.", "answer_class."),
}

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Description:
    """A checkpoint in numbers.

    Attributes:
        location: Where it was found.
        format: The kind of its files.
        config: Its configuration.
        parameters: Part → number of parameters; parts that are absent are left out.
        heads: Heads it has.
        missing_heads: The others.
        dtype: Floating type on disk.
        weights: Names of the weights' files.
        bytes: Their size.
        sha256: Their checksum; of several files, that of their contents end to end, in the order of their names.
        files: All its files by name.
    """

    location: str
    format: str
    config: AlbertConfig
    parameters: dict[str, int]
    heads: tuple[Head, ...]
    missing_heads: tuple[Head, ...]
    dtype: str
    weights: tuple[str, ...]
    bytes: int
    sha256: str
    files: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as a JSON-ready dictionary."""
        return asdict(self) | {"config": self.config.to_dict(), "total_parameters": sum(self.parameters.values())}

    def sizes(self) -> list[tuple[str, str]]:
        """Part of the architecture and its size, in words, for model cards."""
        config = self.config
        groups = config.num_hidden_groups * config.inner_group_num
        shared = "which share one set of parameters" if groups == 1 else f"which share {groups} sets of parameters"
        return [
            ("parameters", f"{sum(self.parameters.values()):,}, heads included"),
            ("layers", f"{config.num_hidden_layers * config.inner_group_num}, {shared}"),
            ("width", f"{config.hidden_size:,}, feed-forward {config.intermediate_size:,}, {config.num_attention_heads} heads"),
            ("embeddings", f"{config.embedding_size} wide, {config.vocab_size:,} pieces"),
            ("positions", str(config.max_position_embeddings)),
            ("activation", str(config.hidden_act)),
        ]


def describe_checkpoint(name: Name) -> Description:
    """Read a checkpoint's files and count what they hold.

    Args:
        name: A directory, an embedded model, a published name or a hub id, or a :class:`~albertkit.hub.Source`.

    Raises:
        CheckpointError: If there is no such checkpoint or its weights are damaged.
    """
    config = read_config(name)
    return describe_weights(read_weights(name), config)


def read_config(name: Name) -> AlbertConfig:
    """The configuration as a checkpoint's own file has it, that of a published model too.

    Raises:
        CheckpointError: If there is none.
        ConfigError: If it is damaged.
    """
    return AlbertConfig.from_json_file(next(iter(hub.locate(name, CONFIG_FILES).values())))


def describe_weights(stored: StoredWeights, config: AlbertConfig) -> Description:
    """What :func:`describe_checkpoint` does with weights that have been read."""
    sizes = {key: stored.tensors[disk].size for disk in stored.tensors if (key := from_disk_name(disk)) is not None}
    parts = {part: sum(size for key, size in sizes.items() if key.startswith(prefix)) for part, prefix in _PARTS.items()}
    parts["other"] = sum(sizes.values()) - sum(parts.values())
    heads = heads_on_disk(sizes, config.architectures)
    return Description(
        location=str(stored.directory),
        format=stored.format if len(stored.files) == 1 else f"{stored.format} in {len(stored.files)} files",
        config=config,
        parameters={part: count for part, count in parts.items() if count},
        heads=heads,
        missing_heads=tuple(head for head in HEADS if head not in heads),
        dtype=stored.dtype,
        weights=tuple(path.name for path in stored.files),
        bytes=sum(path.stat().st_size for path in stored.files),
        sha256=_checksum(stored.files),
        files=tuple(sorted(file.name for file in stored.directory.glob("*"))),
    )


def _checksum(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()
