"""The encoder's nodes: linear layers see real tokens only, whatever padding the caller sends; attention alone is padded.

The drawing of a layer stands in :mod:`albertkit.models.torch.encoder`.

Shapes: B sequences · L length, padding included · T real tokens of all sequences, end to end · E embedding · H hidden ·
N heads · D head size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from albertkit.models.onnx.activations import activate
from albertkit.models.onnx.graph import Graph
from albertkit.models.onnx.weights import Weights

__all__ = ["Layout", "encode"]

_MASKED = -1e30  # added to the scores of padding; finite, so that a sequence of nothing else is no NaN


@dataclass(frozen=True)
class Layout:
    """Where the real tokens stand: names of values that every layer shares.

    Attributes:
        graph: The graph.
        batch: ``[1]`` B.
        length: ``[1]`` L.
        places: ``[T]`` of each real token in the flattened ``[B·L]``.
        packed: ``[B·L]`` number of each place's token among the real ones; of padding that of some other.
        first: ``[B]`` number of each sequence's first real token.
        mask: ``[B, L]`` bool, real or not.
        bias: ``[B, 1, 1, L]``, what padding's attention scores are lowered by.
    """

    graph: Graph
    batch: str
    length: str
    places: str
    packed: str
    first: str
    mask: str
    bias: str

    @classmethod
    def of(cls, graph: Graph, attention_mask: str) -> Layout:
        """Work out the layout of an int64 mask ``[B, L]``."""
        size = graph.apply("Shape", attention_mask)
        batch, length = (graph.apply("Gather", size, graph.integers(axis)) for axis in (0, 1))
        mask = graph.cast(attention_mask, np.bool_)
        flat = graph.apply("Reshape", mask, graph.integers(-1))
        places = graph.apply("Squeeze", graph.apply("NonZero", flat), graph.integers(0))
        counted = graph.apply("CumSum", graph.cast(flat, np.int64), graph.integer(0))
        packed = graph.apply("Max", graph.apply("Sub", counted, graph.integer(1)), graph.integer(0))
        column = graph.apply("ArgMax", graph.cast(mask, np.int64), attributes={"axis": 1, "keepdims": 0})
        stop = graph.apply("Squeeze", batch, graph.integers(0))
        rows = graph.apply("Range", graph.integer(0), stop, graph.integer(1))
        starts = graph.apply("Add", graph.apply("Mul", rows, length), column)
        bias = graph.apply("Where", mask, graph.number(0.0), graph.number(_MASKED))
        return cls(
            graph, batch, length, places, packed,
            first=graph.apply("Gather", packed, starts),
            mask=mask,
            bias=graph.apply("Unsqueeze", bias, graph.integers(1, 2)),
        )  # fmt: skip

    def pack(self, x: str) -> str:
        """Real tokens' values ``[T]`` of ``[B, L]``, or their rows of ``[B·L, width]``."""
        return self.graph.apply("Gather", x, self.places)

    def unpack(self, x: str, width: int) -> str:
        """``[B, L, width]`` from ``[T, width]``, with 0 at padding."""
        graph = self.graph
        rows = graph.apply("Concat", graph.apply("Mul", self.batch, self.length), graph.integers(width), attributes={"axis": 0})
        zeros = graph.apply("ConstantOfShape", rows)
        filled = graph.apply("ScatterND", zeros, graph.apply("Unsqueeze", self.places, graph.integers(1)), x)
        return graph.apply("Reshape", filled, self.shape(width))

    def shape(self, *sizes: int) -> str:
        """The shape ``[B, L, …]``."""
        return self.graph.apply("Concat", self.batch, self.length, self.graph.integers(*sizes), attributes={"axis": 0})


def encode(weights: Weights, layout: Layout, input_ids: str, token_type_ids: str) -> str:
    """Hidden states ``[T, H]`` of the real tokens; layers of a group name the same initialisers."""
    config = weights.config
    hidden = weights.linear(_embed(weights, layout, input_ids, token_type_ids), "albert.encoder.embedding_hidden_mapping_in")
    heads = layout.shape(config.num_attention_heads, config.head_size)
    for layer in range(config.num_hidden_layers):
        group = f"albert.encoder.albert_layer_groups.{config.group_of(layer)}"
        for inner in range(config.inner_group_num):
            hidden = _apply_layer(weights, layout, hidden, f"{group}.albert_layers.{inner}", heads)
    return hidden


def _embed(weights: Weights, layout: Layout, input_ids: str, token_type_ids: str) -> str:
    """Word + token type + position → LayerNorm; a token's position is its column."""
    graph, prefix = weights.graph, "albert.embeddings"
    ids, types = (layout.pack(graph.apply("Reshape", name, graph.integers(-1))) for name in (input_ids, token_type_ids))
    words = weights.look_up(f"{prefix}.word_embeddings", ids)
    total = graph.apply("Add", words, weights.look_up(f"{prefix}.token_type_embeddings", types))
    if weights.config.position_embedding_type == "absolute":
        columns = graph.apply("Mod", layout.places, layout.length)
        total = graph.apply("Add", total, weights.look_up(f"{prefix}.position_embeddings", columns))
    return weights.normalize(total, f"{prefix}.LayerNorm")


def _apply_layer(weights: Weights, layout: Layout, hidden: str, prefix: str, heads: str) -> str:
    """One inner layer: attention, then the feed-forward network, each with its residual and LayerNorm."""
    graph = weights.graph
    context = _attend(weights, layout, hidden, f"{prefix}.attention", heads)
    out = weights.linear(context, f"{prefix}.attention.dense")
    attended = weights.normalize(graph.apply("Add", out, hidden), f"{prefix}.attention.LayerNorm")
    inner = activate(graph, weights.config, weights.linear(attended, f"{prefix}.ffn"))
    out = weights.linear(inner, f"{prefix}.ffn_output")
    return weights.normalize(graph.apply("Add", out, attended), f"{prefix}.full_layer_layer_norm")


def _attend(weights: Weights, layout: Layout, hidden: str, prefix: str, heads: str) -> str:
    """What every token gathers from its sequence, ``[T, H]``; query, key and value are one product."""
    graph, config = weights.graph, weights.config
    names = [f"{prefix}.{name}" for name in ("query", "key", "value")]
    weight, bias = (np.concatenate([weights.parameters[f"{name}.{part}"] for name in names]) for part in ("weight", "bias"))
    projected = weights.project(hidden, f"{prefix}.query_key_value", weight, bias)
    padded = graph.apply("Gather", projected, layout.packed)
    blocks = [
        graph.apply("Reshape", part, heads)
        for part in graph.split("Split", padded, count=3, attributes={"axis": 1, "num_outputs": 3})
    ]
    query, value = (graph.apply("Transpose", block, attributes={"perm": [0, 2, 1, 3]}) for block in (blocks[0], blocks[2]))
    key = graph.apply("Transpose", blocks[1], attributes={"perm": [0, 2, 3, 1]})
    scores = graph.apply("MatMul", graph.apply("Mul", query, graph.number(config.head_size**-0.5)), key)
    if config.position_embedding_type != "absolute":
        scores = graph.apply("Add", scores, _score_distances(weights, layout, query, key, prefix))
    shares = graph.apply("Softmax", graph.apply("Add", scores, layout.bias), attributes={"axis": -1})
    context = graph.apply("Transpose", graph.apply("MatMul", shares, value), attributes={"perm": [0, 2, 1, 3]})
    return layout.pack(graph.apply("Reshape", context, graph.integers(-1, config.hidden_size)))


def _score_distances(weights: Weights, layout: Layout, query: str, key: str, prefix: str) -> str:
    """What the distance from each query to each key adds to its score (arXiv:1803.02155, arXiv:2009.13658); unscaled."""
    graph, config = weights.graph, weights.config
    stop = graph.apply("Squeeze", layout.length, graph.integers(0))
    columns = graph.apply("Range", graph.integer(0), stop, graph.integer(1))
    distances = graph.apply("Sub", graph.apply("Unsqueeze", columns, graph.integers(1)), columns)
    indices = graph.apply("Add", distances, graph.integer(config.max_position_embeddings - 1))
    name = f"{prefix}.distance_embedding.weight"
    table = graph.apply("Gather", graph.tensor(name, weights.parameters[name]), indices)  # [L, L, D]
    scores = graph.apply("Einsum", query, table, attributes={"equation": "bnqd,qkd->bnqk"})
    if config.position_embedding_type == "relative_key_query":
        by_key = graph.apply("Einsum", key, table, attributes={"equation": "bndk,qkd->bnqk"})
        scores = graph.apply("Add", scores, by_key)
    return scores
