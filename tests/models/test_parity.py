"""The same weights in transformers and here: values and gradients at real positions, with real masks, for every class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from albertkit.config import AlbertConfig
from albertkit.models.torch import AlbertForPreTraining, AlbertForSequenceClassification, AlbertModel
from albertkit.testing import random_parameters, tiny_config


@pytest.fixture
def shared_kind(kind):
    """Each class that transformers has too."""
    if not hasattr(transformers, kind.__name__):
        pytest.skip("transformers has no such class")
    return kind


def make_peer(kind, config: AlbertConfig, attention: str = "eager", scale: float = 1.0) -> transformers.PreTrainedModel:
    values = {name: value for name, value in config.to_dict().items() if name != "model_type"}
    peer = getattr(transformers, kind.__name__)(transformers.AlbertConfig(**values, attn_implementation=attention))
    with torch.device("meta"):
        ours = kind(config)
    state = {
        name.removeprefix(ours.prefix): torch.from_numpy(value * np.float32(scale))
        for name, value in random_parameters(config, ours.heads).items()
    }
    absent = peer.load_state_dict(state, strict=False)
    assert set(absent.missing_keys) <= {"predictions.decoder.weight", "predictions.decoder.bias"}
    assert not absent.unexpected_keys
    peer.tie_weights()
    return peer.eval()


def total(output: object, mask: torch.Tensor) -> torch.Tensor:
    """The loss; of the bare encoder, which has none, a sum over what is real."""
    if output.get("loss") is not None:
        return output.loss
    return output.last_hidden_state[mask].square().sum() / 100 + output.pooler_output.sum()


@pytest.fixture
def compare(make_any, make_inputs, flatten_output, assert_near, assert_all_near):
    def check(kind, config, attention="eager", scale=1.0, labels=None, **options):
        inputs = make_inputs(kind, config, **options) | ({} if labels is None else {"labels": labels})
        mask = inputs["attention_mask"].flatten(0, -2) == 1
        ours, peer = make_any(kind, config, scale), make_peer(kind, config, attention, scale)
        received, expected = ours(**inputs), peer(**inputs)
        if "loss" in expected:
            assert abs(received.loss.item() - expected.loss.item()) < 5e-6
        assert_all_near(flatten_output(received, mask), flatten_output(expected, mask))
        total(received, mask).backward()
        total(expected, mask).backward()
        gradients = dict(peer.named_parameters())
        for name, parameter in ours.named_parameters():
            assert_near(parameter.grad, gradients[name].grad, name)

    return check


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_tiny_forward_and_gradients(attention, activation, compare):
    compare(AlbertForPreTraining, tiny_config(hidden_act=activation), attention)


def test_every_class_forward_and_gradients(shared_kind, compare):
    compare(shared_kind, tiny_config())


@pytest.mark.slow
def test_every_class_at_base_size(shared_kind, compare):
    config = AlbertConfig.published("albert-base-v2").replace(vocab_size=1009, classifier_dropout_prob=0.0)
    # A deviation of 0.04, about that of trained weights: the tiny model's 0.2 would saturate attention at this width.
    compare(shared_kind, config, scale=0.2, lengths=(7, 29, 16))


@pytest.mark.parametrize("inner", [1, 2])
def test_every_field_without_labels_and_as_a_tuple(shared_kind, inner, make_any, make_inputs, flatten_output, assert_all_near):
    config = tiny_config(inner_group_num=inner)
    inputs = make_inputs(shared_kind, config, labelled=False)
    mask = inputs["attention_mask"].flatten(0, -2) == 1
    ours, peer = make_any(shared_kind, config), make_peer(shared_kind, config)
    wanted = {"output_hidden_states": True, "output_attentions": True}
    with torch.no_grad():
        received, expected = ours(**inputs, **wanted), peer(**inputs, **wanted)
        expected.hidden_states = expected.hidden_states[::inner]  # they have one for each inner layer, we for each layer
        assert received.keys() == list(expected.keys())
        assert_all_near(flatten_output(received, mask), flatten_output(expected, mask))
        plain = ours(**inputs, **wanted, return_dict=False)
        theirs = peer(**inputs, **wanted, return_dict=False)
    assert len(plain) == len(theirs) == len(received)
    for value, named in zip(plain, received.values(), strict=True):
        assert type(value) is type(named)
        assert isinstance(value, tuple) or torch.equal(value, named)


@pytest.mark.parametrize("problem", ["regression", "single_label_classification", "multi_label_classification"])
@pytest.mark.parametrize("classes", [1, 3])
def test_problem_types_named_and_inferred(problem, classes, compare):
    if classes == 1 and problem != "regression":
        pytest.skip("one label is a regression")
    labels = {
        "regression": torch.randn(6) if classes == 1 else torch.randn(6, 3),
        "single_label_classification": torch.tensor([0, 2, 1, -100, 2, 0]),
        "multi_label_classification": torch.randint(0, 2, (6, 3)).float(),
    }[problem]
    compare(AlbertForSequenceClassification, tiny_config(num_labels=classes, problem_type=problem), labels=labels)
    if classes == 1 or problem != "regression":  # several numbers are a regression only where the configuration says so
        compare(AlbertForSequenceClassification, tiny_config(num_labels=classes), labels=labels)


@pytest.mark.parametrize("positions", [(19, 3), (-1, 25), (18, 40)])
def test_positions_beyond_the_sequence_are_ignored(positions, make_any, make_inputs):
    from albertkit.models.torch import AlbertForQuestionAnswering as Ours

    config = tiny_config()
    inputs = make_inputs(Ours, config)
    inputs["start_positions"][2], inputs["end_positions"][3] = positions
    received, expected = make_any(Ours, config)(**inputs).loss, make_peer(Ours, config)(**inputs).loss
    assert abs(received.item() - expected.item()) < 5e-6
    columns = {name: tensor[:, None] if name.endswith("positions") else tensor for name, tensor in inputs.items()}
    assert make_any(Ours, config)(**columns).loss == received


def test_pooled_output_positions_and_embeddings_given(make_batch, make_any, assert_near):
    config = tiny_config()
    batch = make_batch(config)
    ours, peer = make_any(AlbertModel, config), make_peer(AlbertModel, config)
    words = torch.randn(*batch.input_ids.shape, config.embedding_size)
    positions = torch.arange(batch.input_ids.shape[1]).flip(0)[None]
    given = {"attention_mask": batch.attention_mask, "inputs_embeds": words, "position_ids": positions}
    received, expected = ours(**given), peer(**given)
    assert_near(received.pooler_output, expected.pooler_output)
    assert_near(received.last_hidden_state[batch.real], expected.last_hidden_state[batch.real])


def test_each_opens_what_the_other_saved(shared_kind, tmp_path, make_any, make_inputs, assert_near):
    config = tiny_config()
    inputs = make_inputs(shared_kind, config, labelled=False)
    model = make_any(shared_kind, config)
    model.save_pretrained(tmp_path / "ours")
    peer = getattr(transformers, shared_kind.__name__).from_pretrained(tmp_path / "ours").eval()
    assert peer.config.architectures == [shared_kind.__name__]
    received, expected = peer(**inputs)[0], model(**inputs)[0]
    mask = inputs["attention_mask"] == 1
    by_token = received.shape[:2] == mask.shape
    assert_near(received[mask] if by_token else received, expected[mask] if by_token else expected)
    peer.save_pretrained(tmp_path / "theirs")
    again = shared_kind.from_pretrained(tmp_path / "theirs")
    assert {name for name, _ in again.named_parameters()} == {name for name, _ in model.named_parameters()}
    for name, parameter in again.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name)), name
