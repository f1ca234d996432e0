"""Every format in which ALBERT tools keep weights: read by every class, and back again to identical arrays."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import msgpack
import numpy as np
import pytest
import torch

from albertkit import AlbertTokenizer
from albertkit.checkpoints.describe import describe_checkpoint
from albertkit.checkpoints.flax_msgpack import read_flax, write_flax
from albertkit.checkpoints.google_names import write_google
from albertkit.checkpoints.hdf5 import read_arrays
from albertkit.checkpoints.huggingface import find_heads, load_parameters, save_checkpoint
from albertkit.checkpoints.keras_h5 import write_keras_h5
from albertkit.checkpoints.parameters import HEADS_OF_CLASS, PRETRAINING_HEADS
from albertkit.checkpoints.storage import write_tensors
from albertkit.checkpoints.weight_files import read_weights
from albertkit.config import AlbertConfig
from albertkit.errors import CheckpointError, ConfigError
from albertkit.hub import Source
from albertkit.testing import random_parameters, tiny_config, tiny_tokenizer

WRITERS = {
    "Hugging Face, safetensors": ("model.safetensors", write_tensors),
    "Hugging Face, Flax msgpack": ("flax_model.msgpack", write_flax),
    "Hugging Face, TensorFlow HDF5": ("tf_model.h5", write_keras_h5),
    "TensorFlow Hub module": ("variables/variables", write_google),
    "Google TensorFlow 1 checkpoint": ("model.ckpt-best", write_google),
}


def write(directory: Path, format: str, parameters: dict[str, np.ndarray], config: AlbertConfig) -> None:
    """A checkpoint in a format and nothing else."""
    filename, writer = WRITERS[format]
    (directory / filename).parent.mkdir(parents=True, exist_ok=True)
    writer(directory / filename, parameters)
    (directory / "config.json").write_text(config.to_json_string())


@pytest.mark.parametrize("name", HEADS_OF_CLASS)
@pytest.mark.parametrize("format", WRITERS)
def test_every_head_comes_back_identical(tmp_path, format: str, name: str):
    heads = HEADS_OF_CLASS[name]
    config = tiny_config(num_labels=3, extra={"architectures": [name]})
    parameters = random_parameters(config, heads)
    write(tmp_path, format, parameters, config)
    loaded = load_parameters(tmp_path, config, heads)
    assert loaded.missing == loaded.unexpected == ()
    assert loaded.parameters.keys() == parameters.keys()
    for key, array in parameters.items():
        np.testing.assert_array_equal(loaded.parameters[key], array)
    found = describe_checkpoint(tmp_path)
    assert (found.format, found.heads, found.location) == (format, heads, str(tmp_path))
    assert sum(found.parameters.values()) == sum(array.size for array in parameters.values())
    assert found.bytes >= 4 * sum(array.size for array in parameters.values())
    assert (len(found.sha256), found.dtype) == (64, "float32")
    assert find_heads(tmp_path) == heads


@pytest.mark.parametrize("format", list(WRITERS)[1:3])
def test_relative_positions_have_names_too(tmp_path, format: str):
    config = tiny_config(position_embedding_type="relative_key_query")
    parameters = random_parameters(config)
    write(tmp_path, format, parameters, config)
    loaded = load_parameters(tmp_path, config, PRETRAINING_HEADS)
    assert loaded.missing == loaded.unexpected == ()
    key = "albert.encoder.albert_layer_groups.1.albert_layers.0.attention.distance_embedding.weight"
    np.testing.assert_array_equal(loaded.parameters[key], parameters[key])


def test_a_chain_through_every_format_ends_where_it_began(tmp_path):
    config, parameters = tiny_config(), random_parameters(tiny_config())
    arrays = parameters
    for number, format in enumerate(reversed(WRITERS)):
        write(tmp_path / str(number), format, arrays, config)
        arrays = load_parameters(tmp_path / str(number), config, PRETRAINING_HEADS).parameters
    save_checkpoint(tmp_path / "end", config, arrays)
    save_checkpoint(tmp_path / "begin", config, parameters)
    assert (tmp_path / "end/model.safetensors").read_bytes() == (tmp_path / "begin/model.safetensors").read_bytes()


def test_a_class_and_an_engine_open_any_format(tmp_path):
    from albertkit import AlbertForMaskedLM, pipeline

    config = tiny_config(vocab_size=len(tiny_tokenizer()))
    parameters = random_parameters(config)
    answers = []
    for number, format in enumerate(WRITERS):
        directory = tmp_path / str(number)
        write(directory, format, parameters, config)
        tiny_tokenizer().save_pretrained(directory)
        model = AlbertForMaskedLM.from_pretrained(directory)
        np.testing.assert_array_equal(model.predictions.bias.detach(), parameters["predictions.bias"])
        answers.append(pipeline("fill-mask", model=directory, engine="numpy")("a [MASK] c"))
    assert all(answer == answers[0] for answer in answers)


def test_what_is_preferred_and_what_a_pickle_needs(tmp_path):
    config, parameters = tiny_config(), random_parameters(tiny_config())
    for format in reversed(WRITERS):
        write(tmp_path, format, parameters, config)
        if format != "Google TensorFlow 1 checkpoint":
            torch.save({}, tmp_path / "pytorch_model.bin")  # is never asked while there is anything else
            assert read_weights(tmp_path).format == format
    (tmp_path / "model.safetensors").unlink()
    assert read_weights(Source(tmp_path, allow_pickle=True)).format == "Hugging Face, PyTorch pickle"
    assert read_weights(tmp_path).format == "Hugging Face, Flax msgpack"


def test_the_latest_of_googles_checkpoints_is_read(tmp_path):
    config = tiny_config()
    for name, seed in (("model.ckpt-900", 1), ("model.ckpt-1000", 2), ("model.ckpt-best", 3)):
        parameters = random_parameters(config, seed=seed)
        write_google(tmp_path / name, parameters, shards=2)
        stored = read_weights(tmp_path)
        np.testing.assert_array_equal(stored.tensors["predictions.bias"], parameters["predictions.bias"])
        assert [path.name for path in stored.files] == [f"{name}.data-0000{shard}-of-00002" for shard in (0, 1)]


def test_old_names_of_pytorch_are_understood(tmp_path):
    config, parameters = tiny_config(), random_parameters(tiny_config())
    state = {f"module.{name}": torch.tensor(array) for name, array in parameters.items()}
    for name in [name for name in state if "LayerNorm" in name]:
        state[name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")] = state.pop(name)
    state["module.predictions.decoder.weight"] = state["module.albert.embeddings.word_embeddings.weight"]
    state["module.predictions.decoder.bias"] = state["module.predictions.bias"]
    state["module.albert.embeddings.position_ids"] = torch.arange(43)[None]
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(config.to_json_string())
    loaded = load_parameters(Source(tmp_path, allow_pickle=True), config, PRETRAINING_HEADS)
    assert loaded.missing == loaded.unexpected == ()
    for key, array in parameters.items():
        np.testing.assert_array_equal(loaded.parameters[key], array)


def test_narrow_types_are_widened_and_named(tmp_path):
    values = np.array([1.0, -2.5, 0.15625], np.float32)
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)
    content = (values.shape, "bfloat16", bits.tobytes())
    (tmp_path / "a").write_bytes(msgpack.packb({"a": msgpack.ExtType(1, msgpack.packb(content))}))
    with h5py.File(tmp_path / "b", "w") as file:
        file.create_dataset("a", data=bits.view("V2")).attrs["dtype"] = "bfloat16"
    with h5py.File(tmp_path / "c", "w") as file:
        file["a"] = values.astype(np.float16)
        file["empty"] = np.zeros((0, 3))
    for stored, dtype in (
        (read_flax(tmp_path / "a"), "bfloat16"),
        (read_arrays(tmp_path / "b"), "bfloat16"),
        (read_arrays(tmp_path / "c"), "float16"),
    ):
        assert (stored.dtype, list(stored.tensors)) == (dtype, ["a"])
        np.testing.assert_array_equal(stored.tensors["a"], values)


def test_hdf5_is_mapped_not_copied(tmp_path):
    write_keras_h5(tmp_path / "tf_model.h5", random_parameters(tiny_config()))
    array = next(iter(read_arrays(tmp_path / "tf_model.h5").tensors.values()))
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable


def test_the_configuration_and_vocabulary_are_found_where_each_tool_puts_them(tmp_path):
    config = tiny_config(vocab_size=len(tiny_tokenizer()), hidden_act="gelu_new")
    vocabulary = tiny_tokenizer().file.to_bytes()
    hub_module, google = tmp_path / "hub", tmp_path / "google"
    for directory, folder in ((hub_module, hub_module / "assets"), (google, google)):
        write_google(
            directory / ("variables/variables" if directory is hub_module else "model.ckpt-best"), random_parameters(config)
        )
        folder.mkdir(exist_ok=True)
        (folder / "albert_config.json").write_text(json.dumps(config.to_google_dict()))
        (folder / "30k-clean.model").write_bytes(vocabulary)
        found = describe_checkpoint(directory)
        assert (found.config.hidden_size, found.config.hidden_act, found.heads) == (15, "gelu_new", PRETRAINING_HEADS)
        assert AlbertConfig.from_pretrained(directory) == found.config
        assert AlbertTokenizer.from_pretrained(directory).file.to_bytes() == vocabulary
    assert describe_checkpoint(hub_module).files == ("assets", "variables")


def test_a_keras_hub_configuration_is_read_or_named(tmp_path):
    path = tmp_path / "config.json"
    arguments = {
        "vocabulary_size": 101, "num_layers": 6, "num_heads": 3, "num_groups": 2, "num_inner_repetitions": 2, "embedding_dim": 7,
        "hidden_dim": 15, "intermediate_dim": 31, "dropout": 0.1, "max_sequence_length": 43, "num_segments": 2, "name": "a",
    }  # fmt: skip
    path.write_text(
        json.dumps({"class_name": "AlbertBackbone", "registered_name": "keras_hub>AlbertBackbone", "config": arguments})
    )
    config = AlbertConfig.from_pretrained(tmp_path)
    expected = tiny_config(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, classifier_dropout_prob=0.1)
    assert config.replace(extra={}) == expected
    assert config.architectures == ("AlbertModel",)
    for damaged in ({name: value for name, value in arguments.items() if name != "dropout"}, None, []):
        path.write_text(json.dumps({"class_name": "AlbertBackbone", "config": damaged}))
        with pytest.raises(ConfigError, match="every argument of AlbertBackbone"):
            AlbertConfig.from_pretrained(tmp_path)


def test_from_the_hub_every_format_is_found_and_the_cache_knows_it(hub_stub, tmp_path):
    config, parameters = tiny_config(), random_parameters(tiny_config())
    for number, format in enumerate(WRITERS):
        write(tmp_path / str(number), format, parameters, config)
        hub_stub.add(f"someone/model{number}", tmp_path / str(number))
        assert describe_checkpoint(f"someone/model{number}").format == format
    hub_stub.stop()
    for number, format in enumerate(WRITERS):
        assert describe_checkpoint(f"someone/model{number}").format == format


@pytest.mark.parametrize(
    ("module", "format"), [("h5py", "Hugging Face, TensorFlow HDF5"), ("msgpack", "Hugging Face, Flax msgpack")]
)
def test_a_missing_package_names_its_command(tmp_path, monkeypatch, module: str, format: str):
    write(tmp_path, format, random_parameters(tiny_config()), tiny_config())
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ImportError, match=rf'needs {module}.*pip install "albertkit\[formats\]"'):
        read_weights(tmp_path)


def test_a_full_disk_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    for writer in (write_flax, write_keras_h5):
        with pytest.raises(CheckpointError, match="must be written whole"):
            writer(tmp_path / "file" / "weights", random_parameters(tiny_config()))
