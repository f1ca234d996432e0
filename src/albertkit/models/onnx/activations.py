"""The activation functions a configuration may name, as ONNX operators."""

from __future__ import annotations

from collections.abc import Callable

from albertkit.config import AlbertConfig
from albertkit.errors import ConfigError
from albertkit.models.onnx.graph import Graph

__all__ = ["ACTIVATION_NODES", "activate"]

_Nodes = Callable[[Graph, str], str]


def _gelu_tanh(graph: Graph, x: str) -> str:
    return graph.apply("Gelu", x, attributes={"approximate": "tanh"})


def _silu(graph: Graph, x: str) -> str:
    return graph.apply("Mul", x, graph.apply("Sigmoid", x))


def _quick_gelu(graph: Graph, x: str) -> str:
    return graph.apply("Mul", x, graph.apply("Sigmoid", graph.apply("Mul", x, graph.number(1.702))))


ACTIVATION_NODES: dict[str, _Nodes] = {
    "gelu": lambda graph, x: graph.apply("Gelu", x),
    "gelu_fast": _gelu_tanh,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "leaky_relu": lambda graph, x: graph.apply("LeakyRelu", x, attributes={"alpha": 0.01}),
    "linear": lambda graph, x: x,
    "mish": lambda graph, x: graph.apply("Mish", x),
    "quick_gelu": _quick_gelu,
    "relu": lambda graph, x: graph.apply("Relu", x),
    "relu6": lambda graph, x: graph.apply("Clip", x, graph.number(0.0), graph.number(6.0)),
    "sigmoid": lambda graph, x: graph.apply("Sigmoid", x),
    "silu": _silu,
    "swish": _silu,
    "tanh": lambda graph, x: graph.apply("Tanh", x),
}
"""Name (:data:`albertkit.config.ACTIVATIONS`) → the nodes that compute it."""


def activate(graph: Graph, config: AlbertConfig, x: str) -> str:
    """Apply the function that ``config.hidden_act`` names.

    Raises:
        ConfigError: If it is a callable, which is a PyTorch model's affair.
    """
    if not isinstance(config.hidden_act, str):
        raise ConfigError(
            "an ONNX model knows activations by name only",
            received=f"hidden_act={getattr(config.hidden_act, '__name__', config.hidden_act)!r}",
            fix="export a torch program for a callable",
        )
    return ACTIVATION_NODES[config.hidden_act](graph, x)
