"""Hugging Face's checkpoint directories, both ways, through the contract."""

from __future__ import annotations

import numpy as np
import pytest

from albertkit.checkpoints.describe import describe_checkpoint
from albertkit.checkpoints.huggingface import from_disk_name, heads_on_disk, load_parameters, save_checkpoint
from albertkit.checkpoints.parameters import HEADS, PRETRAINING_HEADS, list_parameters
from albertkit.checkpoints.storage import read_tensors, write_tensors
from albertkit.errors import CheckpointError
from albertkit.testing import random_parameters, tiny_config


@pytest.mark.parametrize("heads", [(), ("pooler",), ("masked_lm",), PRETRAINING_HEADS])
def test_round_trip_and_heads(tmp_path, heads: tuple):
    config, parameters = tiny_config(), random_parameters(tiny_config(), heads)
    save_checkpoint(tmp_path, config, parameters)
    loaded = load_parameters(tmp_path, config, PRETRAINING_HEADS)
    assert heads_on_disk(loaded.parameters) == heads
    assert set(loaded.missing) == {p.name for p in list_parameters(config, PRETRAINING_HEADS)} - parameters.keys()
    assert loaded.unexpected == ()
    for name, array in parameters.items():
        np.testing.assert_array_equal(loaded.parameters[name], array)


def test_names_on_disk_are_exactly_transformers_own(tmp_path):
    from transformers import AlbertConfig as PeerConfig
    from transformers import AlbertForPreTraining as Peer

    config = tiny_config()
    Peer(PeerConfig(**config.to_dict())).save_pretrained(tmp_path / "theirs")
    theirs = read_tensors(tmp_path / "theirs" / "model.safetensors").tensors
    kept = {name: array.shape for name, array in theirs.items() if from_disk_name(name) is not None}
    assert kept == {parameter.name: parameter.shape for parameter in list_parameters(config, PRETRAINING_HEADS)}
    loaded = load_parameters(tmp_path / "theirs", config, PRETRAINING_HEADS)
    assert loaded.missing == loaded.unexpected == ()


def test_transformers_finds_every_weight_of_ours(tmp_path):
    from transformers import AlbertForPreTraining as Peer

    save_checkpoint(tmp_path, tiny_config(), random_parameters(tiny_config()))
    _, report = Peer.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


def test_a_bare_encoder_and_old_names_are_understood(tmp_path):
    config, parameters = tiny_config(), random_parameters(tiny_config(), ("pooler",))
    old = {
        name.removeprefix("albert.").replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
        for name, v in parameters.items()
    }
    old["embeddings.position_ids"] = np.arange(5)
    write_tensors(tmp_path / "model.safetensors", old)
    loaded = load_parameters(tmp_path, config, ("pooler",))
    assert loaded.missing == loaded.unexpected == ()
    np.testing.assert_array_equal(loaded.parameters["albert.pooler.weight"], parameters["albert.pooler.weight"])


def test_what_does_not_fit_is_named(tmp_path):
    config, parameters = tiny_config(), random_parameters(tiny_config())
    classifier = random_parameters(config, ("token_classification",), seed=1)
    save_checkpoint(tmp_path, config, classifier | parameters)
    assert load_parameters(tmp_path, config, PRETRAINING_HEADS).unexpected == ("classifier.weight", "classifier.bias")
    with pytest.raises(CheckpointError, match=r"position_embeddings.weight must have the shape \(47, 7\)"):
        load_parameters(tmp_path, tiny_config(max_position_embeddings=47), PRETRAINING_HEADS)
    with pytest.raises(CheckpointError, match="must have the shape"):
        save_checkpoint(tmp_path, tiny_config(intermediate_size=37), parameters)
    del parameters["albert.encoder.embedding_hidden_mapping_in.bias"]
    write_tensors(tmp_path / "model.safetensors", parameters)
    with pytest.raises(CheckpointError, match=r"lacks albert.encoder.embedding_hidden_mapping_in.bias"):
        load_parameters(tmp_path, config, PRETRAINING_HEADS)


def test_a_head_of_another_shape_is_refused_or_left_out(tmp_path):
    heads = ("pooler", "sequence_classification")
    three, two = tiny_config(num_labels=3), tiny_config(num_labels=2)
    save_checkpoint(tmp_path, three, random_parameters(three, heads))
    with pytest.raises(CheckpointError, match=r"num_labels=3 to keep the file's head, or ignore_mismatched_sizes=True"):
        load_parameters(tmp_path, two, heads)
    loaded = load_parameters(tmp_path, two, heads, ignore_mismatched_sizes=True)
    assert loaded.mismatched == loaded.missing == ("classifier.weight", "classifier.bias")
    assert not loaded.parameters.keys() & set(loaded.missing)
    assert load_parameters(tmp_path, three, heads, ignore_mismatched_sizes=True).mismatched == ()
    wide = tiny_config(num_labels=3, intermediate_size=37)
    with pytest.raises(CheckpointError, match=r"ffn.weight must have the shape \(37, 15\).*config.json that came with"):
        load_parameters(tmp_path, wide, heads, ignore_mismatched_sizes=True)


def test_description_counts_every_parameter(tmp_path):
    config, parameters = tiny_config(), random_parameters(tiny_config(), ("masked_lm",))
    save_checkpoint(tmp_path, config, parameters, dtype="bfloat16")
    found = describe_checkpoint(tmp_path)
    assert sum(found.parameters.values()) == sum(array.size for array in parameters.values())
    assert (found.heads, found.dtype) == (("masked_lm",), "bfloat16")
    assert found.missing_heads == tuple(head for head in HEADS if head != "masked_lm")
    assert len(found.sha256) == 64


@pytest.mark.parametrize("fewer", [{"num_hidden_groups": 1}, {"inner_group_num": 1}])
def test_a_configuration_with_fewer_layers_than_the_weights_is_refused(tmp_path, fewer: dict):
    save_checkpoint(tmp_path, tiny_config(), random_parameters(tiny_config()))
    with pytest.raises(CheckpointError, match=r"a place for every layer.*albert_layer.*; use the config\.json that came with"):
        load_parameters(tmp_path, tiny_config(**fewer))
