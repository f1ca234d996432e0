"""The steps that read weights, in float32 or in int8; everything else of the model is the same graph.

int8: a weight is symmetric with a scale for each output channel; activations are quantised as they come, with one scale and
zero point for a whole tensor (DynamicQuantizeLinear), and MatMulInteger adds in int32. A row of the word embeddings is an
output channel of the tied decoder, so one int8 table with one scale a row serves both.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from albertkit.config import AlbertConfig
from albertkit.models.onnx.graph import Graph
from albertkit.models.shapes import Float, Shaped

__all__ = ["Weights", "quantize_rows"]


class Weights:
    """Parameters as initialisers of a graph.

    Args:
        graph: The graph.
        config: Sizes.
        parameters: Contract name → float32 array.
        is_int8: Quantise every linear layer and table.
    """

    def __init__(self, graph: Graph, config: AlbertConfig, parameters: Mapping[str, np.ndarray], *, is_int8: bool) -> None:
        self.graph = graph
        self.config = config
        self.parameters = parameters
        self.is_int8 = is_int8

    def linear(self, x: str, name: str) -> str:
        """The layer of ``name.weight`` and, if there is one, ``name.bias``, over ``x [rows, in]``."""
        return self.project(x, name, self.parameters[f"{name}.weight"], self.parameters.get(f"{name}.bias"))

    def project(self, x: str, name: str, weight: np.ndarray, bias: np.ndarray | None) -> str:
        """:meth:`linear` with a weight ``[out, in]`` that was put together from others; the name is that of the whole."""
        graph = self.graph
        if self.is_int8:
            values, scale = quantize_rows(weight)
            kernel = graph.tensor(f"{name}.weight.int8", values.T)
            return self._multiply(x, kernel, graph.tensor(f"{name}.weight.scale", scale), self._bias(name, bias))
        inputs = [x, graph.tensor(f"{name}.weight", weight), self._bias(name, bias)]
        return graph.apply("Gemm", *filter(None, inputs), attributes={"transB": 1})

    def look_up(self, name: str, indices: str) -> str:
        """Rows ``[T, E]`` of a table."""
        graph, table = self.graph, self.parameters[f"{name}.weight"]
        if not self.is_int8:
            return graph.apply("Gather", graph.tensor(f"{name}.weight", table), indices)
        values, scale = self._table(name)
        scales = graph.apply("Unsqueeze", graph.apply("Gather", scale, indices), graph.integers(1))
        return graph.apply("Mul", graph.cast(graph.apply("Gather", values, indices), np.float32), scales)

    def decode(self, x: str, table: str, bias: str) -> str:
        """Scores over the entries of a table, ``x @ table.T + bias``: the table is that of :meth:`look_up`."""
        graph = self.graph
        offset = graph.tensor(bias, self.parameters[bias])
        if not self.is_int8:
            weight = graph.tensor(f"{table}.weight", self.parameters[f"{table}.weight"])
            return graph.apply("Gemm", x, weight, offset, attributes={"transB": 1})
        values, scale = self._table(table)
        return self._multiply(x, graph.apply("Transpose", values, attributes={"perm": [1, 0]}), scale, offset)

    def normalize(self, x: str, name: str) -> str:
        """LayerNorm over the last axis."""
        scale, bias = (self.graph.tensor(f"{name}.{part}", self.parameters[f"{name}.{part}"]) for part in ("weight", "bias"))
        attributes = {"axis": -1, "epsilon": self.config.layer_norm_eps}
        return self.graph.apply("LayerNormalization", x, scale, bias, attributes=attributes)

    def _table(self, name: str) -> tuple[str, str]:
        values, scale = quantize_rows(self.parameters[f"{name}.weight"])
        return self.graph.tensor(f"{name}.weight.int8", values), self.graph.tensor(f"{name}.weight.scale", scale)

    def _bias(self, name: str, bias: np.ndarray | None) -> str:
        return "" if bias is None else self.graph.tensor(f"{name}.bias", bias)

    def _multiply(self, x: str, kernel: str, scale: str, bias: str) -> str:
        """Quantise ``x``, multiply in whole numbers, and scale back; in the order of steps that runtimes know to fuse."""
        graph = self.graph
        values, x_scale, zero = graph.split("DynamicQuantizeLinear", x, count=3)
        product = graph.cast(graph.apply("MatMulInteger", values, kernel, zero), np.float32)
        scaled = graph.apply("Mul", product, graph.apply("Mul", x_scale, scale))
        return graph.apply("Add", scaled, bias) if bias else scaled


def quantize_rows(
    weight: Float[np.ndarray, "rows width"],
) -> tuple[Shaped[np.ndarray, "rows width"], Float[np.ndarray, " rows"]]:
    """Each row as int8, -127 to 127, times its scale; a row of zeros keeps the scale 1."""
    largest = np.abs(weight).max(axis=1)
    scale = np.where(largest > 0, largest / np.float32(127), np.float32(1)).astype(np.float32)
    return np.rint(weight / scale[:, None]).astype(np.int8), scale
