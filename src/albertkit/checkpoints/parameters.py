"""The contract: every parameter a model has, by name, shape and kind, computed from the configuration alone.

Names are Hugging Face's, rooted at a model with heads (``albert.…``, ``predictions.…``). Every model package builds exactly
these, every conversion goes through them, and random weights for tests are drawn from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from albertkit.config import AlbertConfig

__all__ = ["HEADS", "HEADS_OF_CLASS", "POOLED_HEADS", "PRETRAINING_HEADS", "Head", "Kind", "Parameter", "list_parameters"]

Kind = Literal["embedding", "kernel", "bias", "scale"]
"""``embedding`` [entries, width] · ``kernel`` [out, in] · ``bias`` and ``scale`` (LayerNorm) [width]."""

Head = Literal[
    "pooler",
    "masked_lm",
    "sentence_order",
    "sequence_classification",
    "multiple_choice",
    "token_classification",
    "question_answering",
    "answerability",
]
"""What may stand on the encoder."""

HEADS: tuple[Head, ...] = get_args(Head)

POOLED_HEADS: tuple[Head, ...] = ("sentence_order", "sequence_classification", "multiple_choice")
"""The heads that read the pooled first position; all others read every token."""

PRETRAINING_HEADS: tuple[Head, ...] = ("pooler", "masked_lm", "sentence_order")
"""The heads of pre-training, which one model has together; each of the others is some fine-tuned model's only one."""

HEADS_OF_CLASS: dict[str, tuple[Head, ...]] = {
    "AlbertModel": ("pooler",),
    "AlbertForPreTraining": PRETRAINING_HEADS,
    "AlbertForMaskedLM": ("masked_lm",),
    "AlbertForSequenceClassification": ("pooler", "sequence_classification"),
    "AlbertForMultipleChoice": ("pooler", "multiple_choice"),
    "AlbertForTokenClassification": ("token_classification",),
    "AlbertForQuestionAnswering": ("question_answering",),
    "AlbertForQuestionAnsweringWithAnswerability": ("answerability",),
}
"""Class of model, as a configuration's ``architectures`` names it → its heads."""


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
    for head, classes in (
        ("sequence_classification", config.num_labels), ("multiple_choice", 1), ("token_classification", config.num_labels),
    ):  # fmt: skip
        if head in heads:
            found += _linear("classifier", hidden, classes or 1)
    if "question_answering" in heads:
        found += _linear("qa_outputs", hidden, 2)
    if "answerability" in heads:
        found += _answerability(hidden)
    return found


def _answerability(hidden: int) -> Iterator[Parameter]:
    """The head of Google's run_squad_v2.py under the names transformers gives to the same layers elsewhere (XLNet, XLM)."""
    yield from _linear("start_logits.dense", hidden, 1)
    yield from _linear("end_logits.dense_0", 2 * hidden, hidden)
    yield from _norm("end_logits.LayerNorm", hidden)
    yield from _linear("end_logits.dense_1", hidden, 1)
    yield from _linear("answer_class.dense_0", 2 * hidden, hidden)
    yield Parameter("answer_class.dense_1.weight", (1, hidden), "kernel")


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
