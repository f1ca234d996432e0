"""Models saved and loaded again: values, types, heads that are absent, and what does not fit."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch

from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.errors import CheckpointError, ConfigError, InputError
from albertkit.models.torch import AlbertForMaskedLM, AlbertForPreTraining, AlbertModel
from albertkit.testing import random_parameters, tiny_config


@pytest.fixture
def saved(tmp_path, make_model):
    make_model(tiny_config()).save_pretrained(tmp_path)
    return tmp_path


def test_what_was_saved_is_loaded(saved, make_batch, make_model):
    config = tiny_config()
    model = AlbertForPreTraining.from_pretrained(saved)
    assert model.config.to_dict() == config.to_dict()
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
    with pytest.warns(UserWarning, match=r"lacks .* sop_classifier\.classifier\.weight, sop_classifier") as caught:
        model = AlbertForPreTraining.from_pretrained(tmp_path)
    assert len(caught) == 1
    weight = model.sop_classifier.classifier.weight
    assert 0 < weight.abs().max() <= 2 * config.initializer_range
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AlbertForMaskedLM.from_pretrained(tmp_path)  # the pooler that it has no use for is no news


def test_weights_without_a_place_are_named(saved):
    values = json.loads((saved / "config.json").read_text()) | {"inner_group_num": 1}
    (saved / "config.json").write_text(json.dumps(values))
    with pytest.warns(UserWarning, match=r"no place for: .*albert_layers\.1\.attention"):
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
