"""Models for other runtimes: ONNX, in float32 or int8, and PyTorch programs, with their tokenizer and configuration."""

from __future__ import annotations

from albertkit.export.agreement import Agreement, measure_agreement, read_texts
from albertkit.export.onnx_model import export_onnx

__all__ = ["Agreement", "export_onnx", "measure_agreement", "read_texts"]
