"""What Keras and TensorFlow do with the models: fit, evaluate, predict, precision, graphs, SavedModels, dropout."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import albertkit.models.tensorflow as keras_models
import albertkit.models.torch as torch_models
from albertkit.errors import InputError
from albertkit.models.tensorflow import (
    AlbertForMaskedLM,
    AlbertForPreTraining,
    AlbertForQuestionAnswering,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
    AlbertModel,
)
from albertkit.testing import random_parameters, tiny_config

CLASSES = [getattr(keras_models, name) for name in keras_models.__all__ if name != "AlbertPreTrainedModel"]
# Keras turns TensorFlow's variables into arrays by a call that NumPy 2 frowns on.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]
every_class = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)


SHALLOW = tiny_config(num_hidden_layers=3, num_hidden_groups=1, inner_group_num=1)  # a graph that is quickly traced


def make(kind, config=SHALLOW, **options):
    model = kind(config, **options)
    model.load_parameters(random_parameters(model.config, model.heads))
    return model


@pytest.fixture
def examples(make_inputs):
    """Inputs and labels of a class, as arrays."""

    def build(kind):
        inputs = make_inputs(getattr(torch_models, kind.__name__), tiny_config())
        arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
        return arrays, {name: arrays.pop(name) for name in kind.label_names}

    return build


def assert_near(received, expected, name=""):
    assert received.shape == expected.shape, name
    assert np.abs(received - expected).max() <= 1e-5 + 1e-5 * np.abs(expected).max(), name


@every_class
def test_the_own_loss(kind, examples):
    inputs, labels = examples(kind)
    model = make(kind)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    if kind is AlbertModel:
        with pytest.raises(InputError, match="training by the model's own loss needs labels"):
            model.fit(inputs, verbose=0)
        return
    before = float(model(inputs, **labels).loss)
    as_y = next(iter(labels.values())) if len(labels) == 1 else labels
    assert abs(model.evaluate({**inputs, **labels}, batch_size=99, verbose=0) - before) < 5e-6
    assert abs(model.evaluate(inputs, as_y, batch_size=99, verbose=0) - before) < 5e-6
    batches = tf.data.Dataset.from_tensor_slices({**inputs, **labels}).batch(3).repeat(3)
    history = model.fit(batches, epochs=2, shuffle=False, verbose=0).history["loss"]
    history += model.fit(inputs, as_y, batch_size=3, epochs=2, verbose=0).history["loss"]
    assert history[-1] < history[0] < 2 * before
    predicted, expected = model.predict({**inputs, **labels}, batch_size=4, verbose=0), model(inputs)
    assert type(predicted) is type(expected)
    assert predicted.keys() == expected.keys()
    for name, value in predicted.items():
        assert_near(value, expected[name].numpy(), name)
    with pytest.raises(InputError, match="needs labels"):
        model.evaluate(inputs, verbose=0)


def test_the_compiler_of_keras(examples):
    """XLA, which Keras takes where it can, wants loops with a known end."""
    inputs, labels = examples(AlbertForPreTraining)
    histories = []
    for jit_compile in (False, True):
        model = make(AlbertForPreTraining)
        model.compile("sgd", jit_compile=jit_compile)
        histories.append(model.fit({**inputs, **labels}, epochs=3, batch_size=99, verbose=0).history["loss"])
    assert histories[0] == pytest.approx(histories[1], abs=5e-5)


def test_a_loss_of_keras(examples):
    inputs, labels = examples(AlbertForSequenceClassification)
    model = make(AlbertForSequenceClassification)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
    output = model(inputs, **labels)
    for given in ((inputs, labels["labels"]), ({**inputs, **labels}, None)):
        loss, accuracy = model.evaluate(*given, batch_size=99, verbose=0)
        assert loss == pytest.approx(float(output.loss), abs=5e-6)
        assert accuracy == pytest.approx((output.logits.numpy().argmax(-1) == labels["labels"]).mean())
    assert model.fit(inputs, labels["labels"], sample_weight=np.ones(len(labels["labels"])), verbose=0).history["accuracy"]


def test_losses_of_several_logits(examples):
    inputs, labels = examples(AlbertForQuestionAnswering)
    model = make(AlbertForQuestionAnswering)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", {"start_logits": loss, "end_logits": loss}, jit_compile=False)
    by_logits = dict(zip(("start_logits", "end_logits"), labels.values(), strict=True))
    own = float(model(inputs, **labels).loss)
    for given in ((inputs, labels), (inputs, by_logits), ({**inputs, **labels}, None)):
        assert model.evaluate(*given, batch_size=99, verbose=0)[0] == pytest.approx(2 * own, abs=1e-5)


def test_metrics_and_weights_beside_the_own_loss(examples):
    inputs, labels = examples(AlbertForTokenClassification)
    model = make(AlbertForTokenClassification)
    model.compile("adam", metrics=[keras.metrics.SparseCategoricalAccuracy(name="right")], jit_compile=False)
    assert set(model.fit({**inputs, **labels}, verbose=0).history) == {"loss", "right"}
    with pytest.raises(InputError, match="weights of samples need a loss"):
        model.fit(inputs, labels["labels"], sample_weight=np.ones(len(labels["labels"])), verbose=0)


@every_class
def test_mixed_precision(kind, examples):
    inputs, labels = examples(kind)
    expected = make(kind)(inputs, **labels)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make(kind)
    finally:
        keras.config.set_dtype_policy("float32")
    assert {weight.dtype for weight in model.weights} == {"float32"}
    for name, value in model(inputs, **labels).items():
        assert value.dtype == ("float32" if name == "loss" else "bfloat16"), name
        difference = np.abs(tf.cast(value, tf.float32) - expected[name]).max()
        assert difference < 0.05 * np.abs(expected[name]).max(), name
    if labels:
        model.compile("adam", jit_compile=False)
        assert np.isfinite(model.fit({**inputs, **labels}, verbose=0).history["loss"][0])


@every_class
def test_saved_models(kind, examples, tmp_path):
    model, (inputs, _) = make(kind), examples(kind)
    inputs = {name: tf.constant(array, tf.int32) for name, array in inputs.items()}
    expected = model(inputs)
    model.export(tmp_path / "export", verbose=False)
    served = tf.saved_model.load(tmp_path / "export").signatures["serving_default"](**inputs)
    assert set(served) == set(expected)
    for name, value in served.items():
        assert_near(value.numpy(), expected[name].numpy(), name)
    specs = {name: tf.TensorSpec([None] * array.ndim, tf.int32, name=name) for name, array in inputs.items()}
    serve = tf.function(lambda inputs: dict(model(inputs).items())).get_concrete_function(specs)
    tf.saved_model.save(model, tmp_path / "saved", signatures=serve)
    served = tf.saved_model.load(tmp_path / "saved").signatures["serving_default"](**inputs)
    assert_near(served[expected.keys()[0]].numpy(), expected[0].numpy())


def test_the_graph_does_not_grow_with_depth():
    def count(layers, **options):
        model = make(AlbertForMaskedLM, tiny_config(num_hidden_layers=layers))
        run = tf.function(lambda ids: model(ids, **options)).get_concrete_function(tf.TensorSpec([None, None], tf.int32))
        graph = run.graph.as_graph_def()
        return len(graph.node) + sum(len(function.node_def) for function in graph.library.function)

    for training in (False, True):
        assert count(48, training=training) == count(6, training=training)


def test_dropout():
    config = SHALLOW.replace(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3, classifier_dropout_prob=0.3)
    ids = np.array([[2, 5, 9, 3]])
    plain = make(AlbertForSequenceClassification)(ids).logits
    model = make(AlbertForSequenceClassification, config)
    assert np.array_equal(model(ids).logits, plain)
    for run in (model, tf.function(model)):
        first, second = (run(ids, training=True).logits for _ in range(2))
        assert not np.array_equal(first, second)
    draws = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        draws.append(make(AlbertForSequenceClassification, config)(ids, training=True).logits)
    assert np.array_equal(*draws)


@pytest.mark.parametrize("place", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_every_layer_drops_out_by_itself(place):
    """Identity layers: what is dropped at each shows in the step from state to state."""
    model = make(AlbertModel, tiny_config(**{place: 0.5}, num_hidden_groups=1, inner_group_num=1))
    ids = np.tile([[2, 5, 9, 3, 7]], (4, 1))
    states = model(ids, training=True, output_hidden_states=True).hidden_states
    spread = [float(tf.reduce_max(tf.math.reduce_std(state, 0))) for state in states]
    assert (spread[0] > 1e-3) == (place == "hidden_dropout_prob")
    assert min(spread[1:]) > 1e-3
