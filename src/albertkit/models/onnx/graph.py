"""Nodes and initialisers of an ONNX graph in the making; what has a name is stored once, however many nodes read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from albertkit import optional

__all__ = ["Graph"]


class Graph:
    """A graph that grows by one node at a time; values are known by their names."""

    def __init__(self) -> None:
        self._onnx = optional.require("onnx", "An ONNX model")
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def apply(self, operator: str, *inputs: str, attributes: Mapping[str, Any] | None = None, name: str | None = None) -> str:
        """Add a node and return the name of its output.

        Args:
            operator: ONNX's name.
            inputs: Names of its inputs; an empty one is left out.
            attributes: Of the node.
            name: Of the output; a new one when absent.
        """
        return self.split(operator, *inputs, count=1, attributes=attributes, names=None if name is None else (name,))[0]

    def split(
        self,
        operator: str,
        *inputs: str,
        count: int,
        attributes: Mapping[str, Any] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[str]:
        """:meth:`apply` for a node of ``count`` outputs."""
        number = len(self._nodes)
        outputs = list(names) if names else [f"{operator}_{number}" + (f"_{part}" if part else "") for part in range(count)]
        self._nodes.append(
            self._onnx.helper.make_node(operator, list(inputs), outputs, name=f"node_{number}", **(attributes or {}))
        )
        return outputs

    def tensor(self, name: str, values: np.ndarray) -> str:
        """An initialiser of that name, stored at its first use."""
        if name not in self._initializers:
            self._initializers[name] = self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def integers(self, *values: int) -> str:
        """The int64 vector of these values."""
        return self.tensor(f"integers{list(values)}", np.array(values, np.int64))

    def integer(self, value: int) -> str:
        """An int64 scalar."""
        return self.tensor(f"integer {value}", np.array(value, np.int64))

    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self.tensor(f"number {value!r}", np.array(value, np.float32))

    def cast(self, x: str, kind: type) -> str:
        """``x`` as another NumPy type."""
        return self.apply("Cast", x, attributes={"to": self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))})

    def input(self, name: str, kind: type, shape: Sequence[str | int], default: np.ndarray | None = None) -> str:
        """Declare an input; with a default it may be left out."""
        self._inputs.append(self._declare(name, kind, shape))
        return name if default is None else self.tensor(name, default)

    def output(self, x: str, name: str, kind: type, shape: Sequence[str | int]) -> None:
        """Declare that ``x`` is the output ``name``."""
        self.apply("Identity", x, name=name)
        self._outputs.append(self._declare(name, kind, shape))

    def finish(self, name: str, *, opset: int, producer: str, version: str, metadata: Mapping[str, str]) -> Any:
        """The whole as an ``onnx.ModelProto``.

        Args:
            name: Of the graph.
            opset: Version of ONNX's operators.
            producer: Who made it.
            version: Of the producer.
            metadata: Strings to keep in the file.
        """
        helper = self._onnx.helper
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, list(self._initializers.values()))
        opsets = [helper.make_opsetid("", opset)]
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets),
            producer_name=producer,
            producer_version=version,
        )
        helper.set_model_props(model, dict(metadata))
        return model

    def _declare(self, name: str, kind: type, shape: Sequence[str | int]) -> Any:
        helper = self._onnx.helper
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), list(shape))
