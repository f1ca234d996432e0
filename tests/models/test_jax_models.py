"""The JAX models against the PyTorch ones of the same parameters, and as citizens of JAX."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from flax.traverse_util import flatten_dict
from jax.tree_util import tree_all, tree_leaves, tree_leaves_with_path, tree_map

import albertkit.models.jax as jax_models
import albertkit.models.torch as torch_models
from albertkit.checkpoints.parameters import HEADS_OF_CLASS, list_parameters
from albertkit.config import ACTIVATIONS, AlbertConfig
from albertkit.errors import InputError
from albertkit.models.jax import AlbertForPreTraining, AlbertForSequenceClassification, AlbertModel
from albertkit.models.jax.activations import ACTIVATION_FUNCTIONS
from albertkit.models.jax.encoder import AlbertLayerGroup
from albertkit.testing import random_parameters, save_tiny_checkpoint, tiny_config

from .frameworks import run_refusals

pytestmark = pytest.mark.slow  # XLA compiles every program anew

NAMES = tuple(name for name in jax_models.__all__ if name != "AlbertPreTrainedModel")
KEY = jax.random.key(0)
IDS = np.arange(20).reshape(2, 10)
WANTED = {"output_hidden_states": True, "output_attentions": True}


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    """Each class in turn."""
    return request.param


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    """Compile in two thirds of the time, to slower programs."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def make(name, config, **options):
    """A model of a class whose parameters are those of ``make_any``."""
    model = nnx.eval_shape(lambda: getattr(jax_models, name)(config, **options))
    model.load_parameters(random_parameters(config, HEADS_OF_CLASS[name]))
    return model


def to_numpy(inputs):
    return {name: tensor.numpy() if isinstance(tensor, torch.Tensor) else tensor for name, tensor in inputs.items()}


def to_torch(array):
    return tree_map(lambda array: torch.from_numpy(np.array(array, dtype=np.float32)), array)


def total(output, mask):
    """The loss; of the bare encoder, which has none, a sum over what is real."""
    if "loss" in output:
        return output.loss
    return (output.last_hidden_state * mask[..., None]).sum() / 10 + output.pooler_output.sum()


@pytest.fixture
def compare(make_any, make_inputs, flatten_output, assert_near, assert_all_near):
    """Values and loss of a class in both frameworks, and gradients where they are asked for."""

    def check(name, config, extra=None, gradients=False, **options):
        kind = getattr(torch_models, name)
        given = make_inputs(kind, config, **options) | (extra or {})
        if "inputs_embeds" in given:
            del given["input_ids"]
        theirs, ours, arrays, mask = make_any(kind, config), make(name, config), to_numpy(given), given["attention_mask"]

        def run(params):
            output = ours(**arrays, **WANTED, params=params)
            return total(output, mask.numpy()), output

        if gradients:
            (_, received), gradient = jax.jit(jax.value_and_grad(run, has_aux=True))(ours.params)
        else:
            _, received = jax.jit(run)(ours.params)
        expected = theirs(**given, **WANTED)
        flat = mask.flatten(0, -2) == 1
        assert received.keys() == expected.keys()
        assert_all_near(
            flatten_output({label: to_torch(value) for label, value in received.items()}, flat), flatten_output(expected, flat)
        )
        if "loss" in expected:
            assert abs(received.loss.item() - expected.loss.item()) < 5e-6
        if gradients:
            total(expected, mask).backward()
            found = to_torch(ours.with_params(gradient).export_parameters())
            for label, parameter in theirs.named_by_contract().items():
                assert_near(found[label], torch.zeros_like(parameter) if parameter.grad is None else parameter.grad, label)

    return check


# ------------------------------------------------------------------ parity


def test_forward_loss_and_gradients_of_every_class(name, compare):
    compare(name, tiny_config(), gradients=True)


@pytest.mark.parametrize("position_type", ["relative_key", "relative_key_query"])
def test_relative_positions(position_type, compare):
    compare(
        "AlbertForMaskedLM", tiny_config(position_embedding_type=position_type), gradients=position_type == "relative_key_query"
    )


def test_head_mask_of_each_layer_positions_and_embeddings(compare):
    generator = torch.Generator().manual_seed(0)
    words, heads = torch.randn(6, 19, 7, generator=generator), torch.rand(6, 3, generator=generator)
    extra = {"position_ids": torch.arange(19).flip(0), "inputs_embeds": words, "head_mask": heads}
    compare("AlbertForPreTraining", tiny_config(), extra=extra, gradients=True)


def test_one_head_mask_and_positions_for_all_choices(compare):
    extra = {"position_ids": torch.arange(19).flip(0)[None], "head_mask": torch.tensor([0.0, 1.0, 0.5])}
    compare("AlbertForMultipleChoice", tiny_config(), extra=extra)


@pytest.mark.parametrize(("groups", "inner"), [(1, 1), (4, 1), (6, 2)])
def test_groups_that_share_unevenly(groups, inner, compare):
    compare("AlbertModel", tiny_config(num_hidden_groups=groups, inner_group_num=inner))


@pytest.mark.parametrize("problem", ["regression", "single_label_classification", "multi_label_classification"])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("named", [True, False])
def test_problem_types(problem, classes, named, make_any):
    if (classes == 1 and problem != "regression") or (classes == 3 and problem == "regression" and not named):
        pytest.skip("one label is a regression; several numbers are one where the configuration says so")
    labels = {
        "regression": torch.linspace(-1, 1, 2) if classes == 1 else torch.linspace(-1, 1, 6).view(2, 3),
        "single_label_classification": torch.tensor([2, -100]),
        "multi_label_classification": torch.tensor([[0.0, 1.0, 1.0], [0.5, 0.0, 1.0]]),
    }[problem]
    config = tiny_config(num_labels=classes, problem_type=problem if named else None)
    expected = make_any(torch_models.AlbertForSequenceClassification, config)(torch.from_numpy(IDS), labels=labels).loss
    received = make("AlbertForSequenceClassification", config)(IDS, labels=labels.numpy()).loss
    assert abs(received.item() - expected.item()) < 5e-6


def test_answers_beyond_the_sequence_do_not_count(compare):
    starts, ends = torch.tensor([0, 40, -1, 3, 18, 2]), torch.tensor([[1], [19], [5], [-7], [18], [2]])
    compare("AlbertForQuestionAnswering", tiny_config(), extra={"start_positions": starts, "end_positions": ends})


def test_nothing_labelled_is_a_loss_of_0():
    model = make("AlbertForMaskedLM", tiny_config())
    labels = np.full(IDS.shape, -100)
    value, gradients = jax.jit(jax.value_and_grad(lambda params: model(IDS, labels=labels, params=params).loss))(model.params)
    assert value == 0
    assert all((array == 0).all() for array in tree_leaves(gradients))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, assert_near):
    x = np.linspace(-9, 9, 1001, dtype=np.float32)
    theirs = torch_models.activations.ACTIVATION_FUNCTIONS[activation](torch.from_numpy(x))
    assert_near(to_torch(ACTIVATION_FUNCTIONS[activation](jnp.asarray(x))), theirs)


def test_a_row_without_any_token_is_finite():
    output = make("AlbertModel", tiny_config())(np.ones((2, 5), int), attention_mask=np.array([[1] * 5, [0] * 5]))
    assert jnp.isfinite(output.last_hidden_state).all()


def test_base_size(make_any, make_inputs, assert_near):
    config = AlbertConfig.published("albert-base-v2").replace(vocab_size=1009)
    given = make_inputs(torch_models.AlbertModel, config, lengths=(7, 29, 16))
    # A deviation of 0.04, about that of trained weights: the tiny model's 0.2 would saturate attention at this width.
    theirs, ours = make_any(torch_models.AlbertModel, config, 0.2), make("AlbertModel", config)
    ours.params = tree_map(lambda array: array * np.float32(0.2), ours.params)
    real = given["attention_mask"] == 1
    assert_near(to_torch(jax.jit(ours)(**to_numpy(given))[0])[real], theirs(**given)[0][real].detach())


@pytest.mark.parametrize("name", ["AlbertForPreTraining", "AlbertForQuestionAnswering"])
def test_bfloat16_is_near_and_its_loss_is_float32(name, make_inputs):
    config = tiny_config()
    inputs = to_numpy(make_inputs(getattr(torch_models, name), config))
    exact, rounded = (jax.jit(make(name, config, dtype=dtype))(**inputs) for dtype in (jnp.float32, "bfloat16"))
    for field in exact:
        assert rounded[field].dtype == (jnp.float32 if field == "loss" else jnp.bfloat16)
        assert jnp.abs(rounded[field] - exact[field]).max() < 0.05 * (1 + jnp.abs(exact[field]).max())


# ------------------------------------------------------------------ as JAX has it


def test_jit_vmap_and_output_as_a_tree(make_inputs):
    config = tiny_config()
    inputs = to_numpy(make_inputs(torch_models.AlbertForTokenClassification, config))
    model = make("AlbertForTokenClassification", config)
    expected = model(**inputs)

    def same(received):
        assert type(received) is type(expected)
        assert received.keys() == ["loss", "logits"]
        for field in expected:
            np.testing.assert_allclose(received[field], expected[field], atol=1e-5)

    same(jax.jit(model)(**inputs))
    same(jax.jit(lambda model, given: model(**given))(model, inputs))
    same(nnx.jit(lambda model, given: model(**given))(model, inputs))
    constants = tree_map(jnp.asarray, inputs)  # of JAX, which the function closes over: their numbers are looked at while tracing
    same(jax.jit(lambda params: model(**constants, params=params))(model.params))
    one_by_one = jax.jit(jax.vmap(lambda given: model(**tree_map(lambda array: array[None], given))))(inputs)
    np.testing.assert_allclose(one_by_one.logits[:, 0], expected.logits, atol=1e-5)
    assert tree_map(jnp.shape, expected).logits == (6, 19, 2)
    loss, logits = model(**inputs, return_dict=False)
    assert (loss, logits.shape) == (expected.loss, (6, 19, 2))


def test_flax_gradients_are_those_of_the_tree():
    model = make("AlbertForMaskedLM", tiny_config(inner_group_num=1))
    by_module = nnx.jit(nnx.grad(lambda model: model(IDS, labels=IDS).loss))(model)
    by_tree = jax.jit(jax.grad(lambda params: model(IDS, labels=IDS, params=params).loss))(model.params)
    for ours, theirs in zip(tree_leaves(by_module), tree_leaves(by_tree), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_flax_states_are_trees_of_parameters_too():
    model = make("AlbertForMaskedLM", tiny_config())
    expected = model(IDS).logits
    state = nnx.state(model, nnx.Param)
    for params in (state, nnx.to_pure_dict(state)):
        assert jnp.array_equal(model(IDS, params=params).logits, expected)
    gradient = jax.jit(jax.grad(lambda state: model(IDS, labels=IDS, params=state).loss))(state)
    assert jax.tree.structure(gradient) == jax.tree.structure(state)


@pytest.mark.parametrize("activation", ["gelu", "relu", "silu"])
@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_is_the_same_tree(again, activation):
    model = make("AlbertForMaskedLM", tiny_config(hidden_act=activation))
    assert jax.tree.structure(again(model)) == jax.tree.structure(model)


def test_parts_of_an_output_are_named_and_flax_draws_the_table_of_a_model():
    sizes = {"num_hidden_layers": 1, "num_hidden_groups": 1, "inner_group_num": 1}
    model = make("AlbertForPreTraining", tiny_config(**sizes))
    output = jax.eval_shape(lambda: model(IDS, output_hidden_states=True))
    paths = [jax.tree_util.keystr(path) for path, _ in tree_leaves_with_path(output)]
    assert paths == [".prediction_logits", ".sop_logits", ".hidden_states[0]", ".hidden_states[1]"]
    assert "prediction_logits" in nnx.tabulate(model, jnp.asarray(IDS), console_kwargs={"width": 200})


@pytest.mark.parametrize("given", [{}, WANTED | {"head_mask": True, "train": True, "dropout_rng": KEY}])
def test_the_program_does_not_grow_with_depth(given):
    def lines(layers):
        config = tiny_config(num_hidden_layers=layers, hidden_dropout_prob=0.1)
        model = nnx.eval_shape(lambda: AlbertModel(config))
        options = given | ({"head_mask": np.ones((layers, 3), np.float32)} if given else {})

        program = jax.make_jaxpr(lambda model: model(np.ones((1, 4), int), **options))
        text = str(program(model))
        return text.count(" = ") - text.count(" = slice") - text.count(" = squeeze")  # what takes each layer's rows apart

    assert lines(4) == lines(48)


def test_a_second_call_outside_jit_compiles_nothing():
    model = make("AlbertModel", tiny_config())
    expected = model(IDS, **WANTED)
    known = AlbertLayerGroup.repeat._cache_size()
    assert tree_all(tree_map(jnp.array_equal, model(IDS, **WANTED), expected))
    assert AlbertLayerGroup.repeat._cache_size() == known


SHARDED = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from albertkit.models.jax import AlbertForMultipleChoice, AlbertForPreTraining
from albertkit.testing import tiny_config

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_disable_most_optimizations", True)
model = AlbertForPreTraining(tiny_config(num_hidden_groups=1, inner_group_num=1))
ids = np.arange(8 * 12).reshape(8, 12) % 101
order = np.arange(8) % 2

def loss(params, ids, order):
    return model(ids, labels=ids, sentence_order_label=order, params=params).loss

expected = jax.jit(jax.value_and_grad(loss))(model.params, ids, order)
for count, kind in ((1, AxisType.Auto), (4, AxisType.Auto), (4, AxisType.Explicit)):
    mesh = jax.make_mesh((count,), ("data",), axis_types=(kind,), devices=jax.devices()[:count])
    rows, whole = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    received = jax.jit(jax.value_and_grad(loss))(jax.device_put(model.params, whole), *jax.device_put((ids, order), rows))
    for ours, theirs in zip(jax.tree.leaves(received), jax.tree.leaves(expected), strict=True):
        assert len(ours.sharding.device_set) == count
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)
    logits = jax.jit(model)(jax.device_put(ids, rows)).prediction_logits
    assert logits.sharding.is_equivalent_to(rows, 3), logits.sharding
chooser = AlbertForMultipleChoice(model.config)
logits = jax.jit(chooser)(jax.device_put(ids.reshape(4, 2, 12), rows)).logits  # over explicit axes, which no reshape may guess
assert logits.sharding.is_equivalent_to(rows, 2), logits.sharding
np.testing.assert_allclose(logits, jax.jit(chooser)(ids.reshape(4, 2, 12)).logits, atol=1e-5)
"""


def test_data_parallel_over_a_mesh():
    subprocess.run([sys.executable, "-c", SHARDED], check=True)


# ------------------------------------------------------------------ dropout


@pytest.mark.parametrize("name", ["AlbertForPreTraining", "AlbertForMultipleChoice"])
def test_dropout_is_by_key_and_asked_for_in_the_call(name, make_inputs):
    config = tiny_config(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3, classifier_dropout_prob=0.3)
    inputs = to_numpy(make_inputs(getattr(torch_models, name), config, labelled=False))
    model = make(name, config)
    train = jax.jit(lambda key: model(**inputs, train=True, dropout_rng=key)[0])
    assert jnp.array_equal(train(KEY), train(KEY))
    assert jnp.array_equal(train(KEY), train(jax.random.PRNGKey(0)))  # both kinds of keys
    assert not jnp.allclose(train(KEY), train(jax.random.key(1)))
    assert jnp.array_equal(model(**inputs)[0], model(**inputs, dropout_rng=KEY)[0])
    with pytest.raises(InputError, match="dropout_rng"):
        model(**inputs, train=True)


def test_classifiers_and_the_sentence_order_head_drop_out_by_convention():
    ids = np.ones((1, 9), int)
    changed = {}
    for convention in ("google", "huggingface"):
        config = tiny_config(classifier_dropout_prob=0.5, training_convention=convention)
        for name, field in (("AlbertForPreTraining", "sop_logits"), ("AlbertForTokenClassification", "logits")):
            model = make(name, config)
            changed[name, convention] = not jnp.allclose(model(ids)[field], model(ids, train=True, dropout_rng=KEY)[field])
    assert changed.pop(("AlbertForPreTraining", "google")) is False
    assert all(changed.values())


def test_every_layer_drops_others_and_the_conventions_differ():
    ids = np.ones((1, 9), int)
    sizes = {"num_hidden_groups": 1, "inner_group_num": 1}
    states = {}
    for convention in ("google", "huggingface"):
        config = tiny_config(training_convention=convention, hidden_dropout_prob=0.5, **sizes)
        states[convention] = make("AlbertModel", config)(ids, train=True, dropout_rng=KEY, **WANTED).hidden_states
    assert jnp.allclose(states["google"][0], states["huggingface"][0])
    assert not jnp.allclose(states["google"][1], states["huggingface"][1])
    model = make("AlbertModel", tiny_config(attention_probs_dropout_prob=0.5, **sizes))
    dropped = [layer == 0 for layer in model(ids, train=True, dropout_rng=KEY, **WANTED).attentions]
    assert all(0.3 < zeros.mean() < 0.7 for zeros in dropped)
    assert not any(jnp.array_equal(dropped[0], zeros) for zeros in dropped[1:])


def test_dropout_without_rates_needs_no_key():
    model, ids = make("AlbertModel", tiny_config()), np.ones((1, 4), int)
    assert jnp.array_equal(model(ids, train=True)[0], model(ids)[0])


# ------------------------------------------------------------------ parameters


def test_params_are_the_contract_split_at_the_dots(name):
    config = tiny_config(position_embedding_type="relative_key")
    model = nnx.eval_shape(lambda: getattr(jax_models, name)(config))
    flat = {path: array.shape for path, array in flatten_dict(model.params).items()}
    expected = {}
    for item in list_parameters(config, HEADS_OF_CLASS[name]):
        path = (*item.name.split(".")[:-1], item.kind)
        expected[path[1:] if name == "AlbertModel" else path] = item.shape[::-1] if item.kind == "kernel" else item.shape
    assert flat == expected
    assert model.num_parameters() == sum(int(np.prod(shape)) for shape in expected.values())


def test_params_given_and_assigned():
    config, ids = tiny_config(), np.arange(8)[None]
    first, second = AlbertModel(config, seed=1), AlbertModel(config, (1, 1), 2, jnp.float32)
    expected = second(ids)[0]
    assert jnp.array_equal(first(ids, params=second.params)[0], expected)
    assert not jnp.array_equal(first(ids)[0], expected)
    first.params = second.params
    assert jnp.array_equal(first(ids)[0], expected)
    assert jnp.array_equal(AlbertModel(config, rngs=nnx.Rngs(2))(ids)[0], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tree: tree["encoder"].pop("embedding_hidden_mapping_in"),
            r"encoder/embedding_hidden_mapping_in/kernel .* received none",
        ),
        (lambda tree: tree.update(more=np.zeros(3)), "more in the parameters must be no part of this model; received shape"),
        (
            lambda tree: tree["pooler"].update(kernel=np.zeros((2, 3))),
            r"must be of the shape \(15, 15\); received shape \(2, 3\)",
        ),
    ],
)
def test_other_params_are_refused(change, message):
    model = make("AlbertModel", tiny_config())
    tree = model.params
    change(tree)
    with pytest.raises(InputError, match=message):
        model(np.ones((1, 3), int), params=tree)
    with pytest.raises(InputError, match=message):
        model.params = tree


def test_parameters_by_contract_both_ways(name):
    config = tiny_config()
    values = random_parameters(config, HEADS_OF_CLASS[name])
    kept = {label: array.copy() for label, array in values.items()}
    model = nnx.eval_shape(lambda: getattr(jax_models, name)(config))
    model.load_parameters(values)
    for array in values.values():
        array.fill(0)
    exported = model.export_parameters()
    assert list(exported) == list(kept)
    assert all(np.array_equal(exported[label], kept[label]) for label in kept)
    with pytest.raises(InputError, match="received none"):
        model.load_parameters(dict(list(kept.items())[1:]))
    with pytest.raises(InputError, match="no part"):
        model.load_parameters(kept | {"albert.more.weight": np.zeros(3)})


def test_parameters_are_float32_where_jax_computes_in_float64():
    jax.config.update("jax_enable_x64", True)
    try:
        model = nnx.eval_shape(lambda: AlbertForPreTraining(tiny_config()))
    finally:
        jax.config.update("jax_enable_x64", False)
    assert {array.dtype.name for array in tree_leaves(model.params)} == {"float32"}


@pytest.mark.parametrize("convention", ["google", "huggingface"])
def test_initial_parameters(convention):
    config = tiny_config(vocab_size=2003, training_convention=convention, initializer_range=0.5, pad_token_id=5)
    drawn = AlbertForPreTraining(config).export_parameters()
    words = drawn["albert.embeddings.word_embeddings.weight"]
    kernel = drawn["albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight"]
    assert (np.abs(words).max() <= 1.0) == (convention == "google")
    assert words.std() == pytest.approx(0.44 if convention == "google" else 0.5, rel=0.02)
    assert (words[5] == 0).all() == (convention == "huggingface")
    assert kernel.std() == pytest.approx(words.std(), rel=0.1)
    assert all((array == 0).all() for label, array in drawn.items() if label.endswith(".bias"))
    assert all((array == 1).all() for label, array in drawn.items() if label.endswith("LayerNorm.weight"))
    assert not np.array_equal(kernel, drawn["albert.encoder.albert_layer_groups.1.albert_layers.0.ffn.weight"])


def test_saved_and_loaded_here_and_in_pytorch(name, tmp_path):
    model = make(name, tiny_config())
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    theirs = getattr(torch_models, name).from_pretrained(tmp_path)
    assert again.config.architectures == (name,)
    for label, values in model.export_parameters().items():
        assert np.array_equal(again.export_parameters()[label], values)
        assert np.array_equal(theirs.named_by_contract()[label].detach().numpy(), values)


def test_saved_params_are_those_given(tmp_path):
    model = make("AlbertModel", tiny_config())
    model.save_pretrained(tmp_path, params=tree_map(lambda array: array + 1, model.params))
    again = AlbertModel.from_pretrained(tmp_path).export_parameters()
    assert all(np.array_equal(again[label], values + 1) for label, values in model.export_parameters().items())


def test_a_missing_head_is_drawn_and_named(tmp_path):
    save_tiny_checkpoint(tmp_path, "AlbertForMaskedLM")
    with pytest.warns(UserWarning, match="lacks the sequence_classification head"):
        model = AlbertForSequenceClassification.from_pretrained(tmp_path, num_labels=3, seed=5)
    with pytest.warns(UserWarning, match="lacks the pooler"):
        again = AlbertForSequenceClassification.from_pretrained(tmp_path, num_labels=3, seed=5)
    drawn = model.export_parameters()["classifier.weight"]
    assert drawn.shape == (3, 15)
    assert 0 < drawn.std() < 0.04
    assert np.array_equal(drawn, again.export_parameters()["classifier.weight"])
    bare = AlbertModel.from_pretrained(tmp_path, add_pooling_layer=False, dtype="auto", output_hidden_states=True)
    assert "pooler" not in bare.params
    assert bare(np.ones((1, 3), int)).keys() == ["last_hidden_state", "hidden_states"]


# ------------------------------------------------------------------ refused


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "exactly one of input_ids and inputs_embeds; received neither"),
        ({"input_ids": np.ones((1, 2), int), "inputs_embeds": np.ones((1, 2, 7), np.float32)}, "received both"),
        ({"input_ids": np.ones(3, int)}, r"\[batch, sequence\].*array\[None\]"),
        ({"input_ids": np.array([["a", "b"]])}, "whole numbers; received dtype <U1"),
        ({"input_ids": IDS, "train": True, "dropout_rng": jax.random.split(KEY)}, r"one key; received shape \(2,\)"),
        ({"input_ids": np.ones((1, 44), int)}, "at most max_position_embeddings=43"),
        ({"input_ids": np.ones((1, 3))}, "whole numbers"),
        ({"input_ids": np.full((1, 3), 101)}, "vocab_size=101"),
        ({"input_ids": jnp.full((1, 3), -1)}, "from 0 to 100"),
        ({"input_ids": np.ones((1, 3), int), "attention_mask": np.ones((1, 4))}, "attention_mask must have the shape"),
        ({"input_ids": np.ones((1, 3), int), "token_type_ids": np.full((1, 3), 2)}, "token_type_ids must be from 0 to 1"),
        ({"input_ids": np.ones((1, 3), int), "position_ids": np.ones((2, 3), int)}, "position_ids must have the shape"),
        ({"input_ids": np.ones((1, 3), int), "head_mask": np.ones(4)}, "head_mask must have the shape"),
        ({"inputs_embeds": np.ones((1, 3, 8), np.float32)}, "inputs_embeds must have the shape"),
        ({"input_ids": np.ones((1, 3), int), "labels": np.full((1, 3), 101)}, "labels must be from 0 to 100"),
        ({"input_ids": np.ones((1, 3), int), "labels": np.ones((1, 2), int)}, "labels must have the shape"),
    ],
)
def test_wrong_inputs(inputs, message):
    with pytest.raises(InputError, match=message):
        make("AlbertForMaskedLM", tiny_config())(**inputs)


def test_wrong_types_and_labels():
    with pytest.raises(InputError, match="float32, float16, bfloat16; received int8"):
        AlbertModel(tiny_config(), dtype=jnp.int8)
    with pytest.raises(InputError, match="received fast"):
        AlbertModel(tiny_config(), dtype="fast")
    ids = np.ones((2, 3), int)
    classifier = make("AlbertForSequenceClassification", tiny_config(num_labels=3))
    with pytest.raises(InputError, match=r"labels\.astype"):
        classifier(ids, labels=np.zeros((2, 3), int))
    with pytest.raises(InputError, match=r"from 0, a no, to 1, a yes; received 2\.0"):
        classifier(ids, labels=np.full((2, 3), 2.0))
    with pytest.raises(InputError, match="start_positions and end_positions"):
        make("AlbertForQuestionAnswering", tiny_config())(ids, start_positions=np.zeros(2, int))
    with pytest.raises(InputError, match="of multiple choice"):
        make("AlbertForMultipleChoice", tiny_config())(ids)


NO_ARRAYS = """
import jax, numpy as np
import albertkit.models.jax as models
from albertkit.testing import tiny_config

config, ids = tiny_config(num_hidden_layers=1, num_hidden_groups=1, inner_group_num=1), np.ones((2, 3), int)
classifier, tagger = models.AlbertForSequenceClassification(config), models.AlbertForTokenClassification(config)
chooser, reader = models.AlbertForMultipleChoice(config), models.AlbertForQuestionAnswering(config)
cases = [
    ("input_ids must be an array of JAX or NumPy; received list; tokenize with return_tensors", lambda: tagger([[1, 2]])),
    ("received str; tokenize", lambda: classifier("a text")),
    ("received dict; call model(**inputs)", lambda: classifier({"input_ids": ids})),
    ("attention_mask must be an array", lambda: classifier(ids, attention_mask=[[1]])),
    ("attention_mask must be an array", lambda: chooser(ids[None], attention_mask=[[[1]]])),
    ("labels must be an array", lambda: tagger(ids, labels=[[1]])),
    ("labels must be an array", lambda: classifier(ids, labels=[0, 1])),
    ("labels must be an array of JAX or NumPy; received int", lambda: chooser(ids[None], labels=0)),
    ("start_positions must be an array", lambda: reader(ids, start_positions=[0, 1], end_positions=[1, 1])),
    ("params must be a tree of dictionaries, as model.params is; received list", lambda: tagger(ids, params=[ids])),
    ("float32, float16, bfloat16; received 7", lambda: models.AlbertModel(config, dtype=7)),
    ("dropout_rng must be one key; received int; jax.random.key(0)", lambda: tagger(ids, train=True, dropout_rng=0)),
]
"""


def test_what_is_no_array_key_tree_or_type():
    run_refusals(NO_ARRAYS)
