"""Bumblebee's eighteen options and seven architectures, one by one."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

import albertkit
from albertkit import AlbertConfig
from albertkit.checkpoints.bumblebee import ARCHITECTURES, config_from_bumblebee
from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.errors import ConfigError

# Option, a value, what it becomes, and the default of Bumblebee's documentation in our terms.
OPTIONS: list[tuple[str, Any, dict[str, Any], Any]] = [
    ("vocab_size", 97, {"vocab_size": 97}, 30000),
    ("max_positions", 43, {"max_position_embeddings": 43}, 512),
    ("max_token_types", 3, {"type_vocab_size": 3}, 2),
    ("embedding_size", 7, {"embedding_size": 7}, 128),
    ("hidden_size", 24, {"hidden_size": 24}, 768),
    ("num_blocks", 6, {"num_hidden_layers": 6}, 12),
    ("num_groups", 2, {"num_hidden_groups": 2}, 1),
    ("block_depth", 2, {"inner_group_num": 2}, 1),
    ("num_attention_heads", 4, {"num_attention_heads": 4}, 12),
    ("intermediate_size", 37, {"intermediate_size": 37}, 16384),
    ("activation", "gelu_approx_tanh", {"hidden_act": "gelu_new"}, "gelu"),
    ("dropout_rate", 0.3, {"hidden_dropout_prob": 0.3, "classifier_dropout_prob": 0.3}, 0.0),
    ("attention_dropout_rate", 0.2, {"attention_probs_dropout_prob": 0.2}, 0.0),
    ("classifier_dropout_rate", 0.4, {"classifier_dropout_prob": 0.4}, 0.0),
    ("layer_norm_epsilon", 1e-6, {"layer_norm_eps": 1e-6}, 1e-12),
    ("initializer_scale", 0.1, {"initializer_range": 0.1}, 0.02),
    ("num_labels", 5, {"num_labels": 5, "id2label": {i: f"LABEL_{i}" for i in range(5)}}, 2),
    ("id_to_label", {0: "no", 1: "yes", 2: "maybe"}, {"num_labels": 3, "label2id": {"no": 0, "yes": 1, "maybe": 2}}, None),
]


def test_these_are_all_of_them() -> None:
    assert [name for name, *_rest in OPTIONS] == list(inspect.signature(config_from_bumblebee).parameters)
    assert len(OPTIONS) == 18


@pytest.mark.parametrize(("option", "value", "ours", "default"), OPTIONS)
def test_an_option_sets_its_own_fields_and_no_other(option: str, value: Any, ours: dict[str, Any], default: Any) -> None:
    plain, changed = config_from_bumblebee(), config_from_bumblebee(**{option: value})
    fields = [field.name for field in dataclasses.fields(AlbertConfig)]
    different = {name: getattr(changed, name) for name in fields if getattr(changed, name) != getattr(plain, name)}
    assert {name: different[name] for name in ours} == ours
    assert not set(different) - {*ours, *(("id2label", "label2id") if "num_labels" in ours else ())}
    if default is not None:
        assert getattr(plain, next(iter(ours))) == default


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("gelu", "gelu"), ("gelu_approx_sigmoid", "quick_gelu"), ("relu", "relu"), ("silu", "silu"), ("tanh", "tanh")],
)
def test_activations(theirs: str, ours: str) -> None:
    assert config_from_bumblebee(activation=theirs).hidden_act == ours


def test_the_classifier_has_its_own_dropout_where_it_is_given_even_none_at_all() -> None:
    assert config_from_bumblebee(dropout_rate=0.3, classifier_dropout_rate=0.0).classifier_dropout_prob == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_groups": 5}, "num_groups must divide num_blocks.*num_groups=5 and num_blocks=12"),
        ({"num_groups": 0}, "num_hidden_groups must be a whole number from 1"),
        ({"activation": "softplus"}, "hidden_act must be one of"),
        ({"num_labels": 2, "id_to_label": {0: "a", 1: "b", 2: "c"}}, "num_labels and id2label must agree"),
    ],
)
def test_what_bumblebee_could_not_build_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_from_bumblebee(**options)


@pytest.mark.parametrize(
    ("architecture", "heads"),
    [
        ("base", ("pooler",)),
        ("for_masked_language_modeling", ("masked_lm",)),
        ("for_sequence_classification", ("pooler", "sequence_classification")),
        ("for_token_classification", ("token_classification",)),
        ("for_question_answering", ("question_answering",)),
        ("for_multiple_choice", ("pooler", "multiple_choice")),
        ("for_pre_training", ("pooler", "masked_lm", "sentence_order")),
    ],
)
def test_an_architecture_is_the_class_of_its_heads(architecture: str, heads: tuple[str, ...]) -> None:
    assert HEADS_OF_CLASS[ARCHITECTURES[architecture]] == heads
    assert len(ARCHITECTURES) == 7
    pytest.importorskip("torch")
    config = config_from_bumblebee(
        vocab_size=97, hidden_size=24, num_blocks=4, num_groups=2, block_depth=2, num_attention_heads=4, intermediate_size=37
    )
    model = getattr(albertkit, ARCHITECTURES[architecture])(config)
    assert sum(name.endswith("ffn.bias") for name, _parameter in model.named_parameters()) == 4
