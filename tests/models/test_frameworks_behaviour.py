"""What every framework's models do alike beside their numbers: refusals, saving and loading, fresh values, dropout."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS, list_parameters
from albertkit.checkpoints.storage import read_tensors
from albertkit.errors import CheckpointError, ConfigError, InputError
from albertkit.testing import random_parameters, tiny_config

from .frameworks import FRAMEWORKS, ONE_LAYER, Torch, assert_agree, get_framework

pytestmark = pytest.mark.slow  # JAX compiles most cases

TORCH = Torch()
IDS = np.arange(10).reshape(2, 5) + 2

# Class (without its Albert), arguments, and what the refusal says; the rule, up to what was received, is PyTorch's in all.
REFUSALS = {
    "nothing": ("Model", {"input_ids": None}, "exactly one of input_ids and inputs_embeds; received neither"),
    "both": ("Model", {"inputs_embeds": np.zeros((2, 5, 7), np.float32)}, "received both"),
    "too long": ("Model", {"input_ids": np.ones((1, 60), int)}, "max_position_embeddings=43 .* received 60 tokens; .*truncation"),
    "large ids": ("Model", {"input_ids": IDS + 100}, r"input_ids must be from 0 to 100 \(vocab_size=101\); received 111"),
    "negative ids": ("Model", {"input_ids": IDS - 3}, "received -1"),
    "ids of one text": ("Model", {"input_ids": IDS[0]}, r"input_ids must have the shape \[batch, sequence\]"),
    "no tokens": ("Model", {"input_ids": IDS[:, :0]}, "none of them 0"),
    "types": ("Model", {"token_type_ids": IDS}, "token_type_ids must be from 0 to 1"),
    "types of another shape": ("Model", {"token_type_ids": IDS[:, 1:] * 0}, r"token_type_ids must have the shape \(2, 5\)"),
    "positions": ("Model", {"position_ids": IDS + 43}, "position_ids must be from 0 to 42"),
    "positions of another shape": ("Model", {"position_ids": IDS[:, 1:]}, r"position_ids must have the shape \(2, 5\)"),
    "mask": ("Model", {"attention_mask": np.ones((2, 4), int)}, r"attention_mask must have .* received shape \(2, 4\)"),
    "head mask": ("Model", {"head_mask": np.ones(2, np.float32)}, r"head_mask must have the shape \(3,\) or \(1, 3\)"),
    "embeddings": ("Model", {"input_ids": None, "inputs_embeds": np.zeros((2, 5, 6), np.float32)}, r"\(2, 5, 7\)"),
    "labels of tokens": ("ForMaskedLM", {"labels": IDS + 100}, "labels must be from 0 to 100, or -100 .* received 1"),
    "their shape": ("ForMaskedLM", {"labels": IDS[:, 1:]}, r"labels must have the shape \(2, 5\)"),
    "order": ("ForPreTraining", {"sentence_order_label": np.array([0, 2])}, "sentence_order_label must be from 0 to 1"),
    "orders": ("ForPreTraining", {"sentence_order_label": np.array([0])}, r"sentence_order_label must have the shape \(2,\)"),
    "class": ("ForSequenceClassification", {"labels": np.array([0, 3])}, "labels must be from 0 to 2, or -100 .* received 3"),
    "classes": ("ForSequenceClassification", {"labels": np.array([0])}, r"labels must have the shape \(2,\)"),
    "one-hot": ("ForSequenceClassification", {"labels": np.ones((2, 3), int)}, r"shape \[batch\]"),
    "decisions": ("ForSequenceClassification", {"labels": np.full((2, 3), -1.0, np.float32)}, "from 0, a no, to 1, a yes"),
    "too few": ("ForSequenceClassification", {"labels": np.ones(2, np.float32)}, r"labels must have the shape \(2, 3\)"),
    "tags": ("ForTokenClassification", {"labels": IDS}, "labels must be from 0 to 2"),
    "floating tags": ("ForTokenClassification", {"labels": IDS / 1}, "labels must be whole numbers"),
    "one choice": ("ForMultipleChoice", {}, r"input_ids of multiple choice must have the shape \[batch, choices, sequence\]"),
    "choice": ("ForMultipleChoice", {"input_ids": IDS[None], "labels": np.array([2])}, "labels must be from 0 to 1"),
    "start alone": ("ForQuestionAnswering", {"start_positions": IDS[:, 0]}, "give both .* received no end_positions"),
    "end alone": ("ForQuestionAnswering", {"end_positions": IDS[:, 0]}, "received no start_positions"),
    "spans": ("ForQuestionAnswering", {"start_positions": IDS, "end_positions": IDS}, "start_positions must have the shape"),
    "floating spans": ("ForQuestionAnswering", {"start_positions": IDS[:, 0] / 1, "end_positions": IDS[:, 0]}, "must be whole"),
}


@pytest.fixture
def make(framework, save):
    """A model with random parameters in each framework."""
    return lambda class_name, config: framework.open(class_name, save(class_name, config))


# -------------------------------------------------------------------- refusals


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_right_is_refused_by_the_same_rule(case, framework, save):
    name, given, message = REFUSALS[case]
    class_name = f"Albert{name}"
    inputs = {key: value for key, value in ({"input_ids": IDS} | given).items() if value is not None}
    directory = save(class_name, tiny_config(**ONE_LAYER, num_labels=3))
    with pytest.raises(InputError, match=message) as expected:
        TORCH.call(TORCH.open(class_name, directory), inputs)
    with pytest.raises(InputError, match=message) as received:
        framework.call(framework.open(class_name, directory), inputs)
    rule, said = (str(caught.value).partition("; received") for caught in (expected, received))
    assert said[0] == rule[0]
    assert "\n" not in str(received.value)


def test_a_misspelt_argument_is_an_error(class_name, framework, make, make_arrays):
    config = tiny_config(**ONE_LAYER)
    inputs = make_arrays(class_name, config)
    with pytest.raises((TypeError, InputError), match="atention_mask"):
        framework.call(make(class_name, config), inputs | {"atention_mask": inputs["attention_mask"]})


# ------------------------------------------------------------- what a model is


def test_parameters_are_those_of_the_contract(class_name, framework):
    config = tiny_config(num_labels=4, position_embedding_type="relative_key")
    expected = list_parameters(config, HEADS_OF_CLASS[class_name])
    received = framework.parameters(framework.kind(class_name)(config))
    assert {name: array.shape for name, array in received.items()} == {entry.name: entry.shape for entry in expected}
    values = random_parameters(config, HEADS_OF_CLASS[class_name])
    again = framework.parameters(framework.make(class_name, config, values))
    for name, array in values.items():
        assert np.array_equal(again[name], array), name


@pytest.mark.parametrize(("convention", "deviation", "furthest"), [("google", 0.8796, 2.0), ("huggingface", 1.0, 9.0)])
def test_fresh_values(convention, deviation, furthest, framework):
    sizes = {"vocab_size": 2003, "embedding_size": 64, "hidden_size": 96, "initializer_range": 0.05}
    config = tiny_config(**sizes, training_convention=convention)
    values = framework.parameters(framework.kind("AlbertForPreTraining")(config))
    for entry in list_parameters(config, HEADS_OF_CLASS["AlbertForPreTraining"]):
        array = values[entry.name] / 0.05
        if entry.kind in ("scale", "bias"):
            assert (values[entry.name] == (entry.kind == "scale")).all(), entry.name
            continue
        assert np.abs(array).max() <= furthest + 1e-4, entry.name
        if array.size > 5000:  # the deviation of a normal cut at two deviations is 0.8796 of the whole one's
            assert abs(array.std() - deviation) < 0.03, entry.name
    table = values["albert.embeddings.word_embeddings.weight"]
    assert table[config.pad_token_id].any() == (convention == "google")
    assert np.abs(table).max() > (3 if convention == "huggingface" else 1.9) * 0.05
    kernels = [array.ravel()[:50] for name, array in values.items() if name.endswith(("query.weight", "key.weight"))]
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels) == 8  # no two are drawn alike


def test_dropout_is_for_training(class_name, framework, save, make_arrays):
    rates = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3, "classifier_dropout_prob": 0.3}
    config = tiny_config(**ONE_LAYER | rates)
    model = framework.open(class_name, save(class_name, config))
    inputs = make_arrays(class_name, config, labelled=False)
    expected = framework.run(model, inputs)
    assert_agree(framework.run(model, inputs), expected, bar=1e-6)
    draws = [framework.run(model, inputs, seed=seed) for seed in (1, 2)]
    for name, array in expected.items():
        assert not np.allclose(draws[0][name], array), name
        assert not np.allclose(draws[0][name], draws[1][name]), name
    plain = framework.open(class_name, save(class_name, tiny_config(**ONE_LAYER)))
    assert_agree(framework.run(plain, inputs, seed=1), expected)


def test_use_never_changes_the_configuration(class_name, framework, make, make_arrays):
    config = tiny_config(**ONE_LAYER)
    model = make(class_name, config)
    before = model.config.to_dict()
    framework.call(model, make_arrays(class_name, config))
    assert model.config.to_dict() == before
    assert before.pop("architectures") == [class_name]
    assert before == config.to_dict()


@pytest.mark.parametrize("asked", ["output_hidden_states", "output_attentions"])
def test_what_the_configuration_asks_for(asked, framework, make, make_arrays):
    config = tiny_config(**ONE_LAYER | {asked: True, "return_dict": False})
    inputs = make_arrays("AlbertModel", config)
    output = framework.compute(make("AlbertModel", config), inputs)
    assert type(output) is tuple
    assert len(output[2]) == (2 if asked == "output_hidden_states" else 1)
    assert len(framework.compute(make("AlbertModel", config), inputs | {asked: False, "return_dict": True})) == 2


def test_a_second_call_in_jax_compiles_nothing(save, caplog):
    framework = get_framework("jax")
    import jax

    model = framework.open("AlbertForMaskedLM", save("AlbertForMaskedLM", tiny_config()))
    framework.call(model, {"input_ids": IDS})
    with jax.log_compiles():
        framework.call(model, {"input_ids": IDS})
    assert [record.getMessage() for record in caplog.records if "ompil" in record.getMessage()] == []


# -------------------------------------------------------------- saved, opened


def test_each_opens_what_any_saved_bit_for_bit(class_name, framework, save, tmp_path):
    config = tiny_config(num_labels=3)
    values = random_parameters(config, HEADS_OF_CLASS[class_name])
    framework.open(class_name, save(class_name, config)).save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    assert json.loads((tmp_path / "config.json").read_text()) == config.to_dict() | {"architectures": [class_name]}
    for name in FRAMEWORKS:
        reader = get_framework(name)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            received = reader.parameters(reader.open(class_name, tmp_path))
        assert received.keys() == values.keys()
        for key, array in values.items():
            assert np.array_equal(received[key], array), (name, key)


def test_half_precision_is_saved_as_it_is(framework, save, tmp_path):
    """In the type of the parameters, which in JAX stay float32, as in Flax: ``dtype`` is what is computed in."""
    model = framework.open("AlbertForMaskedLM", save("AlbertForMaskedLM", tiny_config()), dtype="bfloat16")
    model.save_pretrained(tmp_path)
    assert read_tensors(tmp_path / "model.safetensors").dtype == ("float32" if framework.name == "jax" else "bfloat16")
    again = TORCH.parameters(TORCH.open("AlbertForMaskedLM", tmp_path))
    for name, array in framework.parameters(model).items():
        assert np.array_equal(again[name], array), name


def test_a_head_that_is_absent_is_said_alike_and_drawn(framework, tmp_path):
    config = tiny_config()
    save_checkpoint(tmp_path, config, random_parameters(config, ("pooler", "masked_lm")))
    said, models = [], []
    for each in (TORCH, framework):
        with pytest.warns(UserWarning, match="lacks the sentence_order head") as caught:
            models.append(each.parameters(each.open("AlbertForPreTraining", tmp_path)))
        said.append([str(warning.message) for warning in caught])
    assert said[0] == said[1]
    assert len(said[0]) == 1
    name = "sop_classifier.classifier.weight"
    assert 0 < np.abs(models[1][name]).max() <= 2 * config.initializer_range
    for key in set(models[0]) - {name}:
        assert np.array_equal(models[1][key], models[0][key]), key


def test_other_labels_and_what_does_not_fit(framework, save):
    directory = save("AlbertForSequenceClassification", tiny_config(num_labels=3))
    model = framework.kind("AlbertForSequenceClassification")
    with pytest.raises(CheckpointError, match=r"num_labels=3 .* ignore_mismatched_sizes=True"):
        model.from_pretrained(directory, num_labels=5)
    with pytest.warns(UserWarning, match="has another size of the sequence_classification head"):
        other = model.from_pretrained(directory, num_labels=5, ignore_mismatched_sizes=True)
    assert framework.parameters(other)["classifier.weight"].shape == (5, 15)
    assert model.from_pretrained(directory, config=tiny_config(num_labels=3), hidden_act="relu").config.hidden_act == "relu"
    with pytest.raises(ConfigError, match="hidden_act"):
        model.from_pretrained(directory, hiden_act="relu")
    with pytest.raises(InputError, match="dtype"):
        model.from_pretrained(directory, dtype="int8")
    with pytest.raises(CheckpointError, match="must have the shape"):
        framework.open("AlbertModel", directory, intermediate_size=30)
