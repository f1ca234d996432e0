"""How a model is computed: recomputed layers and the kinds of attention change memory and speed, never numbers."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from albertkit.errors import InputError
from albertkit.models.torch import AlbertForPreTraining, AlbertModel
from albertkit.testing import tiny_config


def count_saved(model, inputs) -> int:
    """Elements that autograd keeps for the backward pass, each storage once."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.numel()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(**inputs)
    assert output is not None
    return sum(kept.values())


def gradients_of(model, inputs) -> dict[str, torch.Tensor]:
    model.zero_grad()
    torch.manual_seed(3)
    output = model(**inputs)
    (output.pooler_output.sum() + output.last_hidden_state.sum() if "pooler_output" in output else output.loss).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_recomputed_layers_give_the_same_gradients(packed_kind, layout, make_any, make_inputs, assert_all_near):
    config = tiny_config(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3)  # drawn alike in both passes
    model, inputs = make_any(packed_kind, config).train(), make_inputs(packed_kind, config, layout)
    expected = gradients_of(model, inputs)
    assert not model.is_gradient_checkpointing
    model.gradient_checkpointing_enable()
    assert model.is_gradient_checkpointing
    calls = []
    group = model.get_submodule("encoder" if model.prefix else "albert.encoder").albert_layer_groups[0]
    group.register_forward_pre_hook(lambda *_: calls.append(1))
    assert_all_near(gradients_of(model, inputs), expected)
    assert len(calls) == 2 * 3  # each of the group's three layers, forward and again
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing
    assert_all_near(gradients_of(model, inputs), expected)
    assert len(calls) == 3 * 3


def test_recomputed_layers_keep_little(make_model, make_batch):
    config = tiny_config()
    model, inputs = make_model(config), make_batch(config).padded
    everything = count_saved(model, inputs)
    model.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": True})
    assert count_saved(model, inputs) < everything / 3
    with torch.no_grad():
        assert model(**inputs).loss is not None
    assert len(model(**inputs, output_attentions=True).attentions) == 12


def test_what_recomputation_cannot_do_is_refused(make_model):
    model = make_model(tiny_config())
    with pytest.raises(InputError, match="without reentrant autograd"):
        model.gradient_checkpointing_enable({"use_reentrant": True})
    with pytest.raises(InputError, match=r"may hold context_fn, .* received reentrant"):
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"reentrant": False})
    assert not model.is_gradient_checkpointing


def test_attention_eager_and_fused(tmp_path, make_model, make_batch, assert_near, monkeypatch):
    config = tiny_config()
    inputs = make_batch(config).padded
    make_model(config).save_pretrained(tmp_path)
    calls = []
    fused = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or fused(*a, **k))
    for name, times in (("eager", 0), ("sdpa", 12)):
        calls.clear()
        model = AlbertForPreTraining.from_pretrained(tmp_path, attn_implementation=name)
        assert model.attn_implementation == name
        assert_near(model(**inputs).sop_logits, make_model(config)(**inputs).sop_logits)
        assert len(calls) == times + 12  # those of the model beside it
    model.set_attn_implementation("eager")
    assert model.albert.attn_implementation == "eager"
    for call in (
        lambda: model.set_attn_implementation("flash_attention_2"),
        lambda: AlbertModel.from_pretrained(tmp_path, attn_implementation="flash_attention_2"),
    ):
        with pytest.raises(InputError, match="must be eager or sdpa; received 'flash_attention_2'"):
            call()
