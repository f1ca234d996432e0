"""The file of an exported model beside a checkpoint's own: told apart by name, without a runtime to read it."""

from __future__ import annotations

from albertkit import hub
from albertkit.checkpoints.weight_files import has_weights
from albertkit.hub import Name

__all__ = ["ONNX_FILE", "PROGRAM_FILE", "is_only_exported"]

ONNX_FILE = "model.onnx"
"""Where an exported ONNX model is."""

PROGRAM_FILE = "model.pt2"
"""Where an exported PyTorch program is."""


def is_only_exported(name: Name) -> bool:
    """Tell whether a checkpoint holds :data:`ONNX_FILE` and no weights."""
    files = hub.open_files(name)
    return files.has(ONNX_FILE) and not has_weights(files)
