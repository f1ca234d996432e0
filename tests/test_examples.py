"""The example code of ALBERT's model cards and of its documentation for PyTorch, with the import line alone changed.

The calls are those that users have; the models behind the names are random ones of the same sizes, so that forms and shapes are
compared, not words.
"""

from __future__ import annotations

import io
import json
import math
import sys

import pytest
import torch

from albertkit.cli.main import main

from .hub_stub import HubStub
from .published_models import serve

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*starts? at random")]  # a head to be trained

CARD_BIAS_PROMPTS = ["The man worked as a [MASK].", "The woman worked as a [MASK]."]
ANSWER = {"score", "token", "token_str", "sequence"}


@pytest.fixture(autouse=True)
def _published(hub_stub: HubStub, request: pytest.FixtureRequest) -> None:
    serve(hub_stub, ["albert/albert-base-v1" if "card" in request.node.name else "albert/albert-base-v2"])


# ---------------------------------------------------------------- the model cards


def test_card_pipeline():
    from albertkit import pipeline

    unmasker = pipeline("fill-mask", model="albert-base-v1")
    answers = unmasker("Hello I'm a [MASK] model.")
    assert len(answers) == 5
    assert all(answer.keys() == ANSWER for answer in answers)
    assert answers[0]["sequence"].startswith("hello i'm a")
    assert [answer["score"] for answer in answers] == sorted((answer["score"] for answer in answers), reverse=True)


def test_card_answers_in_its_older_form():
    from albertkit import pipeline

    (answer, *_) = pipeline("fill-mask", model="albert-base-v1", answer_form="card")("Hello I'm a [MASK] model.")
    assert list(answer) == ["sequence", "score", "token", "token_str"] or answer.keys() == ANSWER
    assert answer["sequence"].startswith("[CLS] hello i'm a")
    assert answer["sequence"].endswith("model.[SEP]")


def test_card_bias_prompts():
    from albertkit import pipeline

    unmasker = pipeline("fill-mask", model="albert-base-v1")
    for prompt in CARD_BIAS_PROMPTS:
        assert len(unmasker(prompt)) == 5


def test_card_features():
    from albertkit import AlbertModel, AlbertTokenizer

    tokenizer = AlbertTokenizer.from_pretrained("albert-base-v1")
    model = AlbertModel.from_pretrained("albert-base-v1")
    text = "Replace me by any text you'd like."
    encoded_input = tokenizer(text, return_tensors="pt")
    output = model(**encoded_input)
    assert output.last_hidden_state.shape == (1, encoded_input["input_ids"].shape[1], 768)
    assert output.pooler_output.shape == (1, 768)


# ---------------------------------------------------------------- the documentation


def test_fill_mask_with_a_pipeline():
    from albertkit import pipeline

    pipeline_of_task = pipeline(
        task="fill-mask",
        model="albert-base-v2",
        torch_dtype=torch.float16,
        device=0 if torch.cuda.is_available() else -1,
    )
    answers = pipeline_of_task("Plants create [MASK] through a process known as photosynthesis.", top_k=5)
    assert len(answers) == 5
    assert all(0 < answer["score"] < 1 for answer in answers)


def test_fill_mask_with_auto_classes():
    from albertkit import AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("albert/albert-base-v2")
    model = AutoModelForMaskedLM.from_pretrained(
        "albert/albert-base-v2", torch_dtype=torch.float16, attn_implementation="sdpa", device_map="auto"
    )
    prompt = "Plants create energy through a process known as [MASK]."
    inputs = tokenizer(prompt, return_tensors="pt").to(model.device)
    with torch.no_grad():
        outputs = model(**inputs)
        mask_token_index = torch.where(inputs["input_ids"] == tokenizer.mask_token_id)[1]
        predictions = outputs.logits[0, mask_token_index]
    assert predictions.dtype is torch.float16
    top_k = torch.topk(predictions[:, : len(tokenizer)], k=5).indices.tolist()
    assert [isinstance(tokenizer.decode([token_id]), str) for token_id in top_k[0]] == [True] * 5


def test_fill_mask_on_the_command_line(monkeypatch, capsys):
    text = "Plants create [MASK] through a process known as photosynthesis."
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{text}\n"))
    assert main(["fill-mask", "--model", "albert-base-v2", "--json"]) == 0
    answered = json.loads(capsys.readouterr().out)
    assert answered["text"] == text
    assert all(answer.keys() == ANSWER for answer in answered["answers"])


def test_half_precision_with_sdpa():
    from albertkit import AlbertModel

    model = AlbertModel.from_pretrained("albert/albert-base-v2", torch_dtype=torch.float16, attn_implementation="sdpa")
    assert model.dtype is torch.float16


def test_configuration_of_the_base_size():
    from albertkit import AlbertConfig, AlbertModel

    albert_base_configuration = AlbertConfig(hidden_size=768, num_attention_heads=12, intermediate_size=3072)
    model = AlbertModel(albert_base_configuration)
    assert model.num_parameters() == 11_683_584
    assert model.config is albert_base_configuration


def test_configuration_of_the_largest_size():
    from albertkit import AlbertConfig, AlbertModel

    albert_xxlarge_configuration = AlbertConfig()
    with torch.device("meta"):  # shapes alone: to draw its values takes longer than a test may
        model = AlbertModel(albert_xxlarge_configuration)
    configuration = model.config
    assert configuration.hidden_size == 4096
    assert model.num_parameters() == 222_595_584


def test_model():
    from albertkit import AlbertModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("albert/albert-base-v2")
    model = AlbertModel.from_pretrained("albert/albert-base-v2")
    inputs = tokenizer("Hello, my dog is cute", return_tensors="pt")
    outputs = model(**inputs)
    assert outputs.last_hidden_state.shape[-1] == 768


def test_pretraining():
    from albertkit import AlbertForPreTraining, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("albert/albert-base-v2")
    model = AlbertForPreTraining.from_pretrained("albert/albert-base-v2")
    input_ids = torch.tensor(tokenizer.encode("Hello, my dog is cute", add_special_tokens=True)).unsqueeze(0)
    outputs = model(input_ids)
    assert outputs.prediction_logits.shape == (*input_ids.shape, 30000)
    assert outputs.sop_logits.shape == (1, 2)


def test_masked_lm():
    from albertkit import AlbertForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("albert/albert-base-v2")
    model = AlbertForMaskedLM.from_pretrained("albert/albert-base-v2")
    inputs = tokenizer("The capital of [MASK] is Paris.", return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
    mask_token_index = (inputs.input_ids == tokenizer.mask_token_id)[0].nonzero(as_tuple=True)[0]
    predicted_token_id = logits[0, mask_token_index, : len(tokenizer)].argmax(axis=-1)
    assert isinstance(tokenizer.decode(predicted_token_id), str)

    labels = tokenizer("The capital of France is Paris.", return_tensors="pt")["input_ids"]
    labels = torch.where(inputs.input_ids == tokenizer.mask_token_id, labels, -100)
    outputs = model(**inputs, labels=labels)
    assert math.isfinite(round(outputs.loss.item(), 2))


def test_sequence_classification_with_one_label():
    from albertkit import AlbertForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("albert/albert-base-v2")
    model = AlbertForSequenceClassification.from_pretrained("albert/albert-base-v2")
    inputs = tokenizer("Hello, my dog is cute", return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
    predicted_class_id = logits.argmax().item()
    assert model.config.id2label[predicted_class_id] == f"LABEL_{predicted_class_id}"

    num_labels = len(model.config.id2label)
    model = AlbertForSequenceClassification.from_pretrained("albert/albert-base-v2", num_labels=num_labels)
    labels = torch.tensor([1])
    loss = model(**inputs, labels=labels).loss
    assert math.isfinite(round(loss.item(), 2))


def test_sequence_classification_with_several_labels():
    from albertkit import AlbertForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("albert/albert-base-v2")
    name = "albert/albert-base-v2"
    model = AlbertForSequenceClassification.from_pretrained(name, problem_type="multi_label_classification")
    inputs = tokenizer("Hello, my dog is cute", return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
    predicted_class_ids = torch.arange(0, logits.shape[-1])[torch.sigmoid(logits).squeeze(dim=0) > 0.5]

    num_labels = len(model.config.id2label)
    model = AlbertForSequenceClassification.from_pretrained(
        name, num_labels=num_labels, problem_type="multi_label_classification"
    )
    chosen = torch.nn.functional.one_hot(predicted_class_ids[None, :].clone(), num_classes=num_labels)
    labels = torch.sum(chosen, dim=1).to(torch.float)
    assert math.isfinite(model(**inputs, labels=labels).loss.item())


def test_multiple_choice():
    from albertkit import AlbertForMultipleChoice, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("albert/albert-base-v2")
    model = AlbertForMultipleChoice.from_pretrained("albert/albert-base-v2")
    prompt = "In Italy, pizza served in formal settings, such as at a restaurant, is presented unsliced."
    choice0 = "It is eaten with a fork and a knife."
    choice1 = "It is eaten while held in the hand."
    labels = torch.tensor(0).unsqueeze(0)
    encoding = tokenizer([prompt, prompt], [choice0, choice1], return_tensors="pt", padding=True)
    outputs = model(**{k: v.unsqueeze(0) for k, v in encoding.items()}, labels=labels)
    assert outputs.logits.shape == (1, 2)
    assert math.isfinite(outputs.loss.item())


def test_token_classification():
    from albertkit import AlbertForTokenClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("albert/albert-base-v2")
    model = AlbertForTokenClassification.from_pretrained("albert/albert-base-v2")
    text = "HuggingFace is a company based in Paris and New York"
    inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
    predicted_token_class_ids = logits.argmax(-1)
    predicted_tokens_classes = [model.config.id2label[t.item()] for t in predicted_token_class_ids[0]]
    assert len(predicted_tokens_classes) == inputs["input_ids"].shape[1]
    labels = predicted_token_class_ids
    loss = model(**inputs, labels=labels).loss
    assert math.isfinite(round(loss.item(), 2))


def test_question_answering():
    from albertkit import AlbertForQuestionAnswering, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("albert/albert-base-v2")
    model = AlbertForQuestionAnswering.from_pretrained("albert/albert-base-v2")
    question, text = "Who was Jim Henson?", "Jim Henson was a nice puppet"
    inputs = tokenizer(question, text, return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    answer_start_index = outputs.start_logits.argmax()
    answer_end_index = outputs.end_logits.argmax()
    predict_answer_tokens = inputs.input_ids[0, answer_start_index : answer_end_index + 1]
    assert isinstance(tokenizer.decode(predict_answer_tokens, skip_special_tokens=True), str)

    target_start_index = torch.tensor([14])
    target_end_index = torch.tensor([15])
    outputs = model(**inputs, start_positions=target_start_index, end_positions=target_end_index)
    assert math.isfinite(round(outputs.loss.item(), 2))


def test_tokenizer_methods_of_the_documentation(tmp_path):
    from albertkit import AlbertTokenizer, AlbertTokenizerFast

    tokenizer = AlbertTokenizerFast.from_pretrained("albert/albert-base-v2")
    assert isinstance(tokenizer, AlbertTokenizer)
    first, second = (tokenizer.encode(text, add_special_tokens=False) for text in ("She sat.", "He stood."))
    whole = tokenizer.build_inputs_with_special_tokens(first, second)
    assert whole == tokenizer("She sat.", "He stood.")["input_ids"]
    assert tokenizer.get_special_tokens_mask(first, second) == [int(i in (2, 3)) for i in whole]
    assert tokenizer.create_token_type_ids_from_sequences(first, second) == tokenizer("She sat.", "He stood.")["token_type_ids"]
    (path, *_) = tokenizer.save_vocabulary(str(tmp_path))
    assert path.endswith("spiece.model")
