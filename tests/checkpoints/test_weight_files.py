"""Weights in one file or several, safetensors or pickled, from a directory and from the hub."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from albertkit import AlbertConfig
from albertkit.checkpoints.describe import describe_checkpoint
from albertkit.checkpoints.flax_msgpack import write_flax
from albertkit.checkpoints.google_names import write_google
from albertkit.checkpoints.huggingface import find_heads, load_parameters, save_checkpoint
from albertkit.checkpoints.keras_h5 import write_keras_h5
from albertkit.checkpoints.parameters import PRETRAINING_HEADS
from albertkit.checkpoints.storage import write_tensors
from albertkit.checkpoints.weight_files import read_weights
from albertkit.errors import CheckpointError
from albertkit.hub import Source
from albertkit.testing import random_parameters, tiny_config

PARAMETERS = random_parameters(tiny_config())


@pytest.fixture
def config_alone(tmp_path) -> Path:
    """A directory with the tiny model's configuration and no weights."""
    save_checkpoint(tmp_path, tiny_config(), PARAMETERS)
    (tmp_path / "model.safetensors").unlink()
    return tmp_path


def write_parts(directory: Path, write, stem: str = "model", ending: str = "safetensors") -> dict[str, str]:
    """The parameters in two files and their index; returns the index's map."""
    places = {}
    for number in (0, 1):
        part = dict(list(PARAMETERS.items())[number::2])
        filename = f"{stem}-{number + 1:05}-of-00002.{ending}"
        write(directory / filename, part)
        places |= dict.fromkeys(part, filename)
    (directory / f"{stem}.{ending}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return places


def save_pickle(path: Path, arrays: dict[str, np.ndarray], *, old: bool = False) -> None:
    torch.save({key: torch.tensor(array) for key, array in arrays.items()}, path, _use_new_zipfile_serialization=not old)


def check(name, format: str) -> None:
    loaded = load_parameters(name, tiny_config(), PRETRAINING_HEADS)
    assert loaded.missing == loaded.unexpected == ()
    for key, array in PARAMETERS.items():
        np.testing.assert_array_equal(loaded.parameters[key], array)
    found = describe_checkpoint(name)
    assert find_heads(name) == found.heads == PRETRAINING_HEADS
    assert sum(found.parameters.values()) == sum(array.size for array in PARAMETERS.values())
    assert found.format == format


def test_parts_with_an_index_are_one_checkpoint(config_alone):
    write_parts(config_alone, write_tensors)
    check(config_alone, "Hugging Face, safetensors in 2 files")
    parts = [config_alone / f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    assert describe_checkpoint(config_alone).bytes == sum(path.stat().st_size for path in parts)
    assert read_weights(config_alone).dtype == "float32"
    write_tensors(parts[0], dict(list(PARAMETERS.items())[::2]), dtype="bfloat16")
    assert read_weights(config_alone).dtype == "bfloat16"


def test_transformers_own_parts_are_read(tmp_path):
    from transformers import AlbertConfig as PeerConfig
    from transformers import AlbertForPreTraining as Peer

    peer = Peer(PeerConfig(**tiny_config().to_dict()))
    peer.save_pretrained(tmp_path, max_shard_size="5KB")
    assert len(read_weights(tmp_path).files) > 2
    loaded = load_parameters(tmp_path, tiny_config(), PRETRAINING_HEADS)
    assert loaded.missing == loaded.unexpected == ()
    state = peer.state_dict()
    np.testing.assert_array_equal(loaded.parameters["albert.pooler.weight"], state["albert.pooler.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda places, where: places | {"a": "../a.safetensors"}, r"'../a.safetensors' is not beside it"),
        (lambda places, where: places | {"a": "sub\\a.safetensors"}, "is not beside it"),
        (lambda places, where: places | {"a": "gone.safetensors"}, r"every file of its index.*gone.safetensors is missing"),
        (lambda places, where: places | {"a": "model-00001-of-00002.safetensors"}, r"00001-of-00002.safetensors without a"),
        (lambda places, where: places | {"a": 3}, "must map tensors to files"),
        (lambda places, where: {}, "must map tensors to files"),
        (lambda places, where: [], "must map tensors to files"),
    ],
)
def test_an_index_that_cannot_be_right_is_refused(config_alone, change, message: str):
    places = write_parts(config_alone, write_tensors)
    index = config_alone / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": change(places, config_alone)}))
    with pytest.raises(CheckpointError, match=message):
        read_weights(config_alone)
    for text in ("", "[]", "{}", "[" * 100_000, '{"weight_map": null}'):
        index.write_text(text)
        with pytest.raises(CheckpointError, match="must map tensors to files"):
            read_weights(config_alone)


@pytest.mark.parametrize("old", [False, True], ids=["zip", "of 2019"])
def test_a_pickle_is_read_by_permission(config_alone, old: bool):
    save_pickle(config_alone / "pytorch_model.bin", PARAMETERS, old=old)
    for read in (read_weights, find_heads, describe_checkpoint, lambda name: load_parameters(name, tiny_config())):
        with pytest.raises(CheckpointError, match=r"by permission only.*pytorch_model.bin alone.*allow_pickle=True.*convert"):
            read(config_alone)
    check(Source(config_alone, allow_pickle=True), "Hugging Face, PyTorch pickle")


def test_pickled_parts_and_narrow_types(config_alone):
    half = {key: torch.tensor(array).bfloat16() for key, array in PARAMETERS.items()}
    torch.save(half, config_alone / "pytorch_model.bin")
    stored = read_weights(Source(config_alone, allow_pickle=True))
    assert stored.dtype == "bfloat16"
    np.testing.assert_array_equal(stored.tensors["albert.pooler.bias"], half["albert.pooler.bias"].float())
    (config_alone / "pytorch_model.bin").unlink()
    write_parts(config_alone, save_pickle, "pytorch_model", "bin")
    check(Source(config_alone, allow_pickle=True), "Hugging Face, PyTorch pickle in 2 files")


def test_safetensors_go_before_a_pickle(config_alone):
    save_pickle(config_alone / "pytorch_model.bin", {})
    write_parts(config_alone, write_tensors)
    check(Source(config_alone, allow_pickle=True), "Hugging Face, safetensors in 2 files")


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.write_text, (self.path, "run"))


@pytest.mark.parametrize("form", ["plain pickle", "torch.save", "of 2019"])
def test_code_in_a_pickle_never_runs(config_alone, form: str):
    path, trace = config_alone / "pytorch_model.bin", config_alone / "trace"
    if form == "plain pickle":
        path.write_bytes(pickle.dumps({"a": Hostile(trace)}))
    else:
        torch.save({"a": Hostile(trace)}, path, _use_new_zipfile_serialization=form == "torch.save")
    with pytest.raises(CheckpointError, match=r"tensors by name and nothing else.*whose source you do not trust"):
        read_weights(Source(config_alone, allow_pickle=True))
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", "list", "numbers", "cut"])
def test_what_is_no_pickle_of_tensors_is_one_sentence(config_alone, content):
    path = config_alone / "pytorch_model.bin"
    save_pickle(path, PARAMETERS)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    else:
        torch.save([torch.ones(2)] if content == "list" else {"a": 3}, path)
    with pytest.raises(CheckpointError, match="tensors by name and nothing else"):
        read_weights(Source(config_alone, allow_pickle=True))


def test_from_the_hub_only_what_is_needed_is_downloaded(hub_stub, config_alone):
    save_pickle(config_alone / "pytorch_model.bin", PARAMETERS)
    hub_stub.add("someone/pickle", config_alone)
    with pytest.raises(CheckpointError, match="by permission only"):
        read_weights("someone/pickle")
    assert not any("pytorch_model.bin" in request for request in hub_stub.requests)
    check(Source("someone/pickle", allow_pickle=True), "Hugging Face, PyTorch pickle")
    write_parts(config_alone, write_tensors)
    hub_stub.add("someone/parts", config_alone)
    hub_stub.requests.clear()
    check("someone/parts", "Hugging Face, safetensors in 2 files")
    assert not any("pytorch_model.bin" in request for request in hub_stub.requests)
    hub_stub.stop()
    check("someone/parts", "Hugging Face, safetensors in 2 files")
    with pytest.raises(CheckpointError, match=r"must hold model.safetensors, whole or in parts.*which does not"):
        (config_alone / "model.safetensors.index.json").unlink()
        (config_alone / "pytorch_model.bin").unlink()
        read_weights(config_alone)


WRITERS = {
    "model.safetensors": write_tensors,
    "flax_model.msgpack": write_flax,
    "tf_model.h5": write_keras_h5,
    "pytorch_model.bin": save_pickle,
    "model.ckpt-best": write_google,
    "model[1].ckpt": write_google,
    "variables/variables": write_google,
}


def test_each_file_of_weights_in_a_directory_can_be_named(config_alone):
    (config_alone / "variables").mkdir()
    for number, (filename, write) in enumerate(WRITERS.items()):
        write(config_alone / filename, PARAMETERS | {"predictions.bias": PARAMETERS["predictions.bias"] + number})
        (config_alone / f"{filename.split('.')[0]}.txt").write_text("")  # a neighbour of nearly its name
    bundles = [
        name + end for name, write in WRITERS.items() if write is write_google for end in (".index", ".data-00000-of-00001")
    ]
    for filename in [*WRITERS, *bundles]:
        number = list(WRITERS).index(filename.removesuffix(".index").removesuffix(".data-00000-of-00001"))
        source = Source(config_alone / filename, allow_pickle=True)
        config = AlbertConfig.from_pretrained(source)
        bias = load_parameters(source, config).parameters["predictions.bias"]
        np.testing.assert_array_equal(bias, PARAMETERS["predictions.bias"] + np.float32(number))
        found = describe_checkpoint(source)
        assert found.location == str(config_alone)
        data = filename if (config_alone / filename).suffix != ".index" else filename.removesuffix(".index")
        assert found.weights == ((data if (config_alone / data).is_file() else f"{data}.data-00000-of-00001").split("/")[-1],)


def test_parts_are_named_by_their_index(config_alone):
    write_parts(config_alone, write_tensors)
    write_tensors(config_alone / "model.safetensors", {})
    check(config_alone / "model.safetensors.index.json", "Hugging Face, safetensors in 2 files")


def test_a_pickle_that_is_named_still_needs_permission(config_alone):
    save_pickle(config_alone / "pytorch_model.bin", PARAMETERS)
    write_tensors(config_alone / "model.safetensors", PARAMETERS)
    with pytest.raises(CheckpointError, match=r"by permission only.*pytorch_model.bin alone"):
        read_weights(config_alone / "pytorch_model.bin")


def test_a_file_of_weights_without_a_configuration_is_one_sentence(tmp_path):
    write_google(tmp_path / "model.ckpt-7", PARAMETERS)
    for read in (describe_checkpoint, AlbertConfig.from_pretrained):
        with pytest.raises(CheckpointError, match=r"must hold config.json or .*model.ckpt-7, beside which is none"):
            read(tmp_path / "model.ckpt-7")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(CheckpointError, match=r"its directory or by its file of weights; received .*notes.txt"):
        read_weights(tmp_path / "notes.txt")


@pytest.mark.parametrize("kind", [np.int8, bool])
def test_weights_that_are_no_floating_point_numbers_are_refused(config_alone, kind: type):
    name = "albert.encoder.embedding_hidden_mapping_in.weight"
    write_tensors(config_alone / "model.safetensors", PARAMETERS | {name: PARAMETERS[name].astype(kind)})
    with pytest.raises(CheckpointError, match=r"floating-point numbers; received albert\.encoder\.embedding_.* quantised"):
        load_parameters(config_alone, tiny_config())
