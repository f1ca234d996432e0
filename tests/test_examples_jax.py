"""The example code of ALBERT's documentation for Flax, with the import line alone changed.

The models behind the names are random ones of the same sizes: forms and shapes are compared, not words.
"""

from __future__ import annotations

import math

import pytest

from .hub_stub import HubStub
from .published_models import serve

jax = pytest.importorskip("jax")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*starts? at random")]  # a head to be trained

NAME = "albert/albert-base-v2"


@pytest.fixture(autouse=True)
def _published(hub_stub: HubStub) -> None:
    serve(hub_stub, [NAME])


def test_model():
    from albertkit import AutoTokenizer, FlaxAlbertModel

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = FlaxAlbertModel.from_pretrained(NAME)

    inputs = tokenizer("Hello, my dog is cute", return_tensors="jax")
    outputs = model(**inputs)
    last_hidden_states = outputs.last_hidden_state
    assert last_hidden_states.shape == (1, inputs["input_ids"].shape[1], 768)
    assert outputs.pooler_output.shape == (1, 768)
    again = model(inputs["input_ids"], inputs["attention_mask"], inputs["token_type_ids"])
    assert (again[0] == last_hidden_states).all()


def test_pretraining():
    from albertkit import AutoTokenizer, FlaxAlbertForPreTraining, FlaxAlbertForPreTrainingOutput

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = FlaxAlbertForPreTraining.from_pretrained(NAME)

    inputs = tokenizer("Hello, my dog is cute", return_tensors="np")
    outputs = model(**inputs)
    assert isinstance(outputs, FlaxAlbertForPreTrainingOutput)
    prediction_logits = outputs.prediction_logits
    sop_logits = outputs.sop_logits
    assert prediction_logits.shape == (*inputs["input_ids"].shape, 30000)
    assert sop_logits.shape == (1, 2)


def test_masked_lm():
    from albertkit import AutoTokenizer, FlaxAlbertForMaskedLM

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = FlaxAlbertForMaskedLM.from_pretrained(NAME)

    inputs = tokenizer("The capital of France is [MASK].", return_tensors="jax")
    outputs = model(**inputs)
    logits = outputs.logits
    (place,) = (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero()[0]
    assert isinstance(tokenizer.decode(logits[0, place, : len(tokenizer)].argmax(-1)), str)


def test_sequence_classification():
    from albertkit import AutoTokenizer, FlaxAlbertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = FlaxAlbertForSequenceClassification.from_pretrained(NAME)
    inputs = tokenizer("Hello, my dog is cute", return_tensors="jax")
    logits = model(**inputs).logits
    assert logits.shape == (1, 2)


def test_token_classification():
    from albertkit import AutoTokenizer, FlaxAlbertForTokenClassification

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = FlaxAlbertForTokenClassification.from_pretrained(NAME)
    inputs = tokenizer("Hello, my dog is cute", return_tensors="jax")
    logits = model(**inputs).logits
    assert logits.shape == (*inputs["input_ids"].shape, 2)


def test_multiple_choice():
    from albertkit import AutoTokenizer, FlaxAlbertForMultipleChoice

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = FlaxAlbertForMultipleChoice.from_pretrained(NAME)

    prompt = "In Italy, pizza served in formal settings, such as at a restaurant, is presented unsliced."
    choice0 = "It is eaten with a fork and a knife."
    choice1 = "It is eaten while held in the hand."
    encoding = tokenizer([prompt, prompt], [choice0, choice1], return_tensors="jax", padding=True)
    outputs = model(**{k: v[None, :] for k, v in encoding.items()})
    logits = outputs.logits
    assert logits.shape == (1, 2)


def test_question_answering():
    from albertkit import AutoTokenizer, FlaxAlbertForQuestionAnswering

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = FlaxAlbertForQuestionAnswering.from_pretrained(NAME)

    question, text = "Who was Jim Henson?", "Jim Henson was a nice puppet"
    inputs = tokenizer(question, text, return_tensors="jax")
    outputs = model(**inputs)
    start_scores = outputs.start_logits
    end_scores = outputs.end_logits
    assert start_scores.shape == end_scores.shape == inputs["input_ids"].shape


def test_parameters_and_dropout_given_in_the_call():
    """A training step as the Flax examples have it: the parameters are the caller's, and so is the random key."""
    from albertkit import AutoTokenizer, FlaxAutoModelForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = FlaxAutoModelForSequenceClassification.from_pretrained(NAME, num_labels=2, seed=0, dtype=jax.numpy.dtype("float32"))
    inputs = dict(tokenizer(["I like it", "I do not"], padding=True, return_tensors="np"))
    labels = jax.numpy.array([1, 0])

    @jax.jit
    def train_step(params, batch, dropout_rng):
        def loss_fn(params):
            logits = model(**batch, params=params, dropout_rng=dropout_rng, train=True)[0]
            return -jax.numpy.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()

        return jax.value_and_grad(loss_fn)(params)

    assert model.params["albert"]["pooler"]["kernel"].shape == (768, 768)
    loss, gradients = train_step(model.params, inputs, jax.random.PRNGKey(0))
    assert math.isfinite(float(loss))
    assert jax.tree.structure(gradients) == jax.tree.structure(model.params)
    model.params = jax.tree.map(lambda parameter, gradient: parameter - 0.01 * gradient, model.params, gradients)
    assert float(train_step(model.params, inputs, jax.random.PRNGKey(0))[0]) < float(loss)


def test_parameters_saved_beside_the_model(tmp_path):
    from albertkit import FlaxAlbertModel

    model = FlaxAlbertModel.from_pretrained(NAME, num_hidden_layers=1)
    params = jax.tree.map(lambda parameter: 2 * parameter, model.params)
    model.save_pretrained(tmp_path, params=params)
    again = FlaxAlbertModel.from_pretrained(tmp_path)
    assert jax.tree.all(jax.tree.map(lambda ours, theirs: bool((ours == theirs).all()), again.params, params))


def test_configuration():
    from albertkit import AlbertConfig, FlaxAlbertModel

    sizes = AlbertConfig(hidden_size=768, num_attention_heads=12, intermediate_size=3072)
    model = FlaxAlbertModel(sizes, input_shape=(1, 1), seed=0, dtype=jax.numpy.float32)
    assert sum(array.size for array in jax.tree.leaves(model.params)) == 11_683_584
