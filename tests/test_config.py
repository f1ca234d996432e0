"""The configuration: defaults, files, overrides, labels and refusals."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle

import pytest

from albertkit.checkpoints.parameters import PRETRAINING_HEADS, list_parameters
from albertkit.config import ACTIVATIONS, PUBLISHED, AlbertConfig
from albertkit.errors import ConfigError
from albertkit.testing import tiny_config

# Parameters of AlbertModel with its pooler, as every implementation counts them.
COUNTS = {"base": 11_683_584, "large": 17_683_968, "xlarge": 58_724_864, "xxlarge": 222_595_584}


def test_defaults_are_those_of_xxlarge():
    config = AlbertConfig()
    documented = {
        "vocab_size": 30000, "embedding_size": 128, "hidden_size": 4096, "num_hidden_layers": 12, "num_hidden_groups": 1,
        "num_attention_heads": 64, "intermediate_size": 16384, "inner_group_num": 1, "hidden_act": "gelu_new",
        "hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0, "max_position_embeddings": 512, "type_vocab_size": 2,
        "initializer_range": 0.02, "layer_norm_eps": 1e-12, "classifier_dropout_prob": 0.1,
        "position_embedding_type": "absolute", "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3,
        "num_labels": 2, "id2label": {0: "LABEL_0", 1: "LABEL_1"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1},
        "problem_type": None, "output_attentions": False, "output_hidden_states": False, "return_dict": True,
    }  # fmt: skip
    assert {name: getattr(config, name) for name in documented} == documented
    assert config.use_return_dict is True


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_have_the_published_parameter_counts(name: str):
    config = AlbertConfig.published(name)
    count = sum(math.prod(parameter.shape) for parameter in list_parameters(config, ("pooler",)))
    assert count == COUNTS[name.split("-")[1]]
    assert config.hidden_act == ("gelu" if name.endswith("v1") else "gelu_new")
    dropout = 0.1 if name.endswith("v1") and "xxlarge" not in name else 0.0
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (dropout, dropout)
    assert AlbertConfig.from_pretrained(name) == AlbertConfig.from_pretrained(f"albert/{name}") == config


def test_base_with_heads_has_the_count_that_transformers_gives():
    config = AlbertConfig.published("albert-base-v2")
    assert sum(math.prod(p.shape) for p in list_parameters(config, PRETRAINING_HEADS)) == 11_813_810
    assert sum(math.prod(p.shape) for p in list_parameters(config, ("masked_lm",))) == 11_221_680


def test_hugging_face_file_round_trip_keeps_every_key(tmp_path):
    values = tiny_config(num_labels=3, problem_type="regression").to_dict() | {"my_key": [1, 2], "torch_dtype": "float32"}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    with pytest.warns(UserWarning, match="my_key"):
        config = AlbertConfig.from_json_file(path)
    assert json.loads(config.to_json_string()) == values
    path.write_text(tiny_config(num_labels=3).to_json_string())
    assert AlbertConfig.from_json_file(path) == tiny_config(num_labels=3)
    assert config.my_key == [1, 2]
    assert config.torch_dtype == "float32"


def test_transformers_reads_our_file_and_we_read_theirs(tmp_path):
    from transformers import AlbertConfig as Peer

    ours = tiny_config(num_labels=3, hidden_act="gelu", hidden_dropout_prob=0.1)
    (tmp_path / "config.json").write_text(ours.to_json_string())
    theirs = Peer.from_pretrained(tmp_path)
    for name in ("hidden_size", "num_hidden_groups", "inner_group_num", "hidden_act", "id2label", "hidden_dropout_prob"):
        assert getattr(theirs, name) == getattr(ours, name)
    theirs.save_pretrained(tmp_path / "theirs")
    again = AlbertConfig.from_pretrained(tmp_path / "theirs")
    assert again.replace(extra={}) == ours.replace(extra={})


def test_google_file_means_the_tanh_gelu(tmp_path):
    google = {
        "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "embedding_size": 128,
        "hidden_size": 768, "initializer_range": 0.02, "intermediate_size": 3072, "max_position_embeddings": 512,
        "num_attention_heads": 12, "num_hidden_layers": 12, "num_hidden_groups": 1, "net_structure_type": 0,
        "gap_size": 0, "num_memory_blocks": 0, "inner_group_num": 1, "down_scale_factor": 1, "type_vocab_size": 2,
        "vocab_size": 30000,
    }  # fmt: skip
    (tmp_path / "albert_config.json").write_text(json.dumps(google))
    config = AlbertConfig.from_pretrained(tmp_path)
    assert config.hidden_act == "gelu_new"
    assert config.to_google_dict() == google
    with pytest.raises(ConfigError, match="activations"):
        config.replace(hidden_act="gelu").to_google_dict()


def test_overrides_give_a_new_configuration(tmp_path):
    (tmp_path / "config.json").write_text(tiny_config(id2label={0: "no", 1: "yes"}).to_json_string())
    config = AlbertConfig.from_pretrained(tmp_path, num_labels=3, output_attentions=True)
    assert (config.num_labels, config.output_attentions) == (3, True)
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    kept = AlbertConfig.from_pretrained(tmp_path, hidden_dropout_prob=0.2)
    assert kept.id2label == {0: "no", 1: "yes"}
    named = AlbertConfig.from_pretrained(tmp_path, id2label={"0": "a", "1": "b", "2": "c"})
    assert (named.num_labels, named.label2id) == (3, {"a": 0, "b": 1, "c": 2})
    assert AlbertConfig.from_pretrained("albert-base-v2", num_labels=5).num_labels == 5


def test_frozen_and_copyable():
    config = tiny_config(extra={"note": 1})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.hidden_size = 1
    with pytest.raises(TypeError, match="replace"):
        config.id2label[0] = "x"
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    assert hash(config) == hash(tiny_config(extra={"note": 1}))
    assert config.replace(num_labels=4).id2label[3] == "LABEL_3"


def test_a_callable_activation_is_kept_but_not_saved():
    config = tiny_config(hidden_act=abs)
    with pytest.raises(ConfigError, match="callable cannot be saved"):
        config.to_json_string()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"hidden_size": 30, "num_attention_heads": 4}, "multiple of num_attention_heads"),
        ({"num_hidden_groups": 7}, "must not exceed num_hidden_layers"),
        ({"num_hidden_layers": 1024, "num_hidden_groups": 1024, "inner_group_num": 1024}, "must be at most 1,024"),
        ({"hidden_act": "gelu_nwe"}, "did you mean gelu_new"),
        ({"hidden_dropout_prob": 1.0}, "less than 1"),
        ({"vocab_size": 0}, "whole number from 1"),
        ({"vocab_size": 10**12}, "whole number from 1"),
        ({"vocab_size": "30000"}, "whole number"),
        ({"layer_norm_eps": float("nan")}, "positive number"),
        ({"initializer_range": -1.0}, "positive number"),
        ({"pad_token_id": 101}, "id of the vocabulary"),
        ({"position_embedding_type": "rotary"}, "relative_key"),
        ({"problem_type": "ranking"}, "regression"),
        ({"tie_word_embeddings": False}, "word embedding"),
        ({"return_dict": 1}, "true or false"),
        ({"num_labels": 3, "id2label": {0: "a"}}, "must agree"),
        ({"id2label": {0: "a", 2: "b"}}, "without a gap"),
        ({"id2label": {"x": "a"}}, "class numbers"),
        ({"training_convention": "paper"}, "google"),
    ],
)
def test_impossible_values_are_refused_with_the_rule(changes: dict, rule: str):
    with pytest.raises(ConfigError, match=rule):
        tiny_config(**changes)


def test_bad_files_and_overrides_are_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="readable file"):
        AlbertConfig.from_json_file(tmp_path / "none.json")
    for content, rule in (
        ("{", "valid JSON"),
        ("[" * 100_000, "valid JSON"),
        ("[]", "JSON object"),
        ('{"model_type": "bert"}', "model_type"),
    ):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ConfigError, match=rule):
            AlbertConfig.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="did you mean num_labels"):
        AlbertConfig.from_pretrained("albert-base-v2", num_lables=3)
    with pytest.raises(ConfigError, match="did you mean albert-base-v1"):
        AlbertConfig.published("albert-basev1")


def test_groups_are_routed_by_whole_numbers():
    config = tiny_config(num_hidden_layers=22, num_hidden_groups=22)
    assert [config.group_of(layer) for layer in range(22)] == list(range(22))  # floats send layer 15 to group 14
    assert [tiny_config().group_of(layer) for layer in range(6)] == [0, 0, 0, 1, 1, 1]


def test_activation_names_are_transformers_own():
    from transformers.activations import ACT2FN

    assert set(ACTIVATIONS) <= set(ACT2FN)
