"""ALBERT as an ONNX graph, made from the contract's parameters: nothing is traced and no framework is asked."""

from __future__ import annotations

from albertkit.models.onnx.answerability import BARRED, BEAM_WIDTH, NEVER
from albertkit.models.onnx.heads import MASKED_POSITIONS
from albertkit.models.onnx.model import PRODUCER, make_onnx_model, output_names

__all__ = ["BARRED", "BEAM_WIDTH", "MASKED_POSITIONS", "NEVER", "PRODUCER", "make_onnx_model", "output_names"]
