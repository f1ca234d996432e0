"""Vocabularies of another size, and other word embeddings."""

from __future__ import annotations

import pytest
import torch

from albertkit.errors import ConfigError, InputError
from albertkit.models.torch import AlbertForMaskedLM, AlbertForPreTraining, AlbertModel
from albertkit.testing import tiny_config


def test_growing_keeps_what_is_there_and_draws_the_rest(kind, make_any, make_inputs, assert_all_near, flatten_output):
    config = tiny_config()
    model, inputs = make_any(kind, config), make_inputs(kind, config, labelled=False)
    before = flatten_output(model(**inputs))
    old = model.get_input_embeddings().weight.detach().clone()
    table = model.resize_token_embeddings(110)
    assert table is model.get_input_embeddings()
    assert (table.num_embeddings, table.weight.shape, table.padding_idx) == (110, (110, 7), 0)
    assert torch.equal(table.weight[:101], old)
    assert 0 < table.weight[101:].abs().max() <= 2 * config.initializer_range
    assert config.vocab_size == 101
    assert {module.config.vocab_size for module in model.modules() if hasattr(module, "config")} == {110}
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_by_contract().items()}
    assert shapes == {parameter.name: parameter.shape for parameter in model.contract}
    after = flatten_output(model(**inputs))
    assert_all_near({name: value[..., :101] if value.shape[-1] == 110 else value for name, value in after.items()}, before)
    new = {name: tensor.clone() for name, tensor in inputs.items()}
    new["input_ids"].view(-1)[0] = 109
    assert not torch.equal(model(**new)[0], model(**inputs)[0])


def test_decoder_and_bias_follow_and_are_trained(make_any, make_inputs):
    model = make_any(AlbertForMaskedLM, tiny_config())
    model.predictions.bias.requires_grad_(False)
    model.resize_token_embeddings(103)
    assert not model.predictions.bias.requires_grad
    assert not model.predictions.bias[101:].any()
    inputs = make_inputs(AlbertForMaskedLM, tiny_config())
    inputs["labels"] = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100).clamp(max=100) + 2
    inputs["labels"][inputs["attention_mask"] == 0] = -100
    output = model(**inputs)
    assert output.logits.shape[-1] == 103
    output.loss.backward()
    assert model.get_input_embeddings().weight.grad[102].any()  # through the decoder: no input is 102


def test_shrinking_rounding_and_staying(tmp_path, make_any):
    model = make_any(AlbertForPreTraining, tiny_config())
    old = model.get_input_embeddings().weight.detach().clone()
    assert model.resize_token_embeddings().num_embeddings == 101
    assert model.resize_token_embeddings(50, pad_to_multiple_of=8).num_embeddings == 56
    assert torch.equal(model.get_input_embeddings().weight, old[:56])
    assert model.predictions.bias.shape == (56,)
    assert model.resize_token_embeddings(pad_to_multiple_of=10).num_embeddings == 60
    with pytest.raises(InputError, match="from 0 to 59"):
        model(torch.tensor([[60]]))
    model.save_pretrained(tmp_path)
    again = AlbertForPreTraining.from_pretrained(tmp_path)
    assert again.config.vocab_size == 60
    assert torch.equal(again.get_input_embeddings().weight, model.get_input_embeddings().weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_types_stay(dtype):
    model = AlbertModel(tiny_config(training_convention="huggingface")).to(dtype)
    assert model.resize_token_embeddings(200).weight.dtype == dtype
    assert model.get_input_embeddings().weight[101:].abs().max() > 0


def test_sizes_that_cut_special_tokens_are_refused_before_anything_changes(make_any):
    model = make_any(AlbertForMaskedLM, tiny_config())
    for size, message in ((3, "eos_token_id must be an id of the vocabulary, 0 to 2"), (0, "vocab_size must be a whole number")):
        with pytest.raises(ConfigError, match=message):
            model.resize_token_embeddings(size)
    with pytest.raises(InputError, match="pad_to_multiple_of must be at least 1"):
        model.resize_token_embeddings(90, pad_to_multiple_of=0)
    assert model.config.vocab_size == model.get_input_embeddings().num_embeddings == 101


def test_other_word_embeddings(make_any):
    model = make_any(AlbertForMaskedLM, tiny_config())
    ids = torch.tensor([[2, 7, 3]])
    table = torch.nn.Embedding(101, 7)
    model.set_input_embeddings(table)
    assert model.get_input_embeddings() is table
    before = model(ids).logits
    with torch.no_grad():
        table.weight[50] += 1.0
    changed = (model(ids).logits != before).any(dim=(0, 1))  # the decoder is the table
    assert changed.nonzero().flatten().tolist() == [50]
    with pytest.raises(InputError, match=r"shape \(101, 7\).*resize_token_embeddings first"):
        model.set_input_embeddings(torch.nn.Embedding(102, 7))
