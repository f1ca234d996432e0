"""The models of single tasks: labels, losses, shapes, precision, and refusals in one sentence."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from albertkit.errors import InputError
from albertkit.models.torch import (
    AlbertForMultipleChoice,
    AlbertForQuestionAnswering,
    AlbertForQuestionAnsweringWithAnswerability,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
    AlbertModel,
)
from albertkit.models.torch.losses import mean_cross_entropy
from albertkit.testing import tiny_config

FLOATS = (torch.float16, torch.bfloat16)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_half_precision(kind, layout, dtype, make_any, make_inputs):
    if layout == "packed" and kind is AlbertForQuestionAnsweringWithAnswerability:
        pytest.skip("padded batches only")
    inputs = make_inputs(kind, tiny_config(), layout)
    expected, half = make_any(kind, tiny_config())(**inputs), make_any(kind, tiny_config()).to(dtype)(**inputs)
    for name, values in half.items():
        assert values.isfinite().all(), name
        assert values.dtype == (torch.float32 if name == "loss" else dtype), name
    if kind is not AlbertModel:
        assert abs(half.loss - expected.loss) < 0.05 * expected.loss
    assert half.keys() == expected.keys()


def test_tuples_hold_what_the_outputs_hold(kind, make_any, make_inputs):
    inputs, model = make_inputs(kind, tiny_config()), make_any(kind, tiny_config())
    output, plain = model(**inputs), model(**inputs, return_dict=False)
    assert type(plain) is tuple
    assert len(plain) == len(output)
    assert all(torch.equal(value, named) for value, named in zip(plain, output.values(), strict=True))
    states = model(**inputs, output_hidden_states=True, output_attentions=True)
    assert (len(states.hidden_states), len(states.attentions)) == (7, 12)


def test_head_masks_reach_every_class(kind, make_any, make_inputs, flatten_output, assert_all_near):
    inputs, model = make_inputs(kind, tiny_config()), make_any(kind, tiny_config())
    plain = flatten_output(model(**inputs))
    assert_all_near(flatten_output(model(**inputs, head_mask=torch.ones(6, 3))), plain)
    silenced = flatten_output(model(**inputs, head_mask=torch.tensor([1.0, 0.0, 1.0])))
    assert all(not torch.allclose(silenced[name], value) for name, value in plain.items() if name == "loss")


def test_dropout_stands_before_the_classifier(make_any, make_inputs):
    config = tiny_config(classifier_dropout_prob=0.5)
    for kind in (AlbertForSequenceClassification, AlbertForMultipleChoice, AlbertForTokenClassification):
        inputs, model = make_inputs(kind, config, labelled=False), make_any(kind, config).train()
        assert not torch.equal(model(**inputs).logits, model(**inputs).logits), kind
        assert torch.equal(model.eval()(**inputs).logits, model(**inputs).logits), kind


def test_the_problem_is_that_of_each_call_and_the_configuration_stays(make_any, make_inputs):
    config = tiny_config(num_labels=3)
    inputs, model = make_inputs(AlbertForSequenceClassification, config), make_any(AlbertForSequenceClassification, config)
    logits = model(**inputs).logits
    classes, decisions = torch.tensor([0, 1, 2, 0, 1, 2]), torch.randint(0, 2, (6, 3))
    assert torch.allclose(model(**inputs | {"labels": classes}).loss, F.cross_entropy(logits, classes))
    assert torch.allclose(model(**inputs | {"labels": classes.int()[:, None]}).loss, F.cross_entropy(logits, classes))
    expected = F.binary_cross_entropy_with_logits(logits, decisions.float())
    for labels in (decisions.float(), decisions.bool(), decisions.double()):
        assert torch.allclose(model(**inputs | {"labels": labels}).loss, expected)
    assert model.config is config
    assert config.problem_type is None
    model = make_any(AlbertForSequenceClassification, tiny_config(num_labels=3, problem_type="multi_label_classification"))
    assert torch.allclose(
        model(**inputs | {"labels": decisions}).loss, expected
    )  # whole numbers, where the configuration says so
    config = tiny_config(num_labels=1)
    model = make_any(AlbertForSequenceClassification, config)
    values = torch.randn(6)
    for labels in (values, values[:, None]):
        loss = model(**inputs | {"labels": labels}).loss
        assert torch.allclose(loss, F.mse_loss(model(**inputs | {"labels": None}).logits[:, 0], values))


def test_span_losses_of_a_packed_batch_know_no_padding(make_any, make_inputs):
    config = tiny_config()
    model = make_any(AlbertForQuestionAnswering, config)
    padded, packed = (make_inputs(AlbertForQuestionAnswering, config, layout, lengths=(4, 9)) for layout in ("padded", "packed"))
    assert model(**padded).loss != model(**packed).loss
    beyond = torch.tensor([4, 7])  # 4 is padding of the first sequence
    expected = model(**packed | {"start_positions": beyond, "end_positions": beyond}).loss
    alone = {name: packed[name][4:] for name in ("input_ids", "token_type_ids")}
    output = model(**alone, cu_seqlens=torch.tensor([0, 9]))
    losses = [F.cross_entropy(logits[None], beyond[1:]) for logits in (output.start_logits, output.end_logits)]
    assert torch.allclose(expected, sum(losses) / 2)


def test_losses_of_nothing_are_zero():
    logits = torch.randn(3, 4, requires_grad=True)
    loss = mean_cross_entropy(logits, torch.full((3,), -100))
    loss.backward()
    assert loss.item() == 0.0
    assert not logits.grad.any()


def test_choices_given_as_embeddings_and_with_shared_positions(make_any, make_inputs, assert_near):
    config = tiny_config()
    inputs, model = make_inputs(AlbertForMultipleChoice, config), make_any(AlbertForMultipleChoice, config)
    expected = model(**inputs).logits
    assert expected.shape == (2, 3)
    words = model.get_input_embeddings()(inputs.pop("input_ids"))
    assert words.shape == (2, 3, 19, 7)
    assert_near(model(inputs_embeds=words, position_ids=torch.arange(19), num_choices=3, **inputs).logits, expected)


@pytest.mark.parametrize("position_type", ["relative_key", "relative_key_query"])
def test_relative_positions_in_every_class(kind, position_type, make_any, make_inputs):
    config = tiny_config(position_embedding_type=position_type)
    inputs = make_inputs(kind, config, labelled=False)
    plain = make_any(kind, tiny_config())(**inputs)[0]
    assert not torch.allclose(make_any(kind, config)(**inputs)[0], plain)


def test_what_cannot_be_right_is_refused_in_one_sentence(make_any, make_inputs):
    config = tiny_config(num_labels=3)
    ids = torch.ones(2, 5, dtype=torch.long)
    packed = {"input_ids": ids.flatten(), "cu_seqlens": torch.tensor([0, 5, 10])}
    for kind, inputs, message in [
        (AlbertForSequenceClassification, {"labels": torch.tensor([0, 3])}, "labels must be from 0 to 2, or -100 .* received 3"),
        (AlbertForSequenceClassification, {"labels": torch.tensor([0])}, r"labels must have the shape \(2,\)"),
        (AlbertForSequenceClassification, {"labels": torch.ones(2, 3).long()}, r"shape \[batch\]; .*labels\.float"),
        (AlbertForSequenceClassification, {"labels": torch.tensor([0.0, 1.0])}, r"labels must have the shape \(2, 3\)"),
        (AlbertForSequenceClassification, {"labels": torch.full((2, 3), -100.0)}, "from 0, a no, to 1, a yes; received -100"),
        (AlbertForTokenClassification, {"labels": torch.tensor([0, 1])}, r"labels must have the shape \(2, 5\)"),
        (AlbertForTokenClassification, {"labels": ids + 2}, "labels must be from 0 to 2"),
        (AlbertForTokenClassification, {"labels": ids.float()}, r"labels must be whole numbers.*labels\.long\(\)"),
        (AlbertForMultipleChoice, {}, r"input_ids of multiple choice must have the shape \[batch, choices, sequence\]"),
        (AlbertForMultipleChoice, {"input_ids": None, "inputs_embeds": torch.ones(2, 5, 7)}, "inputs_embeds of multiple choice"),
        (AlbertForMultipleChoice, {"input_ids": ids[None], "num_choices": 3}, "second size of input_ids, 2; received 3"),
        (AlbertForMultipleChoice, {"input_ids": ids[None], "labels": torch.tensor([2])}, "labels must be from 0 to 1"),
        (AlbertForMultipleChoice, {"input_ids": ids[None], "attention_mask": ids}, None),
        (
            AlbertForMultipleChoice,
            {"input_ids": ids[None], "attention_mask": ids[None, :1]},
            "attention_mask must have the shape",
        ),
        (AlbertForMultipleChoice, {"input_ids": None}, "exactly one of input_ids and inputs_embeds"),
        (AlbertForMultipleChoice, packed, "num_choices=None and 2 sequences"),
        (AlbertForMultipleChoice, packed | {"num_choices": 3}, "num_choices=3 and 2 sequences"),
        (AlbertForMultipleChoice, packed | {"num_choices": 0}, "num_choices=0 and 2 sequences"),
        (AlbertForQuestionAnswering, {"start_positions": ids[:, 0]}, "give both .* received no end_positions"),
        (AlbertForQuestionAnswering, {"end_positions": ids[:, 0]}, "received no start_positions"),
        (
            AlbertForQuestionAnswering,
            {"start_positions": ids[:, 0], "end_positions": ids[:1, 0]},
            "end_positions must have the shape",
        ),
        (
            AlbertForQuestionAnswering,
            {"start_positions": ids[:, 0] / 2, "end_positions": ids[:, 0]},
            "start_positions must be whole",
        ),
        (AlbertForQuestionAnswering, {"start_positions": ids, "end_positions": ids}, "start_positions must have the shape"),
    ]:
        model = make_any(kind, config)
        if message is None:
            assert model(**{"input_ids": ids} | inputs).logits.shape == (1, 2)  # the mask of both sequences, as they will lie
            continue
        with pytest.raises(InputError, match=message):
            model(**{"input_ids": ids} | inputs)


def test_a_misspelt_argument_is_an_error_in_every_class(kind, make_any, make_inputs):
    with pytest.raises(TypeError, match="atention_mask"):
        make_any(kind, tiny_config())(**make_inputs(kind, tiny_config()), atention_mask=None)


def test_new_heads_start_near_chance():
    torch.manual_seed(0)
    config = tiny_config(num_labels=4)
    ids = torch.randint(5, 101, (8, 20))
    model = AlbertForTokenClassification(config).eval()
    assert abs(model(ids, labels=ids % 4).loss.item() - math.log(4)) < 0.1
