"""What stands on the encoder, as nodes; outputs are called as Hugging Face calls a model's.

Shapes: B sequences · L length · T real tokens · P masked positions · V vocabulary · C classes · K starts and ends of answers.
"""

from __future__ import annotations

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.models.onnx.activations import activate
from albertkit.models.onnx.encoder import Layout
from albertkit.models.onnx.weights import Weights

__all__ = ["MASKED_POSITIONS", "add_head"]

MASKED_POSITIONS = "masked_positions"
"""Input ``[P]``, which may be left out: where to score the vocabulary, in the flattened ``[B·L]``; every real token without."""


def add_head(weights: Weights, layout: Layout, hidden: str, head: Head, heads: tuple[Head, ...]) -> None:
    """Add the nodes and outputs of a head.

    Args:
        weights: The parameters.
        layout: Where real tokens stand.
        hidden: ``[T, H]``.
        head: Which.
        heads: All of the model: one that others read gives no output of its own.
    """
    if head == "masked_lm":
        _add_masked_lm(weights, layout, hidden, "prediction_logits" if "sentence_order" in heads else "logits")
    elif head == "token_classification":
        classes = len(weights.parameters["classifier.bias"])
        scores = layout.unpack(weights.linear(hidden, "classifier"), classes)
        weights.graph.output(scores, "logits", np.float32, ("batch", "length", classes))
    elif head == "question_answering":
        _add_question_answering(weights, layout, hidden)
    elif head == "pooler":
        if not set(heads) & {"sentence_order", "sequence_classification", "multiple_choice"}:
            pooled = _pool(weights, layout, hidden)
            weights.graph.output(pooled, "pooler_output", np.float32, ("batch", weights.config.hidden_size))
    else:
        _add_pooled(weights, layout, hidden, head)


def _pool(weights: Weights, layout: Layout, hidden: str) -> str:
    """Dense and tanh over each sequence's first token, ``[B, H]``."""
    first = weights.graph.apply("Gather", hidden, layout.first)
    return weights.graph.apply("Tanh", weights.linear(first, "albert.pooler"))


def _add_pooled(weights: Weights, layout: Layout, hidden: str, head: Head) -> None:
    graph, pooled = weights.graph, _pool(weights, layout, hidden)
    if head == "sentence_order":
        graph.output(weights.linear(pooled, "sop_classifier.classifier"), "sop_logits", np.float32, ("batch", 2))
        return
    scores = weights.linear(pooled, "classifier")
    classes = len(weights.parameters["classifier.bias"])
    if head == "multiple_choice":
        shape = graph.apply("Shape", "input_ids", attributes={"end": 2})
        graph.output(graph.apply("Reshape", scores, shape), "logits", np.float32, ("batch", "choices"))
    else:
        graph.output(scores, "logits", np.float32, ("batch", classes))


def _add_masked_lm(weights: Weights, layout: Layout, hidden: str, name: str) -> None:
    """Scores ``[B, L, V]``, or ``[1, P, V]`` at the positions asked for: one graph, since a default of none is an empty list."""
    graph, vocabulary = weights.graph, weights.config.vocab_size
    # The default is a position that is none, not an empty list, which OpenVINO takes for a scalar.
    given = graph.input(MASKED_POSITIONS, np.int64, ("masked",), default=np.full(1, -1, np.int64))
    asked = graph.apply("Compress", given, graph.apply("GreaterOrEqual", given, graph.integer(0)), attributes={"axis": 0})
    count = graph.apply("Shape", asked)  # [1]
    is_all = graph.apply("Equal", count, graph.integers(0))
    real = graph.apply("Where", is_all, graph.apply("Shape", layout.places), graph.integers(0))
    zero, one = graph.integer(0), graph.integer(1)
    every = graph.apply("Range", zero, graph.apply("Squeeze", real, graph.integers(0)), one)
    rows = graph.apply("Concat", graph.apply("Gather", layout.packed, asked), every, attributes={"axis": 0})
    tokens = activate(graph, weights.config, weights.linear(graph.apply("Gather", hidden, rows), "predictions.dense"))
    tokens = weights.normalize(tokens, "predictions.LayerNorm")
    scores = weights.decode(tokens, "albert.embeddings.word_embeddings", "predictions.bias")
    numbers = graph.apply("Range", zero, graph.apply("Squeeze", count, graph.integers(0)), one)
    places = graph.apply("Concat", numbers, graph.apply("Gather", layout.places, every), attributes={"axis": 0})
    alone = graph.apply("Concat", graph.integers(1), count, attributes={"axis": 0})
    both = graph.apply("Concat", layout.batch, layout.length, attributes={"axis": 0})
    size = graph.apply("Where", is_all, both, alone)
    flat = graph.apply("Concat", graph.apply("ReduceProd", size), graph.integers(vocabulary), attributes={"axis": 0})
    zeros = graph.apply("ConstantOfShape", flat)
    filled = graph.apply("ScatterND", zeros, graph.apply("Unsqueeze", places, graph.integers(1)), scores)
    shape = graph.apply("Concat", size, graph.integers(vocabulary), attributes={"axis": 0})
    graph.output(graph.apply("Reshape", filled, shape), name, np.float32, ("batch or 1", "length or masked", vocabulary))


def _add_question_answering(weights: Weights, layout: Layout, hidden: str) -> None:
    graph = weights.graph
    both = layout.unpack(weights.linear(hidden, "qa_outputs"), 2)
    parts = graph.split("Split", both, count=2, attributes={"axis": 2, "num_outputs": 2})
    for part, name in zip(parts, ("start_logits", "end_logits"), strict=True):
        graph.output(graph.apply("Squeeze", part, graph.integers(2)), name, np.float32, ("batch", "length"))
