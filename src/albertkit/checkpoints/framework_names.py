"""The names in transformers' Flax and TensorFlow classes: the contract's paths with other leaves, and kernels [in, out]."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from albertkit.checkpoints.name_tables import NameTable, Row
from albertkit.checkpoints.parameters import HEADS, Parameter, list_parameters
from albertkit.config import AlbertConfig

__all__ = ["clean_flax_name", "clean_keras_name", "from_flax", "from_keras", "to_flax", "to_keras"]

# One group of one inner layer, whose numbers become placeholders.
_PATTERN = AlbertConfig(position_embedding_type="relative_key")
_PARAMETERS = tuple(dict.fromkeys(parameter for head in HEADS for parameter in list_parameters(_PATTERN, (head,))))
_NORMS = {parameter.name.removesuffix(".weight") for parameter in _PARAMETERS if parameter.kind == "scale"}
_ENCODER_PARTS = ("embeddings/", "encoder/", "pooler/")

# The TensorFlow classes make two biases of the masked-LM head and add this one (modeling_tf_albert.py, TFAlbertMLMHead).
_ADDED_BIAS, _IDLE_BIAS = "predictions/decoder/bias", "predictions/bias"


def _build_table(rename: Callable[[str, Parameter], str]) -> NameTable:
    """The table whose names a rule makes of the path, slashes in place of dots, and the parameter."""
    rows = {}
    for parameter in _PARAMETERS:
        ours = parameter.name.replace("groups.0", "groups.{group}").replace("layers.0", "layers.{inner}")
        path = ours.rpartition(".")[0].replace(".", "/")
        rows[ours] = Row(ours, rename(path, parameter), transposed=parameter.kind == "kernel")
    return NameTable(rows.values())


def _flax_name(path: str, parameter: Parameter) -> str:
    return f"{path}/{parameter.kind}"


def _keras_name(path: str, parameter: Parameter) -> str:
    if parameter.name == "predictions.bias":
        return _ADDED_BIAS
    owner = parameter.name.rpartition(".")[0]
    leaf = {
        "embedding": "weight" if owner.endswith("word_embeddings") else "embeddings",
        "kernel": "kernel",
        "scale": "gamma",
        "bias": "beta" if owner in _NORMS else "bias",
    }[parameter.kind]
    return f"{path}/{leaf}".replace("/{", "_._{")


_FLAX, _KERAS = _build_table(_flax_name), _build_table(_keras_name)
_KERAS_ROOTS = {row.theirs.partition("/")[0] for row in _KERAS.rows}


def clean_flax_name(name: str) -> str:
    """The path in the tree of a model with heads, whatever separates it and whether or not it begins at the encoder."""
    path = name.replace(".", "/").removeprefix("params/")
    return f"albert/{path}" if path.startswith(_ENCODER_PARTS) else path


def clean_keras_name(name: str) -> str:
    """The path without the model's own name: ``albert/tf_albert_model/albert/pooler/bias:0`` → ``albert/pooler/bias``."""
    parts = name.removesuffix(":0").split("/")
    if parts[0] not in _KERAS_ROOTS:  # in an index: the variable's full name
        parts = parts[1:]
    elif len(parts) > 2 and parts[2] in _KERAS_ROOTS:  # in a whole file: a layer that uses the variable, then its full name
        parts = parts[2:]
    return "/".join(parts)


def from_flax(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give the tensors of a Flax tree the contract's names and orientation; what has none stays as it is."""
    return _rename(_FLAX, tensors)


def from_keras(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give the tensors of a TensorFlow class the contract's names and orientation; what has none stays as it is."""
    return _rename(_KERAS, {name: array for name, array in tensors.items() if name != _IDLE_BIAS})


def to_flax(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Path in the tree of transformers' Flax classes → array, for the contract's parameters."""
    return _FLAX.from_contract(parameters)


def to_keras(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Path of transformers' TensorFlow classes → array, for the contract's parameters."""
    tensors = _KERAS.from_contract(parameters)
    return tensors | {_IDLE_BIAS: tensors[_ADDED_BIAS]} if _ADDED_BIAS in tensors else tensors


def _rename(table: NameTable, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    renamed = table.to_contract(tensors)
    return renamed.parameters | {name: tensors[name] for name in renamed.unknown}
