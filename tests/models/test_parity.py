"""The same weights in transformers and here: values and gradients at real positions, with real masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from albertkit.config import AlbertConfig
from albertkit.models.torch import AlbertForMaskedLM, AlbertForPreTraining, AlbertModel
from albertkit.testing import random_parameters, tiny_config


def make_peer(config: AlbertConfig, attention: str = "eager", scale: float = 1.0) -> transformers.AlbertForPreTraining:
    values = {name: value for name, value in config.to_dict().items() if name != "model_type"}
    peer = transformers.AlbertForPreTraining(transformers.AlbertConfig(**values, attn_implementation=attention))
    state = {name: torch.from_numpy(value * np.float32(scale)) for name, value in random_parameters(config).items()}
    absent = peer.load_state_dict(state, strict=False)
    assert set(absent.missing_keys) <= {"predictions.decoder.weight", "predictions.decoder.bias"}
    assert not absent.unexpected_keys
    peer.tie_weights()
    return peer.eval()


def compare(config, batch, make_model, assert_near, attention="eager", scale=1.0):
    ours, peer = make_model(config, scale), make_peer(config, attention, scale)
    received, expected = ours(**batch.padded), peer(**batch.padded)
    assert abs(received.loss.item() - expected.loss.item()) < 5e-6
    assert_near(received.prediction_logits[batch.real], expected.prediction_logits[batch.real], "prediction_logits")
    assert_near(received.sop_logits, expected.sop_logits, "sop_logits")
    received.loss.backward()
    expected.loss.backward()
    gradients = dict(peer.named_parameters())
    for name, parameter in ours.named_parameters():
        assert_near(parameter.grad, gradients[name].grad, name)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_tiny_forward_and_gradients(attention, activation, make_batch, make_model, assert_near):
    config = tiny_config(hidden_act=activation)
    compare(config, make_batch(config), make_model, assert_near, attention)


@pytest.mark.slow
def test_base_size_forward_and_gradients(make_batch, make_model, assert_near):
    config = AlbertConfig.published("albert-base-v2").replace(vocab_size=1009)
    # A deviation of 0.04, about that of trained weights: the tiny model's 0.2 would saturate attention at this width.
    compare(config, make_batch(config, (7, 29, 16)), make_model, assert_near, scale=0.2)


def test_hidden_states_and_attentions_of_one_inner_layer(make_batch, make_model, assert_near):
    config = tiny_config(inner_group_num=1)
    batch = make_batch(config)
    wanted = {"output_hidden_states": True, "output_attentions": True}
    received, expected = make_model(config)(**batch.padded, **wanted), make_peer(config)(**batch.padded, **wanted)
    for name in ("hidden_states", "attentions"):
        assert len(received[name]) == len(expected[name])
    for ours, theirs in zip(received.hidden_states, expected.hidden_states, strict=True):
        assert_near(ours[batch.real], theirs[batch.real])
    queries = batch.real[:, None, :, None]
    for ours, theirs in zip(received.attentions, expected.attentions, strict=True):
        assert_near(ours * queries, theirs * queries)


def test_pooled_output_positions_and_embeddings_given(make_batch, make_model, assert_near):
    config = tiny_config()
    batch = make_batch(config)
    ours, peer = make_model(config).albert, make_peer(config).albert
    words = torch.randn(*batch.input_ids.shape, config.embedding_size)
    positions = torch.arange(batch.input_ids.shape[1]).flip(0)[None]
    given = {"attention_mask": batch.attention_mask, "inputs_embeds": words, "position_ids": positions}
    received, expected = ours(**given), peer(**given)
    assert_near(received.pooler_output, expected.pooler_output)
    assert_near(received.last_hidden_state[batch.real], expected.last_hidden_state[batch.real])


@pytest.mark.parametrize(
    ("kind", "peer_kind"),
    [
        (AlbertModel, transformers.AlbertModel),
        (AlbertForMaskedLM, transformers.AlbertForMaskedLM),
        (AlbertForPreTraining, transformers.AlbertForPreTraining),
    ],
)
def test_each_opens_what_the_other_saved(kind, peer_kind, tmp_path, make_batch, assert_near):
    config = tiny_config()
    batch = make_batch(config)
    inputs = {name: batch.padded[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(tmp_path / "ours")
    peer = peer_kind.from_pretrained(tmp_path / "ours").eval()
    assert_near(peer(**inputs)[0][batch.real], model(**inputs)[0][batch.real])
    peer.save_pretrained(tmp_path / "theirs")
    again = kind.from_pretrained(tmp_path / "theirs")
    for name, parameter in again.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name)), name
