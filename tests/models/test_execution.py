"""How a model is computed: recomputed layers and the kinds of attention change memory and speed, never numbers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from albertkit.errors import InputError
from albertkit.models.torch import AlbertForPreTraining, AlbertModel, attention, packing
from albertkit.models.torch.attention import AlbertAttention
from albertkit.models.torch.packing import Packed
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


# ---------------------------------------------------------------- variable-length attention, which only GPUs have


def attend_one_by_one(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k):
    """What ``torch.nn.attention.varlen.varlen_attn`` computes, by its documentation, in the open."""
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert max_q == max_k == max(cu_seq_q.diff())
    parts = []
    for first, last in pairwise(cu_seq_q.tolist()):
        scores = torch.einsum("qnd,knd->nqk", query[first:last], key[first:last]) / query.shape[-1] ** 0.5
        parts.append(torch.einsum("nqk,knd->qnd", scores.softmax(-1), value[first:last]))
    return torch.cat(parts)


@pytest.fixture
def varlen(monkeypatch):
    """Gives the CPU a stand-in, for any numbers; the list grows by one with each call."""
    calls = []
    monkeypatch.setattr(packing, "_find_varlen", lambda device: lambda *a: calls.append(1) or attend_one_by_one(*a))
    monkeypatch.setattr(attention, "_suits_flash", lambda query: True)
    return calls


@pytest.mark.parametrize("lengths", [(13, 5, 19, 5, 1, 7), (7, 7, 7), (4,), (5, 5, 9)])
def test_one_call_for_all_lengths_gives_the_same(lengths, make_model, make_batch, assert_all_near, varlen, monkeypatch):
    config = tiny_config()
    model, inputs = make_model(config).train(), make_batch(config, lengths).packed
    received = gradients_of(model, inputs)
    with torch.no_grad():
        hidden = dict(model.albert(inputs["input_ids"], cu_seqlens=inputs["cu_seqlens"]))
    assert len(varlen) == 2 * 12
    monkeypatch.setattr(packing, "_find_varlen", lambda device: None)
    assert_all_near(received, gradients_of(model, inputs))
    with torch.no_grad():
        assert_all_near(hidden, dict(model.albert(inputs["input_ids"], cu_seqlens=inputs["cu_seqlens"])))
    assert len(varlen) == 2 * 12


def test_what_the_one_call_lacks_is_done_in_blocks(make_model, make_batch, varlen):
    inputs = make_batch(tiny_config()).packed
    for changes, options in [
        ({"attention_probs_dropout_prob": 0.1}, {}),
        ({"position_embedding_type": "relative_key"}, {}),
        ({}, {"head_mask": torch.ones(tiny_config().num_attention_heads)}),
    ]:
        make_model(tiny_config(**changes)).train()(**inputs, **options)
        assert not varlen, changes
    eager = make_model(tiny_config())
    eager.set_attn_implementation("eager")
    eager(**inputs)
    assert not varlen
    make_model(tiny_config(attention_probs_dropout_prob=0.1))(**inputs)  # not training
    assert len(varlen) == 12


@pytest.mark.parametrize(
    ("dtype", "heads", "capability", "runs"),
    [
        (torch.bfloat16, 4, (9, 0), True),
        (torch.float16, 4, (8, 0), True),
        (torch.float32, 4, (9, 0), False),
        (torch.float16, 4, (7, 5), False),
        (torch.bfloat16, 8, (9, 0), False),  # heads of 4
    ],
)
@pytest.mark.slow
def test_pytorchs_own_takes_what_it_is_given(monkeypatch, dtype, heads, capability, runs):
    """No GPU is needed: fake tensors have devices, types and shapes, and PyTorch's rules on them, but no numbers."""
    from torch.nn.attention import varlen

    calls, varlen_attn = [], varlen.varlen_attn
    monkeypatch.setattr(varlen, "varlen_attn", lambda *a: calls.append(1) or varlen_attn(*a))
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    module = AlbertAttention(tiny_config(hidden_size=32, num_attention_heads=heads))
    layout = Packed.from_cu_seqlens(torch.tensor([0, 3, 5, 10]), 10, torch.device("cpu"))
    found = packing._find_varlen.__wrapped__(torch.device("cuda:0"))
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        layout = replace(layout, cu_seqlens=torch.empty_like(layout.cu_seqlens, device="cuda:0"), varlen=found)
        for part in module.modules():
            for name, parameter in part.named_parameters(recurse=False):
                fake = torch.empty(parameter.shape, device="cuda:0", dtype=dtype)
                setattr(part, name, torch.nn.Parameter(fake, requires_grad=False))
        output, _ = module(torch.empty(10, 32, device="cuda:0", dtype=dtype), layout)
    assert (output.shape, output.dtype, output.device) == ((10, 32), dtype, torch.device("cuda:0"))
    assert len(calls) == runs


def test_a_step_never_waits_for_the_device(make_model, make_batch):
    """A tensor on the meta device has no numbers, so any look at them is an error."""
    config = tiny_config()
    batch, device = make_batch(config).packed, torch.device("meta")
    on_cpu = ("labels", "cu_seqlens")
    inputs = {name: tensor if name in on_cpu else tensor.to(device) for name, tensor in batch.items()}
    model = make_model(config).to(device).train()
    output = model(**inputs)
    assert output.prediction_logits.shape == (int((batch["labels"] >= 0).sum()), config.vocab_size)
    output.loss.backward()
    assert all(parameter.grad.device == device for parameter in model.parameters())


def test_what_goes_to_a_gpu_goes_through_pinned_memory(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    with FakeTensorMode():
        cpu, gpu = torch.device("cpu"), torch.device("cuda:0")
        tensor = torch.arange(3)
        assert packing.send(tensor, cpu) is tensor
        moved = packing.send(tensor, gpu)
        assert packing.send(moved, gpu) is moved
    assert (moved.device, len(pinned)) == (gpu, 1)
