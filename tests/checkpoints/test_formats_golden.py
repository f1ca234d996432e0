"""Checkpoints that transformers 4's Flax and TensorFlow classes and KerasHub saved, and what they computed with theirs and ours.

The archives are made by ``tools/make_format_golden.py``; no framework of theirs is needed here.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import albertkit
from albertkit.checkpoints.describe import describe_checkpoint
from albertkit.checkpoints.flax_msgpack import write_flax
from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.checkpoints.keras_h5 import write_keras_h5
from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.checkpoints.weight_files import read_weights
from albertkit.config import AlbertConfig
from albertkit.errors import CheckpointError
from albertkit.testing import random_parameters

GOLDEN = Path(__file__).parents[1] / "golden"
CLASSES = [name for name in HEADS_OF_CLASS if name != "AlbertForQuestionAnsweringWithAnswerability"]
FORMATS = {
    ("flax", "sharded"): "Hugging Face, Flax msgpack in 4 files",
    ("flax", "safetensors"): "Hugging Face, safetensors of a Flax class",
    ("tensorflow", "sharded"): "Hugging Face, TensorFlow HDF5 in 4 files",
    ("tensorflow", "safetensors"): "Hugging Face, safetensors of a TensorFlow class",
    ("keras_hub", "float32"): "KerasHub preset",
    ("keras_hub", "bfloat16"): "KerasHub preset",
    ("flax", "AlbertModel"): "Hugging Face, Flax msgpack",
    ("tensorflow", "AlbertModel"): "Hugging Face, TensorFlow HDF5",
}


@pytest.fixture(scope="module", params=["flax", "tensorflow", "keras_hub"])
def golden(request, tmp_path_factory) -> Path:
    """An archive's folder, named by its library."""
    folder = tmp_path_factory.mktemp("golden") / request.param
    with zipfile.ZipFile(GOLDEN / f"formats_{request.param}.zip") as archive:
        archive.extractall(folder)
    return folder


def compare(model: torch.nn.Module, folder: Path, name: str, tolerance: float = 1e-5) -> None:
    """A model's outputs with those that the library kept."""
    inputs = json.loads((folder.parents[1] / "manifest.json").read_text())["inputs"]
    tensors = {key: torch.tensor(rows) for key, rows in inputs.items()}
    if name == "AlbertForMultipleChoice":
        tensors = {key: tensor[None] for key, tensor in tensors.items()}
    with torch.no_grad():
        output = model(**tensors)
    with np.load(folder / "outputs.npz") as expected:
        assert set(expected) == set(output.keys())
        for key, values in expected.items():
            np.testing.assert_allclose(output[key], values, rtol=0, atol=tolerance * (1 + np.abs(values).max()))


def test_their_checkpoints_compute_the_same_here(golden):
    for folder in sorted((golden / "theirs").iterdir()):
        name = {"sharded": "AlbertForPreTraining", "safetensors": "AlbertForPreTraining"}.get(folder.name, folder.name)
        name = name if name in CLASSES else "AlbertModel"  # KerasHub's, by type
        model = getattr(albertkit, name).from_pretrained(folder)
        # bfloat16 weights are exact, their library's arithmetic is not
        compare(model, folder, name, 0.03 if folder.name == "bfloat16" else 1e-5)
        found = describe_checkpoint(folder)
        assert (found.heads, sum(found.parameters.values())) == (HEADS_OF_CLASS[name], model.num_parameters())
        assert found.dtype == ("bfloat16" if folder.name == "bfloat16" else "float32")
        assert found.format == FORMATS.get((golden.name, folder.name), found.format)


def test_the_libraries_opened_ours_whole_and_computed_the_same(golden, tmp_path):
    manifest = json.loads((golden / "manifest.json").read_text())
    assert manifest["complaints"] == []
    if golden.name == "keras_hub":  # which ours is read from, not written for
        return
    for name in CLASSES:
        config = AlbertConfig(**(manifest["sizes"] | {"num_labels": manifest["labels"][name]}))
        save_checkpoint(tmp_path, config, random_parameters(config, HEADS_OF_CLASS[name]), architecture=name)
        compare(getattr(albertkit, name).from_pretrained(tmp_path), golden / "ours" / name, name)


def test_a_preset_whose_configuration_is_another_is_refused(golden):
    if golden.name != "keras_hub":
        return
    folder = golden / "theirs" / "float32"
    values = json.loads((folder / "config.json").read_text())
    for key, size in (("hidden_dim", 8), ("num_inner_repetitions", 4), ("vocabulary_size", 29)):
        (folder / "config.json").write_text(json.dumps(values | {"config": values["config"] | {key: size}}))
        with pytest.raises(CheckpointError, match=r"must have the shape|must hold the whole encoder"):
            albertkit.AlbertModel.from_pretrained(folder)


def test_what_is_written_today_is_what_the_libraries_opened(tmp_path):
    config = AlbertConfig(**json.loads(zipfile.Path(GOLDEN / "formats_flax.zip", "manifest.json").read_text())["sizes"])
    parameters = random_parameters(config)
    write_flax(tmp_path / "flax_model.msgpack", parameters)
    opened = zipfile.Path(GOLDEN / "formats_flax.zip", "ours/AlbertForPreTraining/flax_model.msgpack")
    assert (tmp_path / "flax_model.msgpack").read_bytes() == opened.read_bytes()
    write_keras_h5(tmp_path / "tf_model.h5", parameters)
    opened = zipfile.Path(GOLDEN / "formats_tensorflow.zip", "ours/AlbertForPreTraining/tf_model.h5")
    (tmp_path / "opened.h5").write_bytes(opened.read_bytes())
    listings = []
    for path in (tmp_path / "tf_model.h5", tmp_path / "opened.h5"):
        with h5py.File(path) as file:
            layers = list(file.attrs["layer_names"])
            listings.append(
                {layer: {name: file[layer][name][()].tolist() for name in file[layer].attrs["weight_names"]} for layer in layers}
            )
    assert listings[0] == listings[1]
    assert [len(names) for names in listings[0].values()] == [73, 11, 2]  # the embeddings in two layers, stored once
    assert len(read_weights(tmp_path).tensors) == 80
