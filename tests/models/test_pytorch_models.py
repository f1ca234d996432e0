"""What the PyTorch models promise: names, outputs, losses, initial values, dropout, precision, and refusals in one sentence."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils import _pytree as pytree

from albertkit.checkpoints.parameters import HEADS_OF_CLASS, list_parameters
from albertkit.errors import InputError
from albertkit.models.torch import AlbertForMaskedLM, AlbertForPreTraining, AlbertModel
from albertkit.testing import tiny_config

from .frameworks import run_refusals

RELATIVE = ("relative_key", "relative_key_query")


# ------------------------------------------------------------------ parameters


@pytest.mark.parametrize("position_type", ["absolute", *RELATIVE])
def test_parameters_are_exactly_those_of_the_contract(kind, position_type):
    config = tiny_config(position_embedding_type=position_type, num_labels=4)
    models = [(kind(config), HEADS_OF_CLASS[kind.__name__])]
    if kind is AlbertModel:
        models.append((AlbertModel(config, add_pooling_layer=False), ()))
    for model, heads in models:
        expected = {parameter.name.removeprefix(model.prefix): parameter.shape for parameter in list_parameters(config, heads)}
        assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == expected
        assert model.num_parameters() == sum(math.prod(shape) for shape in expected.values())
        assert model.get_input_embeddings().weight.shape == (config.vocab_size, config.embedding_size)
        assert all(parameter.any() for parameter in model.parameters() if parameter.dim() > 1)


@pytest.mark.parametrize("position_type", ["absolute", *RELATIVE])
def test_every_parameter_and_module_is_reached(kind, position_type, make_any, make_inputs):
    config = tiny_config(position_embedding_type=position_type, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    model, called = make_any(kind, config).train(), set()
    for name, module in model.named_modules():
        module.register_forward_hook(lambda *_, name=name: called.add(name))
    output = model(**make_inputs(kind, config))
    sum(value.square().sum() for value in output.values()).backward()
    # Held or sliced rather than called: lists of layers, and the positions, which a padded batch counts off.
    idle = {name for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList)}
    positions = "albert.embeddings.position_embeddings".removeprefix(model.prefix)
    assert {name for name, _ in model.named_modules()} - called == idle | {positions}
    cancelled = {"start_logits.dense.bias", "end_logits.dense_1.bias"}  # by the softmax: the same for every token
    unreached = {
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not (parameter.grad.any() or name in cancelled)
    }
    assert unreached == (set() if position_type == "absolute" else {f"{positions}.weight"})


def test_initial_values_by_google_and_by_hugging_face():
    sizes = {"vocab_size": 2003, "embedding_size": 64, "hidden_size": 96, "initializer_range": 0.05}
    google = AlbertForPreTraining(tiny_config(**sizes))
    other = AlbertForPreTraining(tiny_config(**sizes, training_convention="huggingface"))
    for model, share, furthest in ((google, 0.8796, 2.0), (other, 1.0, math.inf)):
        for parameter in model.contract:
            values = model.get_parameter(parameter.name) / 0.05
            if parameter.kind in ("scale", "bias"):
                assert (model.get_parameter(parameter.name) == (parameter.kind == "scale")).all(), parameter.name
                continue
            if values.numel() > 5000:  # the deviation of a normal cut at two deviations is 0.8796 of the whole one's
                assert abs(values.std().item() - share) < 0.03, parameter.name
                assert abs(values.mean().item()) < 0.05
            assert values.abs().max() <= furthest + 1e-4
    assert google.get_input_embeddings().weight[0].any()
    assert not other.get_input_embeddings().weight[0].any()
    assert other.get_input_embeddings().weight.abs().max() > 3 * 0.05


@pytest.mark.parametrize(("convention", "after_ffn", "before_order"), [("google", True, False), ("huggingface", False, True)])
def test_dropout_sites(convention, after_ffn, before_order, make_batch, make_model):
    rates = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.0, "classifier_dropout_prob": 0.4}
    config = tiny_config(**rates, training_convention=convention)
    model, dropped = make_model(config).train(), {}

    def record(name):
        def hook(module, inputs, output):
            dropped[name] = dropped.get(name, 0) + int((output != inputs[0]).any())

        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout):
            module.register_forward_hook(record(name))
    with torch.no_grad():
        model(**make_batch(config).packed)
    times = config.num_hidden_layers // config.num_hidden_groups
    for name, count in dropped.items():
        if name.endswith("attention.output_dropout"):
            assert count == times, name
        elif name.endswith("albert_layers.0.dropout") or name.endswith("albert_layers.1.dropout"):
            assert count == times * after_ffn, name
        else:
            assert count == (before_order if name == "sop_classifier.dropout" else 1), name
    assert len(dropped) == 2 + 2 * config.num_hidden_groups * config.inner_group_num


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_attention_dropout_is_applied(layout, make_batch, make_model):
    config = tiny_config(attention_probs_dropout_prob=0.5)
    inputs = getattr(make_batch(config), layout)
    model = make_model(config).train()
    with torch.no_grad():
        assert model(**inputs).loss != model(**inputs).loss
        assert model.eval()(**inputs).loss == model(**inputs).loss


# --------------------------------------------------------------------- outputs


def test_hidden_states_attentions_and_tuples(make_batch, make_model):
    config = tiny_config()
    batch, model = make_batch(config), make_model(config)
    output = model(**batch.padded, output_attentions=True, output_hidden_states=True)
    assert len(output.hidden_states) == config.num_hidden_layers + 1
    assert len(output.attentions) == config.num_hidden_layers * config.inner_group_num
    totals = output.attentions[-1].sum(-1)
    assert torch.allclose(totals, torch.ones_like(totals))
    assert not output.attentions[-1][~batch.attention_mask.bool()[:, None, None, :].expand_as(output.attentions[-1])].any()
    plain = model(**batch.padded, return_dict=False)
    assert len(plain) == 3
    assert torch.equal(plain[1], model(**batch.padded)["prediction_logits"])
    asked = AlbertModel(config.replace(output_hidden_states=True, return_dict=False))
    assert len(asked(batch.input_ids)[2]) == config.num_hidden_layers + 1


def test_outputs_are_pytrees(make_batch, make_model):
    config = tiny_config()
    output = make_model(config)(**make_batch(config).padded)
    leaves, structure = pytree.tree_flatten(output)
    assert len(leaves) == 3
    assert structure == pytree.treespec_loads(pytree.treespec_dumps(structure))
    again = pytree.tree_unflatten(leaves, structure)
    assert type(again) is type(output)
    assert again.keys() == ["loss", "prediction_logits", "sop_logits"]


def test_attentions_open_and_fused_agree(make_batch, make_model, assert_near):
    config = tiny_config()
    batch, model = make_batch(config), make_model(config)
    fused, open_ = model(**batch.padded), model(**batch.padded, output_attentions=True)
    assert_near(open_.prediction_logits[batch.real], fused.prediction_logits[batch.real])


def test_head_mask_silences_heads_layer_by_layer(make_batch, make_model, assert_near):
    config = tiny_config()
    batch, model = make_batch(config), make_model(config)
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    mask = torch.ones(config.num_hidden_layers, config.num_attention_heads)
    assert_near(model(**inputs, head_mask=mask).sop_logits, model(**inputs).sop_logits)
    mask[4, 1] = 0.0
    output = model(**inputs, head_mask=mask, output_attentions=True, output_hidden_states=True)
    plain = model(**inputs, output_hidden_states=True)
    silent = [index for index, probabilities in enumerate(output.attentions) if not probabilities[:, 1].any()]
    assert silent == [8, 9]  # layer 4 is the inner layers 8 and 9
    assert_near(output.hidden_states[4], plain.hidden_states[4])
    assert not torch.allclose(output.hidden_states[5], plain.hidden_states[5])
    every = model(**inputs, head_mask=torch.tensor([1.0, 0.0, 1.0]), output_attentions=True)
    assert not any(probabilities[:, 1].any() for probabilities in every.attentions)


@pytest.mark.parametrize("position_type", RELATIVE)
def test_relative_positions_by_their_definition(position_type, make_batch, make_model, assert_near):
    config = tiny_config(position_embedding_type=position_type)
    model = make_model(config)
    attention = model.albert.encoder.albert_layer_groups[0].albert_layers[0].attention
    ids = torch.randint(1, config.vocab_size, (1, 11))
    output = model.albert(ids, output_attentions=True, output_hidden_states=True)
    hidden = output.hidden_states[0][0]
    for head in range(config.num_attention_heads):
        part = slice(head * config.head_size, (head + 1) * config.head_size)
        query, key = attention.query(hidden)[:, part], attention.key(hidden)[:, part]
        scores = torch.empty(11, 11)
        for i in range(11):
            for j in range(11):
                between = attention.distance_embedding.weight[i - j + config.max_position_embeddings - 1]
                scores[i, j] = query[i] @ key[j] / math.sqrt(config.head_size) + query[i] @ between
                if position_type == "relative_key_query":
                    scores[i, j] += key[j] @ between
        assert_near(output.attentions[0][0, head], scores.softmax(-1))
    # Positions are counted nowhere else: without them the embedding of a token does not depend on its place.
    flipped = model.albert(ids.flip(1), output_hidden_states=True)
    assert_near(flipped.hidden_states[0].flip(1), output.hidden_states[0])


# ---------------------------------------------------------------------- losses


def test_each_label_alone_gives_its_own_loss_and_both_their_sum(make_batch, make_model):
    config = tiny_config(num_labels=3)  # which the sentence-order head ignores
    given = make_batch(config).padded
    model = make_model(config)
    tokens, order = given.pop("labels"), given.pop("sentence_order_label")
    both = model(**given, labels=tokens, sentence_order_label=order)
    assert both.sop_logits.shape == (5, 2)
    alone = model(**given, labels=tokens).loss + model(**given, sentence_order_label=order).loss
    assert torch.allclose(both.loss, alone)
    assert model(**given).loss is None
    assert torch.allclose(AlbertForMaskedLM(config).eval()(**given, labels=tokens).loss, torch.tensor(math.log(101)), atol=0.3)


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_logits_at_labelled_positions_only(layout, make_batch, make_model, assert_near):
    config = tiny_config()
    inputs, model = getattr(make_batch(config), layout), make_model(config)
    everywhere, chosen = model(**inputs), model(**inputs, labelled_only=True)
    assert_near(chosen.prediction_logits, everywhere.prediction_logits[inputs["labels"] != -100])
    assert abs(chosen.loss.item() - everywhere.loss.item()) < 5e-6
    assert model.train()(**inputs).prediction_logits.shape == chosen.prediction_logits.shape
    assert model(**inputs, labelled_only=False).prediction_logits.shape == everywhere.prediction_logits.shape


def test_a_batch_without_any_label_has_loss_zero(make_batch, make_model):
    config = tiny_config()
    inputs, model = make_batch(config).packed, make_model(config).train()
    del inputs["sentence_order_label"]
    loss = model(**inputs | {"labels": torch.full_like(inputs["labels"], -100)}).loss
    loss.backward()
    assert loss.item() == 0.0
    assert all(not p.grad.any() for p in model.predictions.parameters())


# ------------------------------------------------------------------- precision


@pytest.mark.parametrize("layout", ["padded", "packed"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_modules_and_autocast(layout, dtype, make_batch, make_model):
    config = tiny_config()
    inputs = getattr(make_batch(config), layout)
    expected = make_model(config)(**inputs).loss
    half = make_model(config).to(dtype)(**inputs)
    with torch.autocast("cpu", dtype):
        cast = make_model(config)(**inputs)
    for output in (half, cast):
        assert output.prediction_logits.dtype == dtype
        assert abs(output.loss - expected) < 0.05 * expected
    cast.loss.backward()
    for label in ("labels", "sentence_order_label"):
        others = {name: tensor for name, tensor in inputs.items() if name != label}
        assert make_model(config).to(dtype)(**others).loss.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("open_", [False, True])
def test_a_row_of_padding_alone_stays_finite(dtype, open_, make_batch, make_model):
    config = tiny_config()
    batch, model = make_batch(config), make_model(config).to(dtype)
    mask = batch.attention_mask.clone()
    mask[2] = 0
    output = model(**batch.padded | {"attention_mask": mask}, output_attentions=open_)
    output.loss.backward()
    assert output.prediction_logits.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


# -------------------------------------------------------------------- refusals


def test_what_cannot_be_right_is_refused_in_one_sentence(make_batch, make_model):
    config = tiny_config()
    batch, model = make_batch(config), make_model(config)
    ids, packed = batch.input_ids, batch.packed
    boundaries = packed["cu_seqlens"]
    words = torch.zeros(2, 4, config.embedding_size)
    for inputs, message in [
        ({"input_ids": torch.ones(1, 600, dtype=torch.long)}, r"max_position_embeddings=43 .* received 600 .* truncation=True"),
        ({"input_ids": torch.ones(50, dtype=torch.long), "cu_seqlens": torch.tensor([0, 5, 50])}, "received 45 tokens"),
        ({}, "exactly one of input_ids and inputs_embeds; received neither"),
        ({"input_ids": ids, "inputs_embeds": words}, "received both"),
        ({"input_ids": ids + 100}, r"input_ids must be from 0 to 100 \(vocab_size=101\)"),
        ({"input_ids": ids - 1}, "received -1"),
        ({"input_ids": ids, "token_type_ids": ids}, "token_type_ids must be from 0 to 1"),
        ({"input_ids": ids, "token_type_ids": ids[:, :-1]}, r"token_type_ids must have the shape \(5, 19\) of input_ids"),
        ({"input_ids": ids, "position_ids": ids + 43}, "position_ids must be from 0 to 42"),
        ({"input_ids": ids, "attention_mask": torch.ones(5, 18)}, r"attention_mask must have .* received shape \(5, 18\)"),
        ({"input_ids": ids[0]}, r"input_ids must have the shape \[batch, sequence\].*tensor\[None\]"),
        ({"input_ids": ids[:, :0]}, "none of them 0"),
        ({"inputs_embeds": words[..., :-1]}, r"inputs_embeds must have the shape \(2, 4, 7\)"),
        ({"input_ids": ids, "head_mask": torch.ones(2)}, r"head_mask must have the shape \(3,\) or \(6, 3\)"),
        ({"input_ids": ids, "cu_seqlens": boundaries}, r"input_ids must have the shape \[tokens\]"),
        ({"input_ids": packed["input_ids"], "cu_seqlens": boundaries + 1}, "cu_seqlens must rise from 0 .* 43"),
        ({"input_ids": packed["input_ids"], "cu_seqlens": boundaries, "attention_mask": ids}, "no padding to mask"),
        ({"input_ids": packed["input_ids"], "cu_seqlens": boundaries, "output_attentions": True}, "from a padded batch"),
        ({"input_ids": ids, "labels": batch.labels[:, 1:]}, "labels must have the shape"),
        ({"input_ids": ids, "labels": ids + 100}, "labels must be from 0 to 100, or -100"),
        ({"input_ids": ids, "sentence_order_label": torch.tensor([0, 1, 2, 0, 1])}, "must be from 0 to 1"),
        ({"input_ids": ids, "sentence_order_label": torch.tensor([0, 1])}, r"must have the shape \(5,\)"),
        ({"input_ids": ids, "labelled_only": True}, "received no labels"),
    ]:
        with pytest.raises(InputError, match=message):
            model(**inputs)


NO_TENSORS = """
import torch
from albertkit.models import torch as models
from albertkit.testing import tiny_config

config, ids = tiny_config(), torch.ones(2, 3, dtype=torch.long)
classifier, tagger = models.AlbertForSequenceClassification(config), models.AlbertForTokenClassification(config)
chooser, reader = models.AlbertForMultipleChoice(config), models.AlbertForQuestionAnswering(config)
cases = [
    ("input_ids must be a tensor of PyTorch; received list; tokenize with return_tensors", lambda: tagger([[1, 2]])),
    ("received str; tokenize", lambda: classifier("a text")),
    ("received dict; call model(**inputs)", lambda: classifier({"input_ids": ids})),
    ("input_ids must be a tensor", lambda: chooser([[[1]]])),
    ("attention_mask must be a tensor", lambda: chooser(ids[None], attention_mask=[[[1]]])),
    ("head_mask must be a tensor", lambda: tagger(ids, head_mask=[1, 1])),
    ("cu_seqlens must be a tensor", lambda: tagger(ids[0], cu_seqlens=[0, 3])),
    ("labels must be a tensor", lambda: tagger(ids, labels=[[1]])),
    ("labels must be a tensor", lambda: classifier(ids, labels=[0, 1])),
    ("labels must be a tensor of PyTorch; received int", lambda: chooser(ids[None], labels=0)),
    ("start_positions must be a tensor", lambda: reader(ids, start_positions=[0, 1], end_positions=[1, 1])),
]
"""


def test_what_is_no_tensor():
    run_refusals(NO_TENSORS)


def test_a_misspelt_argument_is_an_error(make_batch, make_model):
    config = tiny_config()
    with pytest.raises(TypeError, match="atention_mask"):
        make_model(config)(make_batch(config).input_ids, atention_mask=make_batch(config).attention_mask)


def test_use_never_changes_the_configuration(make_batch, make_model):
    config = tiny_config()
    before = config.to_dict()
    model = make_model(config)
    model(**make_batch(config).padded)
    assert model.config is config
    assert config.to_dict() == before
