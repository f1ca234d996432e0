"""The whole model as an ``onnx.ModelProto``: inputs and outputs as everyone expects them, each parameter stored once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from albertkit.checkpoints.parameters import Head, list_parameters
from albertkit.config import AlbertConfig
from albertkit.errors import CheckpointError
from albertkit.models.onnx.answerability import add_answerability
from albertkit.models.onnx.encoder import Layout, encode
from albertkit.models.onnx.graph import Graph
from albertkit.models.onnx.heads import add_head
from albertkit.models.onnx.weights import Weights

__all__ = ["PRODUCER", "make_onnx_model", "output_names"]

PRODUCER = "albertkit"
"""What the file says it was made by."""

_OPSET = 20  # the first with Gelu


def make_onnx_model(
    config: AlbertConfig, parameters: Mapping[str, np.ndarray], heads: tuple[Head, ...], *, is_int8: bool = False
) -> Any:
    """Build the graph of an encoder with its heads, for any batch and length.

    Inputs, int64: ``input_ids``, ``attention_mask`` and ``token_type_ids``, each ``[batch, length]`` (with multiple choice
    ``[batch, choices, length]``). Outputs, float32: those of the heads first, as Hugging Face's models name them, then
    ``last_hidden_state``; 0 at padding. With masked LM ``masked_positions [P]`` may be given, and scores are ``[1, P, V]``.

    Args:
        config: Sizes.
        parameters: Contract name → float32 array.
        heads: The heads to put on the encoder.
        is_int8: Quantise every linear layer and table; the rest stays float32.

    Returns:
        An ``onnx.ModelProto``.

    Raises:
        CheckpointError: If a parameter is missing or its shape does not fit.
        ConfigError: If ``hidden_act`` is a callable.
        MissingExtraError: If onnx is not installed.
    """
    for parameter in list_parameters(config, heads):
        received = parameters[parameter.name].shape if parameter.name in parameters else "nothing"
        if received != parameter.shape:
            raise CheckpointError(f"{parameter.name} must have the shape {parameter.shape}", received=received)
    graph = Graph()
    weights = Weights(graph, config, parameters, is_int8=is_int8)
    shape = ("batch", "choices", "length") if "multiple_choice" in heads else ("batch", "length")
    ids, mask, types = (graph.input(name, np.int64, shape) for name in ("input_ids", "attention_mask", "token_type_ids"))
    if "multiple_choice" in heads:
        flat = graph.apply(
            "Concat", graph.integers(-1), graph.apply("Shape", ids, attributes={"start": 2}), attributes={"axis": 0}
        )
        ids, mask, types = (graph.apply("Reshape", name, flat) for name in (ids, mask, types))
    layout = Layout.of(graph, mask)
    hidden = encode(weights, layout, ids, types)
    for head in heads:
        if head == "answerability":
            add_answerability(weights, layout, hidden)
        else:
            add_head(weights, layout, hidden, head, heads)
    states = layout.unpack(hidden, config.hidden_size)
    rows = "batch · choices" if "multiple_choice" in heads else "batch"
    graph.output(states, "last_hidden_state", np.float32, (rows, "length", config.hidden_size))
    metadata = {"heads": ",".join(heads), "weights": "int8" if is_int8 else "float32"}
    return graph.finish("albert", opset=_OPSET, producer=PRODUCER, version="1", metadata=metadata)


def output_names(head: Head, heads: tuple[Head, ...]) -> tuple[str, ...]:
    """The outputs of a head in a model with ``heads``."""
    if head == "question_answering":
        return ("start_logits", "end_logits")
    if head == "masked_lm" and "sentence_order" in heads:
        return ("prediction_logits",)
    return ({"pooler": "pooler_output", "sentence_order": "sop_logits"}.get(head, "logits"),)
