"""Ten faults of the best-known implementation (transformers 5.23), each shown right here."""

from __future__ import annotations

import inspect
import typing

import pytest
import torch

from albertkit import AlbertConfig
from albertkit.errors import ConfigError, InputError
from albertkit.models import torch as models
from albertkit.models.torch import (
    AlbertForMultipleChoice,
    AlbertForPreTraining,
    AlbertForQuestionAnswering,
    AlbertForSequenceClassification,
    AlbertModel,
)
from albertkit.testing import tiny_config, tiny_tokenizer

IDS = torch.tensor([[2, 7, 9, 3], [2, 11, 5, 3]])


def test_1_dropout_after_the_feed_forward_network_is_applied():
    model, dropped = AlbertModel(tiny_config(hidden_dropout_prob=0.5)).train(), []
    layer = model.encoder.albert_layer_groups[0].albert_layers[0]
    layer.dropout.register_forward_hook(lambda _, inputs, output: dropped.append(not torch.equal(inputs[0], output)))
    model(IDS)
    assert dropped == [True] * 3  # the group's three layers


@pytest.mark.parametrize("label", [{"labels": IDS}, {"sentence_order_label": torch.tensor([0, 1])}])
def test_2_one_label_alone_gives_its_loss(label):
    assert AlbertForPreTraining(tiny_config()).eval()(IDS, **label).loss > 0


@pytest.mark.parametrize("num_labels", [1, 3, 4])
def test_3_the_sentence_order_head_has_two_outputs(num_labels):
    model = AlbertForPreTraining(tiny_config(num_labels=num_labels)).eval()
    output = model(IDS, labels=IDS, sentence_order_label=torch.tensor([0, 1]))
    assert output.sop_logits.shape == (2, 2)
    assert output.loss > 0


@pytest.mark.parametrize("num_labels", [1, 4])
def test_4_the_question_answering_head_has_two_outputs(num_labels):
    model = AlbertForQuestionAnswering(tiny_config(num_labels=num_labels)).eval()
    output = model(IDS, start_positions=torch.tensor([1, 2]), end_positions=torch.tensor([2, 2]))
    assert output.start_logits.shape == output.end_logits.shape == (2, 4)
    assert output.loss > 0


def test_5_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ConfigError, match="hidden_size must be a multiple of num_attention_heads; received hidden_size=30"):
        AlbertConfig(hidden_size=30, num_attention_heads=4)


def test_6_a_misspelt_argument_is_an_error(kind):
    with pytest.raises(TypeError, match="atention_mask"):
        kind(tiny_config())(IDS, atention_mask=torch.ones(2, 4))
    assert not any(item.kind is item.VAR_KEYWORD for item in inspect.signature(kind.forward).parameters.values())


def test_7_a_long_text_is_refused_by_the_name_of_its_limit(kind):
    shape = (1, 2, 600) if kind is AlbertForMultipleChoice else (1, 600)
    with pytest.raises(InputError, match=r"max_position_embeddings=512 tokens; received 600 tokens; .*truncation=True"):
        kind(tiny_config(max_position_embeddings=512))(torch.ones(shape, dtype=torch.long))


def test_8_use_never_changes_the_configuration(kind, make_any, make_inputs):
    config = tiny_config()
    before = config.to_dict()
    model = make_any(kind, config)
    model(**make_inputs(kind, config))
    assert model.config is config
    assert config.to_dict() == before
    assert config.problem_type is None
    if kind is AlbertForSequenceClassification:  # whole numbers first: floating ones still mean several labels at once
        assert model(IDS, labels=torch.rand(2, 2)).loss > 0


def test_9_a_pair_has_its_token_types():
    encoded = tiny_tokenizer()("the cat", "a dog")
    types = encoded["token_type_ids"]
    assert sorted(set(types)) == [0, 1]
    assert types == sorted(types)
    assert types.count(1) == len(tiny_tokenizer().tokenize("a dog")) + 1  # with its [SEP]


def test_10_annotations_and_texts_say_what_a_forward_returns(kind):
    expected = {
        "AlbertModel": "BaseModelOutputWithPooling",
        "AlbertForMaskedLM": "MaskedLMOutput",
        "AlbertForPreTraining": "AlbertForPreTrainingOutput",
        "AlbertForSequenceClassification": "SequenceClassifierOutput",
        "AlbertForMultipleChoice": "MultipleChoiceModelOutput",
        "AlbertForTokenClassification": "TokenClassifierOutput",
        "AlbertForQuestionAnswering": "QuestionAnsweringModelOutput",
        "AlbertForQuestionAnsweringWithAnswerability": "QuestionAnsweringWithAnswerabilityOutput",
    }[kind.__name__]
    returned = kind.forward.__annotations__["return"]
    first = returned.split(" | ")[0] if isinstance(returned, str) else typing.get_args(returned)[0].__name__
    assert first == expected
    ids = IDS[None] if kind is AlbertForMultipleChoice else IDS
    assert type(kind(tiny_config()).eval()(ids)).__name__ == expected
    for text in (inspect.getdoc(kind), inspect.getdoc(kind.forward), inspect.getdoc(inspect.getmodule(kind)), models.__doc__):
        assert "next sentence prediction" not in text.lower()
