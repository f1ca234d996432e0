"""One checkpoint, three frameworks: the same values, losses and gradients from every class, at real positions.

PyTorch is what the others are compared with; ``test_parity.py`` compares it with transformers.
"""

from __future__ import annotations

import numpy as np
import pytest

from albertkit.config import ACTIVATIONS, AlbertConfig
from albertkit.testing import tiny_config

from .frameworks import KINDS, ONE_LAYER, Arrays, Torch, assert_agree, at_real_positions, real

pytestmark = pytest.mark.slow  # JAX compiles each case

TORCH = Torch()
RELATIVE = ("relative_key", "relative_key_query")
STATES = {"output_hidden_states": True, "output_attentions": True}


@pytest.fixture
def compare(other, make_arrays, save):
    """Compare what PyTorch and another framework make of the same inputs; given PyTorch's values."""

    def check(class_name, config, given=None, *, scale=1.0, gradients=True, **options) -> Arrays:
        inputs = make_arrays(class_name, config, **options) | (given or {})
        inputs = {name: value for name, value in inputs.items() if value is not None}
        mask, directory = real(inputs), save(class_name, config, scale)
        models = [(each, each.open(class_name, directory)) for each in (other, TORCH)]
        outputs = [
            each.differentiate(model, inputs) if gradients else (each.compute(model, inputs), {}) for each, model in models
        ]
        received, expected = (
            at_real_positions(each.read(output), mask) for (each, _), (output, _) in zip(models, outputs, strict=True)
        )
        assert_agree(received, expected)
        assert_agree(outputs[0][1], outputs[1][1])
        return expected

    return check


def test_every_class_forward_and_gradients(class_name, compare):
    compare(class_name, tiny_config())


def test_every_class_at_base_size(class_name, compare):
    config = AlbertConfig.published("albert-base-v2").replace(vocab_size=1009, classifier_dropout_prob=0.0)
    # A deviation of 0.04, about that of trained weights: the tiny model's 0.2 would saturate attention at this width.
    compare(class_name, config, scale=0.2, lengths=(7, 29, 16))


@pytest.mark.parametrize(("layers", "groups", "inner"), [(6, 1, 1), (5, 3, 1), (6, 2, 3)])
def test_layers_of_shared_groups(layers, groups, inner, compare):
    config = tiny_config(num_hidden_layers=layers, num_hidden_groups=groups, inner_group_num=inner)
    expected = compare("AlbertForPreTraining", config, STATES)
    assert f"hidden_states[{layers}]" in expected
    assert f"attentions[{layers * inner - 1}]" in expected


def test_every_argument_and_every_field(class_name, compare, make_arrays):
    config = tiny_config()
    generator = np.random.default_rng(0)
    shape = make_arrays(class_name, config)["input_ids"].shape
    given = {
        "input_ids": None,
        "inputs_embeds": generator.normal(size=(*shape, config.embedding_size)).astype(np.float32),
        "position_ids": generator.integers(0, config.max_position_embeddings, shape),
        "head_mask": generator.random((6, 3), np.float32).round(),
    }
    expected = compare(class_name, config, given | STATES, labelled=False, gradients=False)
    assert {"hidden_states[6]", "attentions[11]"} <= set(expected)
    assert "loss" not in expected
    for index in range(12):
        silent = given["head_mask"][index // 2] == 0
        assert not expected[f"attentions[{index}]"][:, silent].any()
        assert expected[f"attentions[{index}]"][:, ~silent].any(axis=(0, 2, 3)).all()


def test_tuples(class_name, framework, make_arrays, save):
    config = tiny_config(**ONE_LAYER)
    model, inputs = framework.open(class_name, save(class_name, config)), make_arrays(class_name, config)
    output = framework.compute(model, inputs | STATES)
    plain = framework.compute(model, inputs | STATES | {"return_dict": False})
    assert type(plain) is tuple
    assert len(plain) == len(output)
    for value, named in zip(plain, output.values(), strict=True):
        assert type(value) is type(named)
        if not isinstance(value, tuple):
            assert_agree({"": framework.numpy(value)}, {"": framework.numpy(named)})


@pytest.mark.parametrize("form", [(1, 19), (19,)])
def test_what_all_sequences_and_layers_share(form, compare):
    generator = np.random.default_rng(0)
    given = {
        "position_ids": generator.integers(0, 43, form),
        "head_mask": generator.random(3, np.float32),
        "token_type_ids": None,
    }
    compare("AlbertForPreTraining", tiny_config(), given, gradients=form == (19,))


@pytest.mark.parametrize("position_type", RELATIVE)
def test_relative_positions(position_type, compare):
    compare("AlbertForMaskedLM", tiny_config(position_embedding_type=position_type), STATES)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, compare):
    compare("AlbertForMaskedLM", tiny_config(**ONE_LAYER, hidden_act=activation))


@pytest.mark.parametrize("problem", ["regression", "single_label_classification", "multi_label_classification"])
@pytest.mark.parametrize("classes", [1, 3])
def test_problem_types_named_and_inferred(problem, classes, compare):
    if classes == 1 and problem != "regression":
        pytest.skip("one label is a regression")
    generator = np.random.default_rng(0)
    labels = {
        "regression": generator.normal(size=(6,) if classes == 1 else (6, 3)).astype(np.float32),
        "single_label_classification": np.array([0, 2, 1, -100, 2, 0]),
        "multi_label_classification": generator.integers(0, 2, (6, 3)).astype(np.float32),
    }[problem]
    forms = [labels, labels[:, None]] if labels.ndim == 1 else [labels]
    if problem == "multi_label_classification":
        forms.append(labels.astype(np.int64))  # whole numbers, where the configuration says so
    named, unnamed = (tiny_config(**ONE_LAYER, num_labels=classes, problem_type=name) for name in (problem, None))
    for form in forms:
        compare("AlbertForSequenceClassification", named, {"labels": form})
    if classes == 1 or problem != "regression":  # several numbers are a regression only where the configuration says so
        compare("AlbertForSequenceClassification", unnamed, {"labels": labels}, gradients=False)


@pytest.mark.parametrize("places", [(19, 3), (-1, 25), (18, 40)])
def test_spans_that_end_outside(places, compare, make_arrays):
    config = tiny_config(**ONE_LAYER)
    inputs = make_arrays("AlbertForQuestionAnswering", config)
    inputs["start_positions"][2], inputs["end_positions"][3] = places
    expected = compare("AlbertForQuestionAnswering", config, inputs)
    columns = {name: inputs[name][:, None] for name in ("start_positions", "end_positions")}
    assert compare("AlbertForQuestionAnswering", config, inputs | columns, gradients=False)["loss"] == expected["loss"]


@pytest.mark.parametrize(
    "class_name", ["AlbertForPreTraining", "AlbertForMaskedLM", "AlbertForSequenceClassification", "AlbertForMultipleChoice",
                   "AlbertForTokenClassification"],
)  # fmt: skip
def test_a_batch_without_any_label_has_loss_zero(class_name, compare, make_arrays):
    config = tiny_config(**ONE_LAYER)
    labels = make_arrays(class_name, config)["labels"]
    given = {"labels": np.full_like(labels, -100), "sentence_order_label": None}
    assert compare(class_name, config, given)["loss"] == 0


def test_one_label_alone_gives_its_own_loss(compare):
    config = tiny_config(**ONE_LAYER, num_labels=3)  # which the sentence-order head ignores
    both, tokens, order = (
        compare("AlbertForPreTraining", config, given, gradients=False)["loss"]
        for given in ({}, {"sentence_order_label": None}, {"labels": None})
    )
    assert abs(both - tokens - order) < 1e-5


def test_a_row_of_padding_alone_stays_finite(compare, make_arrays, other, save):
    config = tiny_config(**ONE_LAYER)
    inputs = make_arrays("AlbertForPreTraining", config, labelled=False)
    inputs["attention_mask"][2] = 0
    model = other.open("AlbertForPreTraining", save("AlbertForPreTraining", config))
    assert all(np.isfinite(array).all() for array in other.run(model, inputs | STATES).values())
    # Attention in the open: PyTorch's fused kernel gives zeros to a row that sees nothing, where the others see all alike.
    compare("AlbertForPreTraining", config, inputs | STATES, labelled=False, gradients=False)


# Every number is dropped: what is left is the same in every framework, whatever the draws, and shows where each dropout stands.
@pytest.mark.parametrize("convention", ["google", "huggingface"])
@pytest.mark.parametrize(
    ("class_name", "place"),
    [("AlbertForPreTraining", "hidden_dropout_prob"), ("AlbertForPreTraining", "attention_probs_dropout_prob")]
    + [(name, "classifier_dropout_prob") for name in KINDS],
)
def test_dropout_stands_where_it_does_in_pytorch(class_name, place, convention, other, make_arrays, save):
    config = tiny_config(**ONE_LAYER | {place: 1 - 1e-7}, training_convention=convention)
    inputs, directory = make_arrays(class_name, config, labelled=False), save(class_name, config)
    received, expected = (
        at_real_positions(each.run(each.open(class_name, directory), inputs, seed=0), real(inputs)) for each in (other, TORCH)
    )
    assert_agree(received, expected)


def test_half_precision_is_as_near_as_in_pytorch(class_name, other, make_arrays, save):
    config = tiny_config()
    inputs, directory = make_arrays(class_name, config), save(class_name, config)
    expected = at_real_positions(TORCH.run(TORCH.open(class_name, directory), inputs), real(inputs))
    distances = []
    for each in (other, TORCH):
        model = each.open(class_name, directory, dtype="bfloat16")
        output = each.compute(model, inputs)
        assert all(("float32" if name == "loss" else "bfloat16") in str(array.dtype) for name, array in output.items())
        arrays = at_real_positions(each.read(output), real(inputs))
        assert abs(arrays.pop("loss", 0) - expected.get("loss", 0)) <= 0.05 * expected.get("loss", 0)
        distances.append({name: np.abs(array - expected[name]).mean() for name, array in arrays.items()})
    for name, distance in distances[0].items():
        assert distance <= 2 * distances[1][name], name  # both round after every operation, but not in the same order
