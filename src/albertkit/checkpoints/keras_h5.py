"""``tf_model.h5``: the weights of transformers' TensorFlow classes in the HDF5 layout of Keras 2.

A group for each layer of the model holds the arrays under the variables' full names, which begin with the model's own; an
attribute lists them (``weight_names``), and one of the file lists the layers (``layer_names``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from albertkit.checkpoints.framework_names import to_keras
from albertkit.checkpoints.storage import unwritable
from albertkit.files import new_file
from albertkit.optional import require

__all__ = ["write_keras_h5"]

_MODEL = "tf_albert"  # any name: readers drop it


def write_keras_h5(path: str | Path, parameters: Mapping[str, np.ndarray]) -> None:
    """Write ``tf_model.h5`` as transformers' TensorFlow classes read it; the file appears whole or not at all.

    Args:
        path: The file to make or replace.
        parameters: Contract name → array; stored as float32.

    Raises:
        CheckpointError: If the file cannot be written.
        MissingExtraError: If h5py is not installed.
    """
    h5py = require("h5py", f"Writing {Path(path).name}")
    arrays = {f"{_MODEL}/{name}:0": array.astype(np.float32) for name, array in to_keras(parameters).items()}
    layers: dict[str, list[str]] = {}
    for name in arrays:
        layers.setdefault(name.split("/")[1], []).append(name)
    if "predictions" in layers:  # the head reads the word embeddings, so Keras counts the layer that has them as the head's too
        layers["predictions"] += [name for name in layers["albert"] if name.startswith(f"{_MODEL}/albert/embeddings/")]
    try:
        with new_file(path) as temporary, h5py.File(temporary, "w") as file:
            file.attrs["layer_names"] = list(layers)
            for layer, names in layers.items():
                group = file.create_group(layer)
                group.attrs["weight_names"] = names
                for name in names:
                    owner = name.split("/")[1]
                    group[name] = arrays[name] if owner == layer else file[owner][name]  # the latter links, and stores nothing
    except OSError as error:
        raise unwritable(path, error) from None
