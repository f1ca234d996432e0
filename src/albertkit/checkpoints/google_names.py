"""Google's names of ALBERT's variables (google-research/albert: modeling.py, run_pretraining.py, run_squad_v2.py …)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from albertkit.checkpoints.google_bundle import read_bundle, write_bundle
from albertkit.checkpoints.name_tables import NameTable, Row
from albertkit.checkpoints.storage import StoredTensors
from albertkit.errors import CheckpointError

__all__ = ["GOOGLE", "read_google", "write_google"]

_LAYER = "albert.encoder.albert_layer_groups.{group}.albert_layers.{inner}"
_GOOGLE_LAYER = "bert/encoder/transformer/group_{group}/inner_group_{inner}"
_PROJECTION = "albert.encoder.embedding_hidden_mapping_in"
_WORDS = "albert.embeddings.word_embeddings.weight"
_QUERY = f"{_LAYER.format(group=0, inner=0)}.attention.query.weight"

# What an optimiser keeps beside the variables.
_SLOT = re.compile(r"(.*/)?(global_step|beta[12]_power|(adam|lamb)_[mv]|Adam(_1)?)")
# LayerNorm as tf.keras names it where the code was brought to a newer TensorFlow: numbered through the graph, and inside a layer
# under the scope of its application (huggingface/transformers#10774).
_KERAS_NORM = re.compile(
    r"(?P<place>bert/embeddings|cls/predictions/transform|end_logits"
    r"|bert/encoder/transformer/(?P<group>group_[0-9]+)(_[0-9]+)?(/layer_[0-9]+)?/(?P<inner>inner_group_[0-9]+))"
    r"/layer_normalization(_(?P<number>[0-9]{1,6}))?/(?P<leaf>gamma|beta)"
)


def _linear(ours: str, theirs: str) -> Iterator[Row]:
    yield Row(f"{ours}.weight", f"{theirs}/kernel", transposed=True)
    yield Row(f"{ours}.bias", f"{theirs}/bias")


def _norm(ours: str, theirs: str) -> Iterator[Row]:
    yield Row(f"{ours}.weight", f"{theirs}/gamma")
    yield Row(f"{ours}.bias", f"{theirs}/beta")


def _output(ours: str, theirs: str) -> Iterator[Row]:
    """A classifier that Google multiplies by its transpose: [out, in] on both sides."""
    yield Row(f"{ours}.weight", f"{theirs}output_weights")
    yield Row(f"{ours}.bias", f"{theirs}output_bias")


def _list_rows() -> Iterator[Row]:
    for table in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        yield Row(f"albert.embeddings.{table}.weight", f"bert/embeddings/{table}")
    yield from _norm("albert.embeddings.LayerNorm", "bert/embeddings/LayerNorm")
    yield from _linear(_PROJECTION, "bert/encoder/embedding_hidden_mapping_in")
    for projection in ("query", "key", "value"):
        yield from _linear(f"{_LAYER}.attention.{projection}", f"{_GOOGLE_LAYER}/attention_1/self/{projection}")
    yield from _linear(f"{_LAYER}.attention.dense", f"{_GOOGLE_LAYER}/attention_1/output/dense")
    yield from _norm(f"{_LAYER}.attention.LayerNorm", f"{_GOOGLE_LAYER}/LayerNorm")
    yield from _linear(f"{_LAYER}.ffn", f"{_GOOGLE_LAYER}/ffn_1/intermediate/dense")
    yield from _linear(f"{_LAYER}.ffn_output", f"{_GOOGLE_LAYER}/ffn_1/intermediate/output/dense")
    yield from _norm(f"{_LAYER}.full_layer_layer_norm", f"{_GOOGLE_LAYER}/LayerNorm_1")
    yield from _linear("albert.pooler", "bert/pooler/dense")
    yield from _linear("predictions.dense", "cls/predictions/transform/dense")
    yield from _norm("predictions.LayerNorm", "cls/predictions/transform/LayerNorm")
    yield Row("predictions.bias", "cls/predictions/output_bias")
    yield from _output("sop_classifier.classifier", "cls/seq_relationship/")
    yield from _output("classifier", "")
    yield from _output("qa_outputs", "cls/squad/")
    yield from _linear("start_logits.dense", "start_logits/dense")
    for dense in ("end_logits.dense_0", "end_logits.dense_1", "answer_class.dense_0"):
        yield from _linear(dense, dense.replace(".", "/"))
    yield from _norm("end_logits.LayerNorm", "end_logits/LayerNorm")
    yield Row("answer_class.dense_1.weight", "answer_class/dense_1/kernel", transposed=True)


GOOGLE = NameTable(_list_rows())
"""Every variable of Google's code, the optimiser's apart; ``output_weights`` is whatever classifier the model has."""


def read_google(index: str | Path) -> StoredTensors:
    """Read a checkpoint of Google's code, of TF-Hub (``module/``) or of those who wrote theirs with ``layer_normalization``.

    Args:
        index: The file ``….index``; the data files lie beside it.

    Returns:
        The tensors under the contract's names, and what the table does not know under its own; what an optimiser keeps is
        left out.

    Raises:
        CheckpointError: If a file is missing or damaged, or the layers of a group have norms of their own.
    """
    stored = read_bundle(index, lambda name: not _SLOT.fullmatch(name))
    tensors = _clean_names(stored.tensors)
    renamed = GOOGLE.to_contract(tensors)
    parameters = {name: tensors[name] for name in renamed.unknown} | renamed.parameters
    return StoredTensors(_add_projection(parameters), stored.dtype, stored.metadata)


def write_google(
    prefix: str | Path, parameters: Mapping[str, np.ndarray], *, shards: int = 1, dtype: str = "float32"
) -> tuple[Path, ...]:
    """Write a checkpoint that Google's code restores.

    Args:
        prefix: The files' common name, such as ``…/model.ckpt-best``.
        parameters: Contract name → array.
        shards: Number of data files.
        dtype: One of :data:`~albertkit.checkpoints.storage.FLOAT_TYPES`.

    Returns:
        The files, the index first.

    Raises:
        CheckpointError: If Google's code has no place for a parameter, or the files cannot be written.
    """
    return write_bundle(prefix, GOOGLE.from_contract(_drop_projection(parameters)), shards=shards, dtype=dtype)


def _clean_names(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Drop TF-Hub's ``module/`` and give LayerNorm the names of Google's code, by its place and order in a layer."""
    found = {name: _KERAS_NORM.fullmatch(name.removeprefix("module/")) for name in tensors}
    numbers: dict[str, set[int]] = defaultdict(set)
    for match in found.values():
        if match:
            numbers[match["place"]].add(int(match["number"] or 0))
    cleaned: dict[str, np.ndarray] = {}
    for name, match in found.items():
        clean = name.removeprefix("module/")
        if match:
            place = f"bert/encoder/transformer/{match['group']}/{match['inner']}" if match["group"] else match["place"]
            second = int(match["number"] or 0) != min(numbers[match["place"]])
            clean = f"{place}/LayerNorm{'_1' * second}/{match['leaf']}"
        if clean in cleaned and cleaned[clean].tobytes() != tensors[name].tobytes():
            raise CheckpointError(
                "variables that ALBERT shares, such as the norms of a group's layers, must be equal",
                received=f"{name} and another {clean} that differs",
            )
        cleaned[clean] = tensors[name]
    return cleaned


def _add_projection(parameters: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Google leaves the projection out where the embeddings are as wide as the layers; the contract has it: the identity."""
    weight, bias = f"{_PROJECTION}.weight", f"{_PROJECTION}.bias"
    query, words = parameters.get(_QUERY), parameters.get(_WORDS)
    if weight in parameters or query is None or words is None or query.shape != words.shape[1:] * 2:
        return parameters
    return parameters | {weight: np.eye(len(query), dtype=np.float32), bias: np.zeros(len(query), np.float32)}


def _drop_projection(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without the projection where Google's code has none; a checkpoint that needs it there cannot be written."""
    weight, bias = parameters.get(f"{_PROJECTION}.weight"), parameters.get(f"{_PROJECTION}.bias")
    if weight is None or bias is None or weight.shape != bias.shape * 2:
        return dict(parameters)
    if bias.any() or not np.array_equal(weight, np.eye(len(bias))):
        raise CheckpointError(
            "Google's code has no projection where embedding_size equals hidden_size", received="one that is not the identity"
        )
    return {name: array for name, array in parameters.items() if not name.startswith(_PROJECTION)}
