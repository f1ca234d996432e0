"""KerasHub's preset of an ``AlbertBackbone``: ``config.json`` and ``model.weights.h5`` as Keras 3 saves a functional model.

Layers are filed by class and number in the order of their first call, arrays by number: a kernel is 0, its bias 1.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from albertkit.checkpoints.hdf5 import read_arrays
from albertkit.checkpoints.name_tables import NameTable, Row
from albertkit.checkpoints.storage import StoredTensors
from albertkit.config import AlbertConfig

__all__ = ["read_keras_hub"]

_PARTS = {
    "embeddings.LayerNorm": "layer_normalization",
    "encoder.embedding_hidden_mapping_in": "dense",
    "pooler": "dense_1",
}
_LAYER_PARTS = {
    "attention.query": "self_attention_layer/query_dense",
    "attention.key": "self_attention_layer/key_dense",
    "attention.value": "self_attention_layer/value_dense",
    "attention.dense": "self_attention_layer/output_dense",
    "attention.LayerNorm": "self_attention_layer_norm",
    "ffn": "feedforward_intermediate_dense",
    "ffn_output": "feedforward_output_dense",
    "full_layer_layer_norm": "feedforward_layer_norm",
}
_EMBEDDINGS = {"word": "reversible_embedding", "position": "position_embedding", "token_type": "embedding"}


def _rows() -> list[Row]:
    layer, theirs = "encoder.albert_layer_groups.{group}.albert_layers.{inner}.", "group_{group}/inner_{inner}/"
    parts = _PARTS | {layer + ours: theirs + part for ours, part in _LAYER_PARTS.items()}
    rows = [Row(f"albert.embeddings.{ours}_embeddings.weight", f"{part}/vars/0") for ours, part in _EMBEDDINGS.items()]
    for ours, part in parts.items():
        rows.append(Row(f"albert.{ours}.weight", f"{part}/vars/0", transposed="norm" not in part))
        rows.append(Row(f"albert.{ours}.bias", f"{part}/vars/1"))
    return rows


_KERAS_HUB = NameTable(_rows())
_ENCODER = re.compile(r"transformer_encoder(?:_(\d{1,9}))?/")


def read_keras_hub(path: str | Path) -> StoredTensors:
    """Read a preset's ``model.weights.h5``.

    Args:
        path: The file, with the preset's ``config.json`` beside it, which says how many inner layers a group has.

    Returns:
        Arrays under the contract's names; what has none there keeps its own.

    Raises:
        CheckpointError: If the file is missing, damaged or truncated.
        ConfigError: If ``config.json`` is.
        MissingExtraError: If h5py is not installed.
    """
    config = AlbertConfig.from_json_file(Path(path).with_name("config.json"))
    stored = read_arrays(path)
    tensors = dict(_clean(name, array, config) for name, array in stored.tensors.items())
    renamed = _KERAS_HUB.to_contract(tensors)
    return StoredTensors(renamed.parameters | {name: tensors[name] for name in renamed.unknown}, stored.dtype, {})


def _clean(name: str, array: np.ndarray, config: AlbertConfig) -> tuple[str, np.ndarray]:
    """The name by group and inner layer, and the array without an axis of its own for the attention heads."""
    path = "/".join(part.lstrip("_") for part in name.split("/")[1:])
    if match := _ENCODER.match(path):
        group, inner = divmod(int(match[1] or 0), config.inner_group_num)
        path = f"group_{group}/inner_{inner}/{path[match.end() :]}"
    shape = (config.hidden_size,) * (1 if path.endswith("/1") else 2)
    if "self_attention_layer/" in path and array.size == math.prod(shape):
        array = array.reshape(shape)
    return path, array
