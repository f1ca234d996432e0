"""Models for other tools: checkpoints in their formats, ONNX, in float32 or int8, and PyTorch programs."""

from __future__ import annotations

from albertkit.export.agreement import Agreement, measure_agreement, read_texts
from albertkit.export.conversion import FORMATS, Conversion, convert_checkpoint
from albertkit.export.onnx_model import export_onnx

__all__ = [
    "FORMATS", "Agreement", "Conversion", "convert_checkpoint", "export_onnx", "measure_agreement", "read_texts",
]  # fmt: skip
