"""The contract: every parameter a model has, by name, shape and kind, computed from the configuration alone.

Names are Hugging Face's, rooted at a model with heads (``albert.…``, ``predictions.…``). Every model package builds exactly
these, every conversion goes through them, and random weights for tests are drawn from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from albertkit.config import AlbertConfig

__all__ = ["HEADS", "Head", "Kind", "Parameter", "list_parameters"]

Kind = Literal["embedding", "kernel", "bias", "scale"]
"""``embedding`` [entries, width] · ``kernel`` [out, in] · ``bias`` and ``scale`` (LayerNorm) [width]."""

Head = Literal["pooler", "masked_lm", "sentence_order"]
"""What may stand on the encoder. Classification and sentence order read the pooler; masked LM does not."""

HEADS: tuple[Head, ...] = ("pooler", "masked_lm", "sentence_order")


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name on disk, its shape and its kind."""

    name: str
    shape: tuple[int, ...]
    kind: Kind


def list_parameters(config: AlbertConfig, heads: tuple[Head, ...] = ()) -> list[Parameter]:
    """List every parameter of the encoder and of ``heads``, in the order in which a forward pass meets them.

    Args:
        config: Sizes.
        heads: Which of :data:`HEADS` stand on the encoder.
    """
    width, hidden, vocab = config.embedding_size, config.hidden_size, config.vocab_size
    found: list[Parameter] = []
    for table, entries in (
        ("word_embeddings", vocab),
        ("position_embeddings", config.max_position_embeddings),
        ("token_type_embeddings", config.type_vocab_size),
    ):
        found.append(Parameter(f"albert.embeddings.{table}.weight", (entries, width), "embedding"))
    found += _norm("albert.embeddings.LayerNorm", width)
    found += _linear("albert.encoder.embedding_hidden_mapping_in", width, hidden)
    for group in range(config.num_hidden_groups):
        for inner in range(config.inner_group_num):
            found += _inner_layer(f"albert.encoder.albert_layer_groups.{group}.albert_layers.{inner}", config)
    if "pooler" in heads:
        found += _linear("albert.pooler", hidden, hidden)
    if "masked_lm" in heads:
        found += [*_linear("predictions.dense", hidden, width), *_norm("predictions.LayerNorm", width)]
        found.append(Parameter("predictions.bias", (vocab,), "bias"))
    if "sentence_order" in heads:
        found += _linear("sop_classifier.classifier", hidden, 2)
    return found


def _inner_layer(prefix: str, config: AlbertConfig) -> Iterator[Parameter]:
    hidden = config.hidden_size
    for projection in ("query", "key", "value"):
        yield from _linear(f"{prefix}.attention.{projection}", hidden, hidden)
    if config.position_embedding_type != "absolute":
        shape = (2 * config.max_position_embeddings - 1, config.head_size)
        yield Parameter(f"{prefix}.attention.distance_embedding.weight", shape, "embedding")
    yield from _linear(f"{prefix}.attention.dense", hidden, hidden)
    yield from _norm(f"{prefix}.attention.LayerNorm", hidden)
    yield from _linear(f"{prefix}.ffn", hidden, config.intermediate_size)
    yield from _linear(f"{prefix}.ffn_output", config.intermediate_size, hidden)
    yield from _norm(f"{prefix}.full_layer_layer_norm", hidden)


def _linear(name: str, inputs: int, outputs: int) -> Iterator[Parameter]:
    yield Parameter(f"{name}.weight", (outputs, inputs), "kernel")
    yield Parameter(f"{name}.bias", (outputs,), "bias")


def _norm(name: str, width: int) -> Iterator[Parameter]:
    yield Parameter(f"{name}.weight", (width,), "scale")
    yield Parameter(f"{name}.bias", (width,), "bias")
