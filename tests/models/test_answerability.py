"""Google's head for questions that may have no answer, against its definition in loops and the same layers in transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import XLNetConfig
from transformers.models.xlnet import modeling_xlnet as peer

from albertkit.errors import InputError
from albertkit.models.torch import AlbertForQuestionAnsweringWithAnswerability as Model
from albertkit.testing import tiny_config


@pytest.fixture
def model(make_any):
    return make_any(Model, tiny_config())


@pytest.fixture
def inputs(make_inputs):
    given = make_inputs(Model, tiny_config())
    p_mask = torch.zeros_like(given["input_ids"])
    p_mask[:, 1:3] = 1  # the question
    given["start_positions"] = given["start_positions"].masked_fill(given["start_positions"] < 3, 0)
    given["end_positions"] = given["end_positions"].masked_fill(given["end_positions"] < 3, 0)
    return given | {"p_mask": p_mask}


def without_labels(inputs):
    return {name: inputs[name] for name in ("input_ids", "attention_mask", "token_type_ids", "p_mask")}


def by_definition(parameters, hidden, allowed, widths=(5, 5)):
    """One sequence's beam and answer class, a pair of tokens at a time, in float64."""

    def dense(name, x):
        return parameters[f"{name}.weight"] @ x + parameters.get(f"{name}.bias", 0.0)

    def score_end(token, start):
        x = np.tanh(dense("end_logits.dense_0", np.concatenate([token, start])))
        x = (x - x.mean()) / np.sqrt(x.var() + 1e-12)
        return dense(
            "end_logits.dense_1", x * parameters["end_logits.LayerNorm.weight"] + parameters["end_logits.LayerNorm.bias"]
        )[0]

    def log_softmax(scores):
        scores = np.where(allowed, scores, -1e30)
        return scores - scores.max() - np.log(np.exp(scores - scores.max()).sum())

    starts = log_softmax(np.array([dense("start_logits.dense", token)[0] for token in hidden]))
    beam = []
    for start in np.argsort(-starts)[: widths[0]]:
        ends = log_softmax(np.array([score_end(token, hidden[start]) for token in hidden]))
        best = np.argsort(-ends)[: widths[1]]
        beam.append((start, starts[start], best, ends[best]))
    both = np.concatenate([np.exp(starts) @ hidden, hidden[0]])
    return beam, dense("answer_class.dense_1", np.tanh(dense("answer_class.dense_0", both)))[0]


def test_the_beam_by_its_definition(model, inputs, assert_near):
    given = without_labels(inputs)
    with torch.no_grad():
        output = model(**given, output_hidden_states=True)
    assert output.start_top_index.shape == (6, 5)
    assert output.end_top_index.shape == (6, 5, 5)
    parameters = {name: parameter.detach().double().numpy() for name, parameter in model.named_parameters()}
    for row, length in enumerate(given["attention_mask"].sum(1).tolist()):
        hidden = output.hidden_states[-1][row, :length].double().numpy()
        beam, no_answer = by_definition(parameters, hidden, given["p_mask"][row, :length].numpy() == 0)
        assert abs(output.cls_logits[row].item() - no_answer) < 1e-5 * (1 + abs(no_answer))
        allowed = length - min(max(length - 1, 0), 2)
        for place, (start, log_prob, ends, end_log_probs) in list(enumerate(beam))[: min(allowed, 5)]:
            assert output.start_top_index[row, place] == start
            assert_near(output.start_top_log_probs[row, place], torch.tensor(log_prob).float())
            count = min(allowed, 5)
            assert output.end_top_index[row, place, :count].tolist() == ends[:count].tolist()
            assert_near(output.end_top_log_probs[row, place, :count], torch.from_numpy(end_log_probs[:count]).float())
        assert (output.start_top_log_probs[row, allowed:] < -1e29).all()


def test_the_same_layers_in_transformers(model, inputs, assert_near):
    config = XLNetConfig(d_model=15, n_head=3, layer_norm_eps=1e-12)
    start, end, answer = (
        peer.XLNetPoolerStartLogits(config),
        peer.XLNetPoolerEndLogits(config),
        peer.XLNetPoolerAnswerClass(config),
    )
    for ours, theirs in ((model.start_logits, start), (model.end_logits, end), (model.answer_class, answer)):
        theirs.load_state_dict(ours.state_dict())
    given = without_labels(inputs)
    hidden = model(**given, output_hidden_states=True).hidden_states[-1]
    barred = ((given["p_mask"] == 1) | (given["attention_mask"] == 0)).float()
    starts, ends, none = inputs["start_positions"], inputs["end_positions"], inputs["is_impossible"].float()
    first = torch.zeros(6, dtype=torch.long)
    start_scores = start(hidden, p_mask=barred)
    likely = torch.einsum("bl,blh->bh", start_scores.softmax(-1), hidden)
    cls_logits = answer(hidden, start_states=likely, cls_index=first)
    spans = F.cross_entropy(start_scores, starts) + F.cross_entropy(end(hidden, start_positions=starts, p_mask=barred), ends)
    expected = spans / 2 + F.binary_cross_entropy_with_logits(cls_logits, none) / 2
    received = model(**inputs)
    assert received.keys() == ["loss", "cls_logits"]
    assert_near(received.cls_logits, cls_logits)
    assert abs(received.loss.item() - expected.item()) < 5e-6
    names = [name for name, _ in model.named_parameters()]
    expected_gradients = torch.autograd.grad(expected, [p for module in (start, end, answer) for p in module.parameters()])
    heads = [p for name, p in model.named_parameters() if not name.startswith("albert.")]
    assert len(heads) == len(expected_gradients) < len(names)
    for ours, theirs in zip(torch.autograd.grad(received.loss, heads), expected_gradients, strict=True):
        assert_near(ours, theirs)


def test_each_label_gives_its_own_part_of_the_loss(model, inputs):
    whole = model(**inputs).loss
    given = without_labels(inputs)
    spans = model(**given, start_positions=inputs["start_positions"], end_positions=inputs["end_positions"]).loss
    alone = model(**given, is_impossible=inputs["is_impossible"])
    assert torch.allclose(whole, spans + alone.loss)
    assert "start_top_index" in alone  # positions alone take the place of the beam
    columns = {name: inputs[name][:, None] for name in ("start_positions", "end_positions", "is_impossible")}
    assert torch.equal(model(**given, **columns).loss, whole)
    for labels in (inputs["is_impossible"].bool(), inputs["is_impossible"].double()):
        assert torch.equal(model(**given, is_impossible=labels).loss, alone.loss)
    cut = model(**inputs | {"start_positions": torch.full((6,), 99), "end_positions": torch.full((6,), 99)}).loss
    assert torch.allclose(cut, alone.loss)


def test_the_beam_is_as_wide_as_asked_for_and_never_wider_than_the_text(model, inputs):
    given = without_labels(inputs)
    wide, narrow = model(**given, num_starts=7, num_ends=2), model(**given, num_starts=1, num_ends=1)
    assert wide.end_top_log_probs.shape == (6, 7, 2)
    assert torch.equal(narrow.end_top_index, wide.end_top_index[:, :1, :1])
    assert model(torch.tensor([[2, 7, 3]])).end_top_index.shape == (1, 3, 3)


def test_dropout_stands_in_the_answer_class_alone(make_any, inputs):
    model = make_any(Model, tiny_config(classifier_dropout_prob=0.5)).train()
    given = without_labels(inputs)
    first, second = model(**given), model(**given)
    assert not torch.equal(first.cls_logits, second.cls_logits)
    assert torch.equal(first.end_top_log_probs, second.end_top_log_probs)


def test_what_cannot_be_right_is_refused(model, inputs):
    for changes, message in [
        ({"p_mask": inputs["p_mask"][:, 1:]}, r"p_mask must have the shape \(6, 19\)"),
        ({"is_impossible": torch.full((6,), 2)}, "is_impossible must be from 0, a no, to 1, a yes; received 2"),
        ({"is_impossible": torch.zeros(5)}, r"is_impossible must have the shape \(6,\)"),
        ({"end_positions": None}, "received no end_positions"),
        ({"start_positions": None, "end_positions": None, "num_ends": 0}, "at least 1; received 5 and 0"),
    ]:
        with pytest.raises(InputError, match=message):
            model(**inputs | changes)
    with pytest.raises(TypeError, match="cu_seqlens"):
        model(inputs["input_ids"].flatten(), cu_seqlens=torch.tensor([0, 114]))
