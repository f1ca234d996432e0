"""Hugging Face's checkpoint directory: ``config.json`` and ``model.safetensors``, both ways, through the one contract.

The names on disk are the contract's own, but for what this file lists: a bare encoder is saved without its ``albert.``
prefix, tied weights are left out on writing and ignored on reading, and the names of old files are brought up to date.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from albertkit.checkpoints.exported import is_only_exported
from albertkit.checkpoints.parameters import HEADS, HEADS_OF_CLASS, Head, list_parameters
from albertkit.checkpoints.storage import unwritable, write_tensors
from albertkit.checkpoints.weight_files import WEIGHTS_FILE, StoredWeights, read_weights
from albertkit.config import AlbertConfig
from albertkit.errors import CheckpointError
from albertkit.files import new_file
from albertkit.hub import Name

__all__ = [
    "CONFIG_FILE",
    "WEIGHTS_FILE",
    "LoadedParameters",
    "find_heads",
    "from_disk_name",
    "heads_on_disk",
    "load_parameters",
    "save_checkpoint",
    "select_parameters",
]

CONFIG_FILE = "config.json"

# Names that mean nothing to us: decoder weights tied to the word embeddings (and their bias, kept as predictions.bias),
# and a buffer of position numbers that older releases saved.
_IGNORED = re.compile(r"predictions\.decoder\.(weight|bias)|(albert\.)?embeddings\.position_ids")
# LayerNorm's names in files of 2019.
_OLD_NORM = {".gamma": ".weight", ".beta": ".bias"}
_ENCODER_PARTS = ("embeddings.", "encoder.", "pooler.")
_BODY = ("albert.embeddings.", "albert.encoder.")  # what every model has, whatever its heads
_LAYER_NUMBER = re.compile(r"(_groups|_layers)\.\d+")
_HEAD_PREFIX: dict[Head, str] = {
    "pooler": "albert.pooler.",
    "masked_lm": "predictions.",
    "sentence_order": "sop_classifier.",
    "question_answering": "qa_outputs.",
    "answerability": "answer_class.",
}
_CLASSIFIERS: tuple[Head, ...] = ("sequence_classification", "multiple_choice", "token_classification")  # all "classifier.…"


@dataclass(frozen=True)
class LoadedParameters:
    """What a checkpoint gave for a model.

    Attributes:
        parameters: Contract name → float32 array; a read-only view of the file where it is stored so.
        missing: Contract names that the file lacks, such as the sentence-order head of the published files.
        unexpected: Names in the file that the asked-for model has no place for.
        dtype: The file's floating type: ``float32``, ``float16`` or ``bfloat16``.
        mismatched: Those of ``missing`` that the file holds in another shape.
    """

    parameters: dict[str, np.ndarray]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    dtype: str
    mismatched: tuple[str, ...] = ()


def from_disk_name(name: str) -> str | None:
    """The contract's name for a name on disk; ``None`` if it is one that is deliberately dropped."""
    name = name.removeprefix("module.")  # a model saved from within PyTorch's DataParallel
    if _IGNORED.fullmatch(name):
        return None
    for old, new in _OLD_NORM.items():
        if name.endswith(old):
            name = name.removesuffix(old) + new
    return f"albert.{name}" if name.startswith(_ENCODER_PARTS) else name


def load_parameters(
    name: Name, config: AlbertConfig, heads: tuple[Head, ...] | None = None, *, ignore_mismatched_sizes: bool = False
) -> LoadedParameters:
    """Read the weights of a checkpoint that a model with ``heads`` needs.

    Args:
        name: A directory, an embedded model, a published name or a hub id, or a :class:`~albertkit.hub.Source`.
        config: The model's configuration, which gives every shape.
        heads: The heads on the encoder; those that the file holds where none are given.
        ignore_mismatched_sizes: Leave out a head's parameters of another shape instead of refusing them.

    Raises:
        CheckpointError: If a file is missing or damaged, a shape does not fit, or the encoder's own weights are absent.
    """
    return select_parameters(read_weights(name), config, heads, ignore_mismatched_sizes=ignore_mismatched_sizes)


def select_parameters(
    stored: StoredWeights, config: AlbertConfig, heads: tuple[Head, ...] | None = None, *, ignore_mismatched_sizes: bool = False
) -> LoadedParameters:
    """What :func:`load_parameters` does with weights that have been read.

    Args:
        stored: The weights.
        config: The model's configuration, which gives every shape.
        heads: The heads on the encoder; those that the file holds where none are given.
        ignore_mismatched_sizes: Leave out a head's parameters of another shape instead of refusing them.

    Raises:
        CheckpointError: If a shape does not fit, numbers are no floating-point ones, or the encoder's own weights are absent.
    """
    found = {ours: array for key, array in stored.tensors.items() if (ours := from_disk_name(key)) is not None}
    wanted = heads_on_disk(found, config.architectures) if heads is None else heads
    expected = {parameter.name: parameter.shape for parameter in list_parameters(config, wanted)}
    mismatched = tuple(key for key, shape in expected.items() if key in found and found[key].shape != shape)
    for key in mismatched:
        if key.startswith(_BODY) or not ignore_mismatched_sizes:
            raise _misfit(key, expected[key], found[key].shape, stored.origin)
    missing = tuple(key for key in expected if key not in found or key in mismatched)
    body = [key for key in missing if key.startswith(_BODY)]
    if body:
        raise CheckpointError(
            "a checkpoint must hold the whole encoder",
            received=f"{stored.origin}, which lacks {body[0]} and {len(body) - 1} more",
        )
    for key in expected:
        if key not in missing and not np.issubdtype(found[key].dtype, np.floating):
            raise CheckpointError(
                "weights must be floating-point numbers",
                received=f"{key} of type {found[key].dtype} in {stored.origin}",
                fix="use the checkpoint as it was before it was quantised",
            )
    unexpected = tuple(key for key in found if key not in expected)
    if beyond := next((key for key in unexpected if _LAYER_NUMBER.sub(r"\1.0", key) in expected), None):
        raise CheckpointError(
            "a configuration must have a place for every layer of its checkpoint",
            received=f"{config.num_hidden_groups} groups of {config.inner_group_num} for {beyond} in {stored.origin}",
            fix="use the config.json that came with the weights",
        )
    return LoadedParameters(
        parameters={key: np.ascontiguousarray(found[key], np.float32) for key in expected if key not in missing},
        missing=missing,
        unexpected=unexpected,
        dtype=stored.dtype,
        mismatched=mismatched,
    )


def _misfit(name: str, expected: tuple[int, ...], received: tuple[int, ...], origin: str) -> CheckpointError:
    """The error for a parameter of another shape: a head's may be started anew, the encoder's may not."""
    anew = "ignore_mismatched_sizes=True to start it at random"
    if name.startswith(_BODY):
        fix = "use the config.json that came with the weights"
    elif name.startswith("classifier.") and received:
        fix = f"give num_labels={received[0]} to keep the file's head, or {anew}"
    else:
        fix = f"give {anew}"
    return CheckpointError(
        f"{name} must have the shape {expected} that the configuration gives", received=f"{received} in {origin}", fix=fix
    )


def heads_on_disk(names: Iterable[str], architectures: Sequence[str] = ()) -> tuple[Head, ...]:
    """Which heads the names of a checkpoint (the contract's or the disk's) hold.

    Args:
        names: Of the parameters.
        architectures: The configuration's: three heads have one name, ``classifier``. Without it a classifier beside a pooler
            is one of sequences, else of tokens.
    """
    ours = {from_disk_name(name) or "" for name in names}
    found = {head for head, prefix in _HEAD_PREFIX.items() if any(name.startswith(prefix) for name in ours)}
    if "classifier.weight" in ours:
        named = {head for name in architectures for head in HEADS_OF_CLASS.get(name, ())}
        guess: Head = "sequence_classification" if "pooler" in found else "token_classification"
        found.add(next((head for head in _CLASSIFIERS if head in named), guess))
    return tuple(head for head in HEADS if head in found)


def find_heads(name: Name) -> tuple[Head, ...]:
    """The heads whose weights a checkpoint holds; of an exported model alone those of the class that its configuration names.

    Args:
        name: A directory, an embedded model, a published name or a hub id, or a :class:`~albertkit.hub.Source`.
    """
    architectures = AlbertConfig.from_pretrained(name).architectures
    if is_only_exported(name):
        return next((HEADS_OF_CLASS[architecture] for architecture in architectures if architecture in HEADS_OF_CLASS), ())
    return heads_on_disk(read_weights(name).tensors, architectures)


def save_checkpoint(
    directory: str | Path,
    config: AlbertConfig,
    parameters: Mapping[str, np.ndarray],
    *,
    dtype: str = "float32",
    architecture: str | None = None,
) -> None:
    """Write ``config.json`` and ``model.safetensors``; each appears whole or not at all.

    Args:
        directory: Where to; made if need be.
        config: Written in Hugging Face's form.
        parameters: Contract name → array.
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        architecture: The model's class, a key of :data:`~albertkit.checkpoints.parameters.HEADS_OF_CLASS`, for the
            configuration's ``architectures``; those it has when absent.

    Raises:
        CheckpointError: If a shape does not fit the configuration or the files cannot be written.
        ConfigError: If the configuration cannot be saved (a callable activation).
    """
    if architecture is not None:
        config = config.replace(extra={**config.extra, "architectures": [architecture]})
    heads = heads_on_disk(parameters, config.architectures)
    shapes = {parameter.name: parameter.shape for parameter in list_parameters(config, heads)}
    for key, shape in shapes.items():
        received = "nothing" if key not in parameters else str(parameters[key].shape)
        if received != str(shape):
            raise CheckpointError(f"{key} must have the shape {shape} that the configuration gives", received=received)
    text = config.to_json_string()
    write_tensors(Path(directory) / WEIGHTS_FILE, parameters, dtype=dtype, metadata={"format": "pt"})
    try:
        with new_file(Path(directory) / CONFIG_FILE) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(Path(directory) / CONFIG_FILE, error) from None
