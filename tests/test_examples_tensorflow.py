"""The example code of ALBERT's model cards and of its documentation for TensorFlow, with the import line alone changed.

The models behind the names are random ones of the same sizes: forms and shapes are compared, not words.
"""

from __future__ import annotations

import math

import pytest

from .hub_stub import HubStub
from .published_models import serve

tf = pytest.importorskip("tensorflow")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*starts? at random")]  # a head to be trained

NAME = "albert/albert-base-v2"


@pytest.fixture(autouse=True)
def _published(hub_stub: HubStub, request: pytest.FixtureRequest) -> None:
    serve(hub_stub, ["albert/albert-base-v1" if "card" in request.node.name else NAME])


def test_card_features():
    from albertkit import AlbertTokenizer, TFAlbertModel

    tokenizer = AlbertTokenizer.from_pretrained("albert-base-v1")
    model = TFAlbertModel.from_pretrained("albert-base-v1")
    text = "Replace me by any text you'd like."
    encoded_input = tokenizer(text, return_tensors="tf")
    output = model(encoded_input)
    assert output.last_hidden_state.shape == (1, encoded_input["input_ids"].shape[1], 768)
    assert output.pooler_output.shape == (1, 768)


def test_model():
    from albertkit import AutoTokenizer, TFAlbertModel

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = TFAlbertModel.from_pretrained(NAME)
    inputs = tokenizer("Hello, my dog is cute", return_tensors="tf")
    outputs = model(inputs)
    last_hidden_states = outputs.last_hidden_state
    assert last_hidden_states.shape[-1] == 768
    for again in (model(dict(inputs)), model(**inputs), model(inputs["input_ids"], inputs["attention_mask"], training=False)):
        assert float(tf.reduce_max(tf.abs(again.last_hidden_state - last_hidden_states))) < 1e-5
    states, *_ = model(inputs, return_dict=False)
    assert states.shape == last_hidden_states.shape


def test_pretraining():
    from albertkit import AutoTokenizer, TFAlbertForPreTraining, TFAlbertForPreTrainingOutput

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = TFAlbertForPreTraining.from_pretrained(NAME)
    input_ids = tf.constant(tokenizer.encode("Hello, my dog is cute", add_special_tokens=True))[None, :]  # batch size 1
    outputs = model(input_ids)
    assert isinstance(outputs, TFAlbertForPreTrainingOutput)
    prediction_logits = outputs.prediction_logits
    sop_logits = outputs.sop_logits
    assert prediction_logits.shape == (*input_ids.shape, 30000)
    assert sop_logits.shape == (1, 2)


def test_masked_lm():
    from albertkit import AutoTokenizer, TFAlbertForMaskedLM

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = TFAlbertForMaskedLM.from_pretrained(NAME)

    inputs = tokenizer("The capital of [MASK] is Paris.", return_tensors="tf")
    logits = model(**inputs).logits
    mask_token_index = tf.where(inputs.input_ids == tokenizer.mask_token_id)[0][1]
    predicted_token_id = tf.math.argmax(logits[0, mask_token_index, : len(tokenizer)], axis=-1)
    assert isinstance(tokenizer.decode(predicted_token_id), str)

    labels = tokenizer("The capital of France is Paris.", return_tensors="tf")["input_ids"]
    labels = tf.where(inputs.input_ids == tokenizer.mask_token_id, labels, -100)
    outputs = model(**inputs, labels=labels)
    assert math.isfinite(round(float(outputs.loss), 2))


def test_sequence_classification():
    from albertkit import AutoTokenizer, TFAlbertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = TFAlbertForSequenceClassification.from_pretrained(NAME)

    inputs = tokenizer("Hello, my dog is cute", return_tensors="tf")
    logits = model(**inputs).logits
    predicted_class_id = int(tf.math.argmax(logits, axis=-1)[0])
    assert model.config.id2label[predicted_class_id] == f"LABEL_{predicted_class_id}"

    num_labels = len(model.config.id2label)
    model = TFAlbertForSequenceClassification.from_pretrained(NAME, num_labels=num_labels)
    labels = tf.constant(1)  # of the one text, without a batch dimension
    loss = model(**inputs, labels=labels).loss
    assert math.isfinite(round(float(loss), 2))
    assert float(model({**inputs, "labels": tf.constant([1])}).loss) == float(loss)


def test_token_classification():
    from albertkit import AutoTokenizer, TFAlbertForTokenClassification

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = TFAlbertForTokenClassification.from_pretrained(NAME)

    text = "HuggingFace is a company based in Paris and New York"
    inputs = tokenizer(text, add_special_tokens=False, return_tensors="tf")
    logits = model(**inputs).logits
    predicted_token_class_ids = tf.math.argmax(logits, axis=-1)
    predicted_tokens_classes = [model.config.id2label[t] for t in predicted_token_class_ids[0].numpy().tolist()]
    assert len(predicted_tokens_classes) == inputs["input_ids"].shape[1]

    labels = predicted_token_class_ids
    loss = tf.math.reduce_mean(model(**inputs, labels=labels).loss)
    assert math.isfinite(round(float(loss), 2))


def test_multiple_choice():
    from albertkit import AutoTokenizer, TFAlbertForMultipleChoice

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = TFAlbertForMultipleChoice.from_pretrained(NAME)

    prompt = "In Italy, pizza served in formal settings, such as at a restaurant, is presented unsliced."
    choice0 = "It is eaten with a fork and a knife."
    choice1 = "It is eaten while held in the hand."
    encoding = tokenizer([prompt, prompt], [choice0, choice1], return_tensors="tf", padding=True)
    inputs = {k: tf.expand_dims(v, 0) for k, v in encoding.items()}
    outputs = model(inputs)  # batch size 1
    logits = outputs.logits
    assert logits.shape == (1, 2)


def test_question_answering():
    from albertkit import AutoTokenizer, TFAlbertForQuestionAnswering

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = TFAlbertForQuestionAnswering.from_pretrained(NAME)

    question, text = "Who was Jim Henson?", "Jim Henson was a nice puppet"
    inputs = tokenizer(question, text, return_tensors="tf")
    outputs = model(**inputs)
    answer_start_index = int(tf.math.argmax(outputs.start_logits, axis=-1)[0])
    answer_end_index = int(tf.math.argmax(outputs.end_logits, axis=-1)[0])
    predict_answer_tokens = inputs.input_ids[0, answer_start_index : answer_end_index + 1]
    assert isinstance(tokenizer.decode(predict_answer_tokens), str)

    target_start_index = tf.constant([12])
    target_end_index = tf.constant([13])
    outputs = model(**inputs, start_positions=target_start_index, end_positions=target_end_index)
    loss = tf.math.reduce_mean(outputs.loss)
    assert math.isfinite(round(float(loss), 2))


def test_training_by_fit():
    """The documentation's call for fine-tuning: inputs as a mapping, labels in it or beside it, and no loss named."""
    from albertkit import AutoTokenizer, TFAutoModelForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(NAME)
    model = TFAutoModelForSequenceClassification.from_pretrained(NAME, num_labels=2, num_hidden_layers=1)
    inputs = dict(tokenizer(["I like it", "I do not"], padding=True, return_tensors="tf"))
    labels = tf.constant([1, 0])
    model.compile(optimizer="adam")
    beside = model.fit(inputs, labels, epochs=1, verbose=0)
    within = model.fit({**inputs, "labels": labels}, epochs=1, verbose=0)
    assert all(math.isfinite(history.history["loss"][0]) for history in (beside, within))


def test_configuration():
    from albertkit import AlbertConfig, TFAlbertModel

    model = TFAlbertModel(AlbertConfig(hidden_size=768, num_attention_heads=12, intermediate_size=3072))
    assert model.config.hidden_size == 768
    assert model.num_parameters() == 11_683_584
