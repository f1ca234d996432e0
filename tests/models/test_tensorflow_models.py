"""The Keras classes: the numbers of PyTorch's with the same parameters, and loading, saving and refusing."""

from __future__ import annotations

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import albertkit.models.tensorflow as keras_models
import albertkit.models.torch as torch_models
from albertkit.errors import CheckpointError, ConfigError, InputError
from albertkit.models.tensorflow import (
    AlbertForMaskedLM,
    AlbertForMultipleChoice,
    AlbertForPreTraining,
    AlbertForQuestionAnswering,
    AlbertForSequenceClassification,
    AlbertModel,
)
from albertkit.models.tensorflow.activations import ACTIVATION_FUNCTIONS
from albertkit.models.torch.activations import ACTIVATION_FUNCTIONS as TORCH_ACTIVATIONS
from albertkit.testing import random_parameters, save_tiny_checkpoint, tiny_config, tiny_tokenizer

CLASSES = [getattr(keras_models, name) for name in keras_models.__all__ if name != "AlbertPreTrainedModel"]
# Keras turns TensorFlow's variables into arrays by a call that NumPy 2 frowns on.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
every_class = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)


def make(kind, config=None, **options):
    model = kind(config or tiny_config(), **options)
    model.load_parameters(random_parameters(model.config, model.heads))
    return model


@pytest.fixture
def pair(make_any, make_inputs):
    """A model of a class, PyTorch's with the same parameters, and the inputs of PyTorch's."""

    def build(kind, config=None, labelled=True):
        config, twin = config or tiny_config(), getattr(torch_models, kind.__name__)
        return make(kind, config), make_any(twin, config), make_inputs(twin, config, labelled=labelled)

    return build


def to_numpy(tensors):
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def flatten(output):
    found = {}
    for name, value in output.items():
        for index, tensor in enumerate(value if isinstance(value, tuple) else (value,)):
            found[f"{name}[{index}]"] = tensor.detach().numpy() if isinstance(tensor, torch.Tensor) else np.asarray(tensor)
    return found


def assert_near(received, expected, name=""):
    assert received.shape == expected.shape, name
    difference = np.abs(received - expected).max()
    assert difference <= 1e-5 + 1e-5 * np.abs(expected).max(), f"{name}: {difference:.3g}"


def assert_same(received, expected):
    received, expected = flatten(received), flatten(expected)
    assert list(received) == list(expected)
    for name, array in received.items():
        assert_near(array, expected[name], name)


def total(output, mean, add):
    """The loss; of the bare encoder, which has none, a number that everything reaches."""
    return output.loss if "loss" in output else mean(output.last_hidden_state**2) + add(output.pooler_output)


@pytest.mark.slow
@every_class
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_values_and_gradients_are_those_of_pytorch(kind, mode, pair):
    ours, twin, tensors = pair(kind)
    options = {"output_hidden_states": True, "output_attentions": True}
    variables = ours.named_by_contract()

    def run(inputs):
        with tf.GradientTape() as tape:
            output = ours(inputs, **options)
            loss = total(output, tf.reduce_mean, tf.reduce_sum)
        found = tape.gradient(loss, [variable.value for variable in variables.values()], unconnected_gradients="zero")
        return output, [tf.convert_to_tensor(gradient) for gradient in found]

    output, gradients = (run if mode == "eager" else tf.function(run))(to_numpy(tensors))
    expected = twin(**tensors, **options)
    assert_same(output, expected)
    if "loss" in expected:
        assert abs(float(output.loss) - expected.loss.item()) < 5e-6
    total(expected, torch.mean, torch.sum).backward()
    kernels = {parameter.name for parameter in ours.contract if parameter.kind == "kernel"}
    for name, parameter in twin.named_by_contract().items():
        array = gradients[list(variables).index(name)].numpy()
        assert_near(array.T if name in kernels else array, parameter.grad.numpy(), name)


@pytest.mark.parametrize("positions", ["absolute", "relative_key", "relative_key_query"])
def test_every_argument(positions, pair):
    ours, twin, tensors = pair(AlbertForMultipleChoice, tiny_config(position_embedding_type=positions))
    shape = tensors["input_ids"].shape
    given = {
        "head_mask": torch.rand(6, 3), "position_ids": torch.arange(shape[-1]).flip(0)[None],
        "inputs_embeds": torch.rand(*shape, 7),
    }  # fmt: skip
    for left_out, names in (((), ("head_mask", "position_ids")), (("input_ids",), ("inputs_embeds",))):
        kept = {name: tensor for name, tensor in tensors.items() if name not in left_out} | {name: given[name] for name in names}
        assert_same(ours(to_numpy(kept)), twin(**kept))
    silent = {"input_ids": tensors["input_ids"].numpy(), "head_mask": np.array([1, 0, 1])}  # whole numbers, where a factor stands
    assert_same(ours(silent), ours({**silent, "head_mask": np.array([1.0, 0.0, 1.0], np.float32)}))
    plain, expected = ours(to_numpy(tensors), return_dict=False), twin(**tensors, return_dict=False)
    assert type(plain) is tuple
    assert_same(dict(enumerate(plain)), dict(enumerate(expected)))


def test_activations_are_those_of_pytorch():
    assert list(ACTIVATION_FUNCTIONS) == list(TORCH_ACTIVATIONS)
    numbers = np.linspace(-9, 9, 101, dtype=np.float32)
    for name, function in ACTIVATION_FUNCTIONS.items():
        assert_near(function(tf.constant(numbers)).numpy(), TORCH_ACTIVATIONS[name](torch.from_numpy(numbers)).numpy(), name)


@pytest.mark.parametrize(
    ("num_labels", "problem", "labels"),
    [
        (1, None, np.array([0.5, 1, 2, -1, 0, 3])),
        (1, "regression", np.array([[1], [2], [3], [1], [2], [3]])),
        (3, "regression", np.ones((6, 3), np.float32)),
        (3, None, np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]),
        (3, "multi_label_classification", np.eye(3, dtype=np.int64)[[0, 1, 2, 0, 1, 2]]),
        (3, None, np.array([0, 1, 2, -100, 1, 2])),
        (3, None, np.array([[0], [1], [2], [-100], [1], [2]])),
        (3, None, np.full(6, -100)),
    ],
)
def test_problems_of_a_classifier(num_labels, problem, labels, pair):
    config = tiny_config(num_labels=num_labels, problem_type=problem)
    ours, twin, tensors = pair(AlbertForSequenceClassification, config, labelled=False)
    inputs = to_numpy(tensors)
    expected = twin(**tensors, labels=torch.from_numpy(labels)).loss.item()
    assert abs(float(ours(inputs, labels=labels).loss) - expected) < 5e-6
    unknown = tf.TensorSpec([None, *labels.shape[1:]], labels.dtype)
    graph = tf.function(lambda labels: ours(inputs, labels=labels).loss, input_signature=[unknown])
    assert abs(float(graph(labels)) - expected) < 5e-6


def test_documented_call_forms():
    tokenizer, model = tiny_tokenizer(), make(AlbertModel)
    encoded = tokenizer(["replace me", "by any text"], padding=True, return_tensors="np")
    by_mapping, by_name = model(encoded), model(**encoded)
    by_order = model(encoded["input_ids"], encoded["attention_mask"], token_type_ids=encoded["token_type_ids"], training=False)
    by_list = model([encoded[name] for name in ("input_ids", "attention_mask", "token_type_ids")])
    of_numbers = model(encoded["input_ids"].tolist(), attention_mask=encoded["attention_mask"].tolist())
    of_truths = model(encoded["input_ids"], encoded["attention_mask"] != 0)
    for output in (by_name, by_order, by_list, of_numbers, of_truths):
        assert np.array_equal(output.last_hidden_state, by_mapping[0])
    graph = tf.function(model)
    for tensors in ("tf", "tf", "np"):
        in_graph = graph(tokenizer(["replace me", "by any text"], padding=True, return_tensors=tensors))
        assert_near(in_graph[0].numpy(), by_mapping[0].numpy())
    assert graph.experimental_get_tracing_count() == 2  # NumPy's numbers are of another type
    assert "pooler_output" not in AlbertModel(tiny_config(), add_pooling_layer=False)(encoded)


def test_encoders_within_a_functional_model(tmp_path):
    towers = [make(AlbertModel), make(AlbertModel, add_pooling_layer=True)]
    ids, mask = (keras.Input((None,), dtype="int32") for _ in range(2))
    states = [towers[0]([ids, mask])[0][:, 0], towers[1]({"input_ids": ids, "attention_mask": mask}).pooler_output]
    model = keras.Model([ids, mask], keras.layers.Dense(2)(keras.layers.concatenate(states)))
    given = [np.array([[2, 5, 3, 0]]), np.array([[1, 1, 1, 0]])]
    expected = model(given)
    model.save(tmp_path / "model.keras")
    for other in (keras.models.load_model(tmp_path / "model.keras"), copy.deepcopy(model)):
        assert np.array_equal(other(given), expected)
    assert keras.models.clone_model(model).count_params() == model.count_params()


def test_subclasses_of_the_models(tmp_path):
    class Mine(AlbertForSequenceClassification):
        pass

    make(Mine).save_pretrained(tmp_path)
    assert AlbertForSequenceClassification.from_pretrained(tmp_path).heads == Mine.from_pretrained(tmp_path).heads


def test_low_rank_adapters_of_keras_are_saved_merged(tmp_path):
    model, ids = make(AlbertForSequenceClassification), np.array([[2, 5, 3]])
    query = model.albert.encoder.albert_layer_groups[0].albert_layers[0].attention.query
    plain = model(ids).logits.numpy()
    query.enable_lora(2)
    query.lora_kernel_b.assign(query.lora_kernel_b + 1)
    model.save_pretrained(tmp_path)
    adapted = model(ids).logits.numpy()
    assert np.abs(adapted - plain).max() > 1e-3
    assert_near(AlbertForSequenceClassification.from_pretrained(tmp_path)(ids).logits.numpy(), adapted)


def test_refusals():
    model, ids = make(AlbertForSequenceClassification), np.array([[2, 5, 3]])
    for inputs, sentence in (
        ({}, "give exactly one of input_ids and inputs_embeds; received neither"),
        ({"input_ids": ids[0]}, r"input_ids must have the shape \[batch, sequence\]"),
        ({"input_ids": ids.astype(np.float32)}, "input_ids must be whole numbers"),
        ({"input_ids": ids + 99}, "input_ids must be from 0 to 100"),
        ({"input_ids": np.ones((1, 44), np.int32)}, "at most max_position_embeddings=43 tokens"),
        ({"input_ids": ids, "attention_mask": ids[:, :2]}, r"attention_mask must have the shape \(1, 3\)"),
        ({"input_ids": ids, "token_type_ids": ids}, "token_type_ids must be from 0 to 1"),
        ({"input_ids": ids, "position_ids": ids[:, :2]}, r"position_ids must have the shape \(1, 3\)"),
        ({"input_ids": ids, "head_mask": np.ones(2)}, "head_mask must have the shape"),
        ({"input_ids": ids, "inputs_embeds": np.ones((1, 3, 5))}, "received both"),
        ({"inputs_embeds": np.ones((1, 3, 5))}, r"inputs_embeds must have the shape \(1, 3, 7\)"),
        ({"input_ids": ids, "labels": np.array([2])}, "labels must be from 0 to 1, or -100"),
        ({"input_ids": ids, "labels": np.array([1, 1])}, r"labels must have the shape \(1,\)"),
        ({"input_ids": ids, "labels": np.array([[1, 0]])}, r"tf.cast\(labels, tf.float32\)"),
        ({"input_ids": ids, "labels": np.array([[1.5, 0]])}, "labels must be from 0, a no, to 1, a yes"),
        ({"input_ids": ids, "label": np.array([1])}, "received label; did you mean labels"),
    ):
        with pytest.raises(InputError, match=sentence) as caught:
            model(**inputs)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no end_positions"):
        make(AlbertForQuestionAnswering)(ids, start_positions=np.array([1]))
    with pytest.raises(InputError, match=r"multiple choice must have the shape \[batch, choices, sequence\]"):
        make(AlbertForMultipleChoice)(ids)
    for tensor, sentence in (
        (tf.ragged.constant([[2, 5, 3], [2]]), "dense tensors; received RaggedTensor"),
        (tf.sparse.from_dense(ids), "dense tensors; received SparseTensor"),
        ("two words", r"input_ids must have the shape \[batch, sequence\]"),
    ):
        with pytest.raises(InputError, match=sentence):
            model(tensor)
    with pytest.raises(CheckpointError, match=r"did you mean albert.pooler.bias"):
        model.load_parameters({"albert.pooler.bia": np.ones(15)})
    with pytest.raises(CheckpointError, match=r"must have the shape \(15,\)"):
        model.load_parameters({"albert.pooler.bias": np.ones(14)})


def test_refusals_while_a_graph_is_traced():
    model = make(AlbertForSequenceClassification)
    for shape, sentence in (
        ([None], r"^input_ids must have the shape \[batch, sequence\], none of them 0; received shape \(None,\); .*$"),
        ([None, 44], "^a sequence may have at most max_position_embeddings=43 tokens; .*$"),
        (None, r"^the number of an input's axes must be known; received int32 of unknown shape; tf.ensure_shape\(.*$"),
    ):
        with pytest.raises(InputError, match=sentence):
            tf.function(lambda ids: model(ids).logits).get_concrete_function(tf.TensorSpec(shape, tf.int32))


# -------------------------------------------------------------- parameters


@every_class
def test_parameters_come_and_go_under_the_contract(kind, tmp_path):
    model = make(kind)
    expected = random_parameters(model.config, model.heads)
    exported = model.export_parameters()
    assert list(exported) == list(expected)
    assert all(np.array_equal(exported[name], expected[name]) for name in expected)
    assert model.num_parameters() == sum(array.size for array in expected.values())
    owners = {weight.path.rpartition("/")[0].replace("/", ".") for weight in model.weights}
    assert owners == {name.rpartition(".")[0] for name in expected}
    model.save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path).export_parameters()
    assert all(np.array_equal(loaded[name], expected[name]) for name in expected)


def test_from_pretrained(tmp_path):
    save_tiny_checkpoint(tmp_path)
    with pytest.warns(UserWarning, match="lacks the sequence_classification head"):
        model = AlbertForSequenceClassification.from_pretrained(tmp_path, num_labels=5)
    assert model.classifier.kernel.shape == (15, 5)
    assert AlbertModel.from_pretrained(tmp_path, add_pooling_layer=False).pooler is None
    half = AlbertModel.from_pretrained(tmp_path, dtype="bfloat16")
    assert {weight.dtype for weight in half.weights} == {"bfloat16"}
    half.save_pretrained(tmp_path / "half")
    assert AlbertModel.from_pretrained(tmp_path / "half", dtype="auto").dtype == "bfloat16"
    assert AlbertModel.from_pretrained(tmp_path / "half").dtype == "float32"
    with pytest.raises(InputError, match="dtype must be auto or one of"):
        AlbertModel.from_pretrained(tmp_path, dtype="int8")
    with pytest.raises(ConfigError, match="did you mean num_labels"):
        AlbertModel.from_pretrained(tmp_path, num_label=3)


def test_new_models():
    words = "albert.embeddings.word_embeddings.weight"
    draws = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        draws.append(AlbertForPreTraining(tiny_config(vocab_size=997)).export_parameters())
    assert all(np.array_equal(draws[0][name], draws[1][name]) for name in draws[0])
    assert np.abs(draws[0][words]).max() <= 0.04
    assert draws[0][words].std() == pytest.approx(0.0176, rel=0.03)  # a normal of 0.02 cut at two deviations
    groups = [draws[0][f"albert.encoder.albert_layer_groups.{group}.albert_layers.0.ffn.weight"] for group in (0, 1)]
    assert not np.array_equal(*groups)
    whole = AlbertModel(tiny_config(vocab_size=997, training_convention="huggingface")).export_parameters()[words]
    assert whole.std() == pytest.approx(0.02, rel=0.03)
    assert not whole[0].any()


def test_keras_files(tmp_path):
    for model in (make(AlbertForMaskedLM, dtype="mixed_bfloat16"), make(AlbertModel, add_pooling_layer=False)):
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        assert type(again) is type(model)
        assert (again.config, again.heads, again.dtype_policy) == (model.config, model.heads, model.dtype_policy)
        assert all(np.array_equal(x, y) for x, y in zip(again.get_weights(), model.get_weights(), strict=True))
    described = model.get_config()
    assert AlbertModel.from_config(described).pooler is None
    assert described == model.get_config()
    model.save_weights(tmp_path / "only.weights.h5")
    model.load_weights(tmp_path / "only.weights.h5")
