"""What Keras and TensorFlow do with the models: fit, evaluate, predict, precision, graphs, SavedModels, dropout."""

from __future__ import annotations

import os
import subprocess
import sys

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
from albertkit.testing import random_parameters, tiny_config, tiny_tokenizer

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


def test_what_is_added_to_the_own_loss(examples):
    inputs, labels = examples(AlbertForSequenceClassification)
    model = make(AlbertForSequenceClassification)
    expected = float(model(inputs, **labels).loss) + 0.5 * float(tf.reduce_sum(model.classifier.kernel**2))
    model.classifier.kernel.regularizer = keras.regularizers.L2(0.5)
    for loss in (None, keras.losses.SparseCategoricalCrossentropy(from_logits=True)):
        model.compile(loss=loss, run_eagerly=True)
        assert model.test_on_batch(inputs, labels["labels"]) == pytest.approx(expected, abs=5e-6)


def test_labels_that_the_model_has_not(examples):
    inputs, labels = examples(AlbertForPreTraining)
    model = make(AlbertForPreTraining)
    model.compile(run_eagerly=True)
    misspelt = {"labels": labels["labels"], "sentence_order_labels": labels["sentence_order_label"]}
    for given in (misspelt, (*labels.values(), labels["labels"])):
        with pytest.raises(InputError, match="y may hold the model's own labels only"):
            model.test_on_batch(inputs, given)
    assert model.test_on_batch(inputs, tuple(labels.values())) == pytest.approx(float(model(inputs, **labels).loss), abs=5e-6)
    model = make(AlbertForPreTraining, SHALLOW.replace(return_dict=False))
    model.compile(run_eagerly=True)
    with pytest.raises(InputError, match=r"own loss needs outputs by name; received a tuple; .*return_dict=True"):
        model.test_on_batch(inputs, labels)


def test_a_subclass_that_returns_logits_alone(examples):
    class Mine(AlbertForSequenceClassification):
        def call(self, input_ids, attention_mask=None, training=False):
            return super().call(input_ids, attention_mask, training=training).logits

    inputs, labels = examples(AlbertForSequenceClassification)
    model, loss = make(Mine), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["accuracy"], run_eagerly=True)
    expected = float(loss(labels["labels"], model(inputs["input_ids"])))
    assert model.test_on_batch(inputs["input_ids"], labels["labels"])[0] == pytest.approx(expected, abs=5e-6)


def test_what_a_tokenizer_returns_is_fitted():
    encoded = tiny_tokenizer()(["replace me", "by any text"], padding=True, return_tensors="np")
    model = make(AlbertForSequenceClassification)
    model.compile("sgd", run_eagerly=True)
    assert np.isfinite(model.fit(encoded, np.array([0, 1]), verbose=0).history["loss"][0])
    assert model.predict(encoded, verbose=0).logits.shape == (2, 2)
    batches = tf.data.Dataset.from_tensor_slices((encoded, [0, 1])).batch(2)
    assert np.isfinite(model.evaluate(batches, verbose=0))


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


def test_saved_models_of_hidden_states(tmp_path):
    model, ids = make(AlbertModel, SHALLOW.replace(output_hidden_states=True, return_dict=False)), tf.constant([[2, 5, 3]])
    model.export(tmp_path, verbose=False, input_signature=[tf.TensorSpec([None, None], tf.int32)])
    served = tf.saved_model.load(tmp_path)
    assert_near(served.serve(ids)["hidden_states"].numpy(), np.stack(model(ids)[2]))


@every_class
def test_checkpoints_of_tensorflow_hold_every_parameter(kind, tmp_path):
    model, other = make(kind, tiny_config()), kind(tiny_config())
    saved = tf.train.Checkpoint(model=model).save(tmp_path / "checkpoint")
    tf.train.Checkpoint(model=other).restore(saved).assert_consumed()
    expected = model.export_parameters()
    assert all(np.array_equal(array, expected[name]) for name, array in other.export_parameters().items())


@pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated:UserWarning")
def test_conversion_for_small_devices(examples, tmp_path):
    """TensorFlow Lite's own operations are enough, with sizes that are not known before."""
    (inputs, _), model = examples(AlbertForSequenceClassification), make(AlbertForSequenceClassification)
    model.export(tmp_path / "model.tflite", format="litert", verbose=False)
    run = tf.lite.Interpreter(str(tmp_path / "model.tflite")).get_signature_runner()
    for length in (5, 9):
        given = {name: array[:, :length].astype(np.int32) for name, array in inputs.items()}
        assert_near(run(**given)["logits"], model(given).logits.numpy())


TWO_DEVICES = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from albertkit.models.tensorflow import AlbertForSequenceClassification
from albertkit.testing import random_parameters, tiny_config

ids, labels, models = np.arange(24).reshape(4, 6) + 5, np.array([0, 1, 1, 0]), []
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with strategy.scope():
        model = AlbertForSequenceClassification(tiny_config(num_hidden_layers=1, num_hidden_groups=1, inner_group_num=1))
        model.load_parameters(random_parameters(model.config, model.heads))
        model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    loss = model.fit(ids, labels, batch_size=4, shuffle=False, verbose=0).history["loss"][0]
    models.append([np.array(loss), model.predict(ids, batch_size=4, verbose=0)["logits"], *model.get_weights()])
assert strategy.num_replicas_in_sync == 2
print(max(float(np.abs(one - two).max()) for one, two in zip(*models)))
"""


def test_two_devices_learn_and_predict_what_one_does():
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", TWO_DEVICES]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | quiet, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert float(done.stdout.split()[-1]) < 1e-5


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
