"""Models saved and loaded again: values, types, heads that are absent, and what does not fit."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch

from albertkit.checkpoints.huggingface import find_heads, save_checkpoint
from albertkit.errors import CheckpointError, ConfigError, InputError
from albertkit.models.torch import (
    AlbertForMaskedLM,
    AlbertForPreTraining,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
    AlbertModel,
)
from albertkit.testing import random_parameters, tiny_config


@pytest.fixture
def saved(tmp_path, make_model):
    make_model(tiny_config()).save_pretrained(tmp_path)
    return tmp_path


def test_what_was_saved_is_loaded(saved, make_batch, make_model):
    config = tiny_config()
    model = AlbertForPreTraining.from_pretrained(saved)
    assert model.config.to_dict() == config.to_dict() | {"architectures": ["AlbertForPreTraining"]}
    assert not model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    expected = make_model(config)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, expected.get_parameter(name)), name
    assert torch.equal(model(**make_batch(config).padded).loss, expected(**make_batch(config).padded).loss)


def test_loading_draws_nothing_and_owns_its_memory(saved):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    model = AlbertForPreTraining.from_pretrained(saved)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert AlbertForPreTraining.from_pretrained(saved).predictions.dense.weight.any()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_floating_types(dtype, saved, tmp_path):
    model = AlbertModel.from_pretrained(saved, dtype=dtype)
    assert {str(parameter.dtype) for parameter in model.parameters()} == {f"torch.{dtype}"}
    model.save_pretrained(tmp_path / dtype)
    assert AlbertModel.from_pretrained(tmp_path / dtype).dtype == torch.float32
    again = AlbertModel.from_pretrained(tmp_path / dtype, torch_dtype="auto")
    for name, parameter in again.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name)), name


def test_a_head_that_is_absent_is_named_once_and_drawn(tmp_path):
    config = tiny_config()
    save_checkpoint(tmp_path, config, random_parameters(config, ("pooler", "masked_lm")))
    with pytest.warns(
        UserWarning,
        match=r"lacks the sentence_order head \(sop_classifier\.classifier\.weight, sop_classifier.*train it before use",
    ) as caught:
        model = AlbertForPreTraining.from_pretrained(tmp_path)
    assert len(caught) == 1
    weight = model.sop_classifier.classifier.weight
    assert 0 < weight.abs().max() <= 2 * config.initializer_range
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AlbertForMaskedLM.from_pretrained(tmp_path)  # the pooler that it has no use for is no news


def test_a_new_task_on_a_trained_encoder_is_said_head_by_head(saved):
    message = r"^[^;]*lacks the token_classification head \(classifier\.weight, classifier\.bias\), .*: train it before use$"
    with pytest.warns(UserWarning, match=message):
        AlbertForTokenClassification.from_pretrained(saved)
    AlbertForMaskedLM.from_pretrained(saved).save_pretrained(saved)
    with pytest.warns(UserWarning, match=r"lacks the pooler head .*; it lacks the sequence_classification head"):
        AlbertForSequenceClassification.from_pretrained(saved, num_labels=5)


def test_a_classifier_of_another_task_is_said(tmp_path, make_any):
    make_any(AlbertForSequenceClassification, tiny_config(num_labels=3)).save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="holds a classifier that was trained for sequence_classification"):
        model = AlbertForTokenClassification.from_pretrained(tmp_path)
    assert model.config.num_labels == 3


def test_a_head_of_another_size_is_refused_or_drawn(tmp_path, make_any):
    make_any(AlbertForSequenceClassification, tiny_config(num_labels=3)).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"num_labels=3 .* ignore_mismatched_sizes=True"):
        AlbertForSequenceClassification.from_pretrained(tmp_path, num_labels=5)
    with pytest.warns(UserWarning, match=r"has another size of the sequence_classification head \(classifier\.weight"):
        model = AlbertForSequenceClassification.from_pretrained(tmp_path, num_labels=5, ignore_mismatched_sizes=True)
    assert model.classifier.weight.shape == (5, 15)
    assert 0 < model.classifier.weight.abs().max() <= 2 * model.config.initializer_range
    assert not model.classifier.bias.any()


def test_the_class_is_written_and_a_subclass_is_its_parent(tmp_path, kind, make_any):
    class Mine(kind):
        pass

    for owner in (kind, Mine):
        make_any(owner, tiny_config()).save_pretrained(tmp_path)
        assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [kind.__name__]
        assert find_heads(tmp_path) == kind(tiny_config()).heads
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            kind.from_pretrained(tmp_path)


def test_an_encoder_with_and_without_its_pooler(saved, tmp_path):
    whole = AlbertModel.from_pretrained(saved)
    bare = AlbertModel.from_pretrained(saved, add_pooling_layer=False)
    assert bare.pooler is None
    ids = torch.tensor([[2, 7, 3]])
    assert bare(ids).keys() == ["last_hidden_state"]
    assert torch.equal(bare(ids)[0], whole(ids)[0])
    bare.save_pretrained(tmp_path / "bare")
    with pytest.warns(UserWarning, match="lacks the pooler head"):
        AlbertModel.from_pretrained(tmp_path / "bare")
    with pytest.raises(ConfigError, match="add_pooling_layer"):  # which is no argument of a model with a head
        AlbertForMaskedLM.from_pretrained(saved, add_pooling_layer=False)


def test_a_model_on_the_hub_comes_back_with_a_card(hub_stub, kind, make_any):
    model = make_any(kind, tiny_config())
    url = model.push_to_hub("someone/tiny", commit_message="First", token=hub_stub.token)
    assert url.startswith(f"{hub_stub.url}/someone/tiny/commit/")
    assert {"README.md", "config.json", "model.safetensors"} <= set(hub_stub.files("someone/tiny"))
    again = kind.from_pretrained("someone/tiny", token=hub_stub.token)
    for name, parameter in again.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name)), name


@pytest.mark.parametrize("device", ["cpu", "auto", torch.device("cpu"), {"": "cpu"}])
def test_devices(saved, device):
    expected = torch.accelerator.current_accelerator() if device == "auto" and torch.accelerator.is_available() else None
    assert AlbertModel.from_pretrained(saved, device_map=device).device.type == (expected or torch.device("cpu")).type


def test_devices_that_are_not_there_are_refused(saved):
    for device in ("nowhere", "cuda:99"):
        with pytest.raises(InputError, match="device must be one that PyTorch has here"):
            AlbertModel.from_pretrained(saved, device_map=device)
    with pytest.raises(InputError, match="stands on one device"):
        AlbertModel.from_pretrained(saved, device_map={"albert": "cpu", "classifier": "cuda:0"})


def test_weights_without_a_place_are_named(saved):
    AlbertModel(tiny_config(position_embedding_type="relative_key")).save_pretrained(saved)
    values = json.loads((saved / "config.json").read_text()) | {"position_embedding_type": "absolute"}
    (saved / "config.json").write_text(json.dumps(values))
    with pytest.warns(UserWarning, match=r"no place for: .*albert_layers\.1\.attention\.distance_embedding"):
        AlbertModel.from_pretrained(saved)


def test_overrides_and_a_configuration_given(saved):
    model = AlbertModel.from_pretrained(saved, hidden_act="relu", num_labels=3)
    assert (model.config.hidden_act, model.config.num_labels) == ("relu", 3)
    given = AlbertModel.from_pretrained(saved, config=tiny_config(), hidden_act=torch.sin)
    assert given.config.hidden_act is torch.sin
    with pytest.raises(ConfigError, match="callable cannot be saved"):
        given.save_pretrained(saved / "other")
    assert not (saved / "other").exists()


def test_what_does_not_fit_is_refused(saved):
    with pytest.raises(CheckpointError, match="must have the shape"):
        AlbertModel.from_pretrained(saved, intermediate_size=30)
    with pytest.raises(ConfigError, match="hidden_act"):
        AlbertModel.from_pretrained(saved, hiden_act="relu")
    with pytest.raises(InputError, match="dtype must be auto or one of"):
        AlbertModel.from_pretrained(saved, dtype="int8")
    with pytest.raises(InputError, match="not both"):
        AlbertModel.from_pretrained(saved, dtype="float16", torch_dtype="float32")
    (saved / "model.safetensors").write_bytes(np.random.default_rng(0).bytes(1000))
    with pytest.raises(CheckpointError):
        AlbertModel.from_pretrained(saved)
