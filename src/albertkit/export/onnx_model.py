"""A checkpoint as a directory with ``model.onnx``, its configuration and its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from albertkit import optional
from albertkit.checkpoints.exported import ONNX_FILE
from albertkit.checkpoints.huggingface import CONFIG_FILE, heads_on_disk, load_parameters
from albertkit.checkpoints.parameters import HEADS_OF_CLASS, Head, list_parameters
from albertkit.checkpoints.storage import unwritable
from albertkit.config import AlbertConfig
from albertkit.errors import CheckpointError, InputError
from albertkit.export.agreement import Agreement, Text, measure_agreement
from albertkit.files import new_file
from albertkit.hub import Name
from albertkit.inference.numpy_engine import NumPyEngine
from albertkit.inference.onnx_engine import OnnxEngine
from albertkit.models.onnx import make_onnx_model
from albertkit.tokenization import AlbertTokenizer

__all__ = ["Exportable", "export_onnx", "read_exportable", "write_companions"]


@dataclass(frozen=True)
class Exportable:
    """What is exported of a checkpoint.

    Attributes:
        config: With the class in ``architectures``.
        parameters: Contract name → float32 array.
        heads: Of the class, but for a pooler that the checkpoint lacks.
        architecture: The class.
    """

    config: AlbertConfig
    parameters: Mapping[str, np.ndarray]
    heads: tuple[Head, ...]
    architecture: str


def read_exportable(model: Name, architecture: str | None = None) -> Exportable:
    """Read a checkpoint as one class of models.

    Args:
        model: A directory, an embedded model, a published name, a hub id, or a source.
        architecture: The class, a key of :data:`~albertkit.checkpoints.parameters.HEADS_OF_CLASS`; the one that the
            configuration names, or else that has most of the checkpoint's heads, when absent.

    Raises:
        InputError: If there is no such class.
        CheckpointError: If the checkpoint cannot be read or lacks a head of the class.
    """
    if architecture is not None and architecture not in HEADS_OF_CLASS:
        raise InputError(f"architecture must be one of {', '.join(HEADS_OF_CLASS)}", received=repr(architecture))
    config = AlbertConfig.from_pretrained(model)
    parameters = load_parameters(model, config).parameters
    found = heads_on_disk(parameters, config.architectures)
    if architecture is None:
        complete = [name for name, heads in HEADS_OF_CLASS.items() if set(heads) <= set(found)] or ["AlbertModel"]
        named = [name for name in config.architectures if name in complete]
        architecture = named[0] if named else max(complete, key=lambda name: len(HEADS_OF_CLASS[name]))
    heads = HEADS_OF_CLASS[architecture]
    if architecture == "AlbertModel":
        heads = tuple(head for head in heads if head in found)
    elif lacking := [head for head in heads if head not in found]:
        raise CheckpointError(f"a model exported as {architecture} must have its heads", received=f"one without {lacking[0]}")
    names = {parameter.name for parameter in list_parameters(config, heads)}
    return Exportable(
        config=config.replace(extra={**config.extra, "architectures": [architecture]}),
        parameters={name: array for name, array in parameters.items() if name in names},
        heads=heads,
        architecture=architecture,
    )


def export_onnx(
    model: Name,
    directory: str | Path,
    *,
    architecture: str | None = None,
    is_int8: bool = False,
    texts: Sequence[Text] = (),
    min_agreement: float | None = None,
    max_accuracy_loss: float | None = None,
) -> Agreement | None:
    """Write ``model.onnx``, ``config.json`` and the tokenizer's files. The layers' weights are stored once.

    Args:
        model: A directory, an embedded model, a published name, a hub id, or a source.
        directory: Where to; made if need be, other files there stay.
        architecture: See :func:`read_exportable`.
        is_int8: Quantise every linear layer and the embeddings.
        texts: To compare the exported model with the checkpoint on, by ONNX Runtime and NumPy.
        min_agreement: Smallest share of equal answers with which anything is written.
        max_accuracy_loss: Largest loss of accuracy, a share, with which anything is written; for labelled texts and masked LM.

    Returns:
        The comparison, if there are texts.

    Raises:
        InputError: If a bound is impossible or has no texts, or the texts' labels do not fit.
        CheckpointError: If the checkpoint cannot be read, the model agrees too little, or nothing can be written.
        MissingExtraError: If onnx, or ONNX Runtime for a comparison, is not installed.
    """
    _check_bounds(min_agreement, max_accuracy_loss, len(texts))
    optional.require("onnx", "Export to ONNX")
    source = read_exportable(model, architecture)
    tokenizer = AlbertTokenizer.from_pretrained(model)
    content = make_onnx_model(source.config, source.parameters, source.heads, is_int8=is_int8).SerializeToString()
    agreement = None
    if texts:
        original = NumPyEngine(source.config, dict(source.parameters), source.heads)
        agreement = measure_agreement(original, OnnxEngine(source.config, content), tokenizer, texts)
        _require_agreement(agreement, min_agreement, max_accuracy_loss)
    write_companions(directory, source.config, tokenizer)
    path = Path(directory) / ONNX_FILE
    try:
        with new_file(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise unwritable(path, error) from None
    return agreement


def write_companions(directory: str | Path, config: AlbertConfig, tokenizer: AlbertTokenizer) -> None:
    """Write the configuration and the tokenizer that an exported model needs.

    Raises:
        CheckpointError: If they cannot be written.
        ConfigError: If the configuration cannot be saved (a callable activation).
    """
    text = config.to_json_string()
    path = Path(directory) / CONFIG_FILE
    try:
        with new_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from None
    tokenizer.save_pretrained(directory)


def _check_bounds(min_agreement: float | None, max_accuracy_loss: float | None, texts: int) -> None:
    for name, value in (("min_agreement", min_agreement), ("max_accuracy_loss", max_accuracy_loss)):
        if value is not None and not 0.0 <= value <= 1.0:
            raise InputError(f"{name} must be a share, from 0 to 1", received=value)
        if value is not None and not texts:
            raise InputError(f"{name} is measured on texts", received="none", fix="give texts")


def _require_agreement(found: Agreement, min_agreement: float | None, max_accuracy_loss: float | None) -> None:
    """Raise :class:`~albertkit.errors.CheckpointError` if the exported model answers too differently."""
    fix = "nothing was written; export in float32, or lower the bound"
    if min_agreement is not None and not found.share >= min_agreement:  # so written, what is no number is refused
        raise CheckpointError(f"the exported model must agree on {min_agreement:.2%}", received=str(found), fix=fix)
    if max_accuracy_loss is None:
        return
    if found.accuracy is None:
        raise InputError("a loss of accuracy is measured on labelled texts or masked LM", received="texts without labels")
    if found.accuracy[0] - found.accuracy[1] > max_accuracy_loss:
        raise CheckpointError(f"the exported model must lose at most {max_accuracy_loss:.2%}", received=str(found), fix=fix)
