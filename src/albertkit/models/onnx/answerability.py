"""The head of Google's SQuAD 2.0 models as nodes: likeliest starts, likeliest ends of each, and whether there is an answer.

What it computes is explained in :mod:`albertkit.models.numpy.answerability`.

Shapes: B sequences · L length · T real tokens · K starts, and ends of each · H hidden.
"""

from __future__ import annotations

import numpy as np

from albertkit.models.onnx.encoder import Layout
from albertkit.models.onnx.graph import Graph
from albertkit.models.onnx.weights import Weights

__all__ = ["BARRED", "BEAM_WIDTH", "NEVER", "add_answerability"]

BARRED = "p_mask"
"""Input ``[B, L]``, which may be left out: not 0 where no answer may start or end; padding never may."""

BEAM_WIDTH = 5
"""Starts, and ends of each; all tokens of a shorter batch."""

NEVER = -1e30
"""Score of a token that may be no end of an answer."""


def add_answerability(weights: Weights, layout: Layout, hidden: str) -> None:
    """Add the head's five outputs, over ``hidden [T, H]``."""
    graph, config = weights.graph, weights.config
    given = graph.input(BARRED, np.int64, ("batch", "length"), default=np.zeros((1, 1), np.int64))
    allowed = graph.apply("And", layout.mask, graph.apply("Equal", given, graph.integer(0)))
    width = graph.apply("Min", layout.length, graph.integers(BEAM_WIDTH))
    starts = graph.apply("Squeeze", layout.unpack(weights.linear(hidden, "start_logits.dense"), 1), graph.integers(2))
    log_probs = _find_log_probs(graph, starts, allowed)
    _keep_best(graph, log_probs, width, "start", ("batch", "starts"))

    states = layout.unpack(hidden, config.hidden_size)
    shares = graph.apply("Unsqueeze", graph.apply("Exp", log_probs), graph.integers(1))
    mean = graph.apply("Squeeze", graph.apply("MatMul", shares, states), graph.integers(1))
    both = graph.apply("Concat", mean, graph.apply("Gather", hidden, layout.first), attributes={"axis": 1})
    of_class = graph.apply("Tanh", weights.linear(both, "answer_class.dense_0"))
    answer = graph.apply("Squeeze", weights.linear(of_class, "answer_class.dense_1"), graph.integers(1))
    graph.output(answer, "cls_logits", np.float32, ("batch",))

    ends = _score_ends(weights, layout, hidden, "start_top_index")
    log_probs = _find_log_probs(graph, ends, graph.apply("Unsqueeze", allowed, graph.integers(1)))
    _keep_best(graph, log_probs, width, "end", ("batch", "starts", "ends"))


def _score_ends(weights: Weights, layout: Layout, hidden: str, starts: str) -> str:
    """Every token's score ``[B, K, L]`` as the end of the answers that start at ``starts [B, K]``."""
    graph, size = weights.graph, weights.config.hidden_size
    name = "end_logits.dense_0"
    weight, bias = weights.parameters[f"{name}.weight"], weights.parameters[f"{name}.bias"]
    of_end = layout.unpack(weights.project(hidden, f"{name}.end", weight[:, :size], bias), size)
    stop = graph.apply("Squeeze", layout.batch, graph.integers(0))
    rows = graph.apply("Range", graph.integer(0), stop, graph.integer(1))
    first = graph.apply("Unsqueeze", graph.apply("Mul", rows, layout.length), graph.integers(1))
    places = graph.apply("Reshape", graph.apply("Add", starts, first), graph.integers(-1))
    at_start = graph.apply("Gather", hidden, graph.apply("Gather", layout.packed, places))
    of_start = weights.project(at_start, f"{name}.start", weight[:, size:], None)
    blocks = graph.apply("Concat", layout.batch, graph.integers(-1, 1, size), attributes={"axis": 0})
    pairs = graph.apply(
        "Add", graph.apply("Unsqueeze", of_end, graph.integers(1)), graph.apply("Reshape", of_start, blocks)
    )  # [B, K, L, H]
    normal = weights.normalize(graph.apply("Tanh", pairs), "end_logits.LayerNorm")
    scores = weights.linear(graph.apply("Reshape", normal, graph.integers(-1, size)), "end_logits.dense_1")
    shape = graph.apply("Concat", layout.batch, graph.integers(-1), layout.length, attributes={"axis": 0})
    return graph.apply("Reshape", scores, shape)


def _find_log_probs(graph: Graph, scores: str, allowed: str) -> str:
    return graph.apply("LogSoftmax", graph.apply("Where", allowed, scores, graph.number(NEVER)), attributes={"axis": -1})


def _keep_best(graph: Graph, log_probs: str, width: str, name: str, shape: tuple[str, ...]) -> None:
    """Put out the largest values, best first, and where they stand."""
    values, indices = graph.split("TopK", log_probs, width, count=2)
    graph.output(values, f"{name}_top_log_probs", np.float32, shape)
    graph.output(indices, f"{name}_top_index", np.int64, shape)
