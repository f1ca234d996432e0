"""text-classification: answers and their form beside transformers' own pipeline, and what is refused."""

from __future__ import annotations

import lzma
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from albertkit import pipeline
from albertkit.errors import CheckpointError, InputError
from albertkit.pipelines.probabilities import sigmoid, softmax

CLASS = "AlbertForSequenceClassification"
FORMS = [
    {}, {"top_k": 1}, {"top_k": 2}, {"top_k": None}, {"function_to_apply": "sigmoid", "top_k": None},
    {"function_to_apply": "none", "top_k": None}, {"function_to_apply": "softmax"},
]  # fmt: skip


@pytest.fixture(scope="module")
def classifier(save_tiny):
    return pipeline("text-classification", save_tiny(CLASS, num_labels=5), engine="numpy")


@pytest.fixture(scope="module")
def english(save_english) -> Path:
    return save_english(CLASS, num_labels=5)


@pytest.fixture(scope="module")
def inputs(shared_data) -> list:
    """Sentences and pairs of them, by turns."""
    with lzma.open(shared_data / "glue/SST-2/dev.tsv.xz", "rt", encoding="utf8") as lines:
        sentences = [line.split("\t")[0].strip() for line in lines][1:151]
    with lzma.open(shared_data / "glue/MRPC/msr_paraphrase_test.txt.xz", "rt", encoding="utf8") as lines:
        pairs = [line.rstrip("\n").split("\t")[3:] for line in lines][1:151]
    mixed: list = []
    for sentence, (first, second) in zip(sentences, pairs, strict=True):
        mixed += [sentence, {"text": first, "text_pair": second}]
    return mixed


def flatten(answers) -> list[dict]:
    return [row for answer in answers for row in (answer if isinstance(answer, list) else [answer])]


def assert_equal(ours, theirs) -> None:
    """Of one form, with equal labels and scores."""
    assert type(ours) is type(theirs)
    assert [type(answer) for answer in ours] == [type(answer) for answer in theirs]
    found, expected = flatten(ours), flatten(theirs)
    assert [row["label"] for row in found] == [row["label"] for row in expected]
    assert [row["score"] for row in found] == pytest.approx([row["score"] for row in expected], rel=1e-5, abs=1e-5)


@pytest.mark.slow
def test_real_sentences_and_pairs_are_classified_as_by_transformers(english, inputs, peer_pipeline):
    kinds = [pipeline("text-classification", english, engine=engine) for engine in ("numpy", "torch")]
    theirs = peer_pipeline("text-classification", english)
    labels = Counter(row["label"] for row in kinds[0](inputs))
    assert len(labels) >= 3, labels
    assert max(labels.values()) < 0.8 * len(inputs), labels
    for form in FORMS:
        texts = inputs if form == {"top_k": None} else inputs[:30]
        expected = theirs(texts, batch_size=16, **form)
        for kind in kinds:
            assert_equal(kind(texts, **form), expected)


@pytest.mark.parametrize(
    "problem",
    [
        {"num_labels": 1}, {"num_labels": 1, "problem_type": "regression"}, {"num_labels": 3, "problem_type": "regression"},
        {"num_labels": 3, "problem_type": "multi_label_classification"},
        {"num_labels": 3, "problem_type": "single_label_classification"}, {"num_labels": 2},
    ],
)  # fmt: skip
def test_scores_are_what_the_model_was_trained_for(save_tiny, peer_pipeline, problem):
    directory = save_tiny(CLASS, **problem)
    texts = ["the cat sat", "paris", "the model is new"]
    for form in ({}, {"top_k": None}):
        ours = pipeline("text-classification", directory, engine="numpy")(texts, **form)
        assert_equal(ours, peer_pipeline("text-classification", directory)(texts, **form))


@pytest.mark.parametrize("made", [{}, {"top_k": 1}, {"top_k": None}, {"top_k": 2}])
def test_answers_have_transformers_shapes(save_tiny, peer_pipeline, made):
    directory = save_tiny(CLASS, num_labels=3)
    ours = pipeline("text-classification", directory, engine="numpy", **made)
    theirs = peer_pipeline("text-classification", directory, **made)
    one, pair = "the cat sat", {"text": "the cat", "text_pair": "a dog"}

    def shape(value):
        return [shape(item) for item in value] if isinstance(value, list) else sorted(value)

    for inputs in (one, [one], [one, one], pair, [pair], [pair, one], {"text": one}):
        for form in ({}, {"top_k": 1}, {"top_k": 2}, {"top_k": None}):
            assert shape(ours(inputs, **form)) == shape(theirs(inputs, **form)), (inputs, form)


def test_order_batches_and_neighbours_change_nothing(classifier, save_tiny):
    texts = ["the cat", "a dog sat on the new model of paris", "he", {"text": "the cat", "text_pair": "she sat"}, "it was"] * 3
    alone = [row["score"] for text in texts for row in flatten([classifier(text, top_k=None)])]
    for settings in ({"batch_size": 2}, {"token_budget": 8}, {}):
        other = pipeline("sentiment-analysis", save_tiny(CLASS, num_labels=5), engine="numpy", **settings)
        assert [row["score"] for row in flatten(other(texts, top_k=None))] == pytest.approx(alone, abs=1e-5)
    backwards = flatten(reversed(classifier(texts[::-1], top_k=None)))
    assert [row["score"] for row in backwards] == pytest.approx(alone, abs=1e-5)


def test_a_generator_gives_an_iterator_and_errors_can_be_answers(save_tiny):
    directory = save_tiny(CLASS)
    kind = pipeline("text-classification", directory, engine="numpy", errors="return")
    answers = kind(text for text in ["the cat", "", "a dog", "\ud800", "the " * 50])
    found = list(answers)
    assert not isinstance(answers, list)
    assert [isinstance(answer, InputError) for answer in found] == [False, True, False, True, True]
    assert found[2]["label"] == kind(["a dog"])[0]["label"]


def test_a_long_text_is_cut_when_asked(classifier):
    whole = classifier("the " * 41, top_k=None)
    assert [row["score"] for row in classifier("the " * 90, truncation=True, top_k=None)] == pytest.approx(
        [row["score"] for row in whole]
    )
    pair = {"text": "the " * 90, "text_pair": "a cat " * 90}
    assert classifier(pair, truncation=True)["label"]


def test_probabilities_of_extreme_scores():
    extreme = np.array([-1e4, -40.0, 0.0, 40.0, 1e4], np.float32)
    assert sigmoid(extreme).tolist() == pytest.approx([0.0, 4.248354255291589e-18, 0.5, 1.0, 1.0], rel=1e-12, abs=0)
    assert softmax(extreme).tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert softmax(np.full((2, 4), 3e38, np.float32)).tolist() == [[0.25] * 4] * 2


@pytest.mark.parametrize(
    ("inputs", "options", "rule"),
    [
        ("", {}, "text must not be empty; received ''"),
        (" \n", {}, "text must not be empty"),
        ("\ud800", {}, "valid Unicode"),
        ("the " * 60, {}, r"max_position_embeddings=43 tokens.*truncation=True"),
        ({"text": "a", "text_pair": ""}, {}, "text_pair must not be empty"),
        ({"text": "a", "pair": "b"}, {}, 'a string or an object with "text", "text_pair" \\(if wanted\\); received text, pair'),
        ([["a", "b"]], {}, "a string or an object"),
        (3, {}, "or many; received a int"),
        ("a", {"top_k": 0}, "top_k must be a positive whole number or None; received 0"),
        ("a", {"top_k": True}, "top_k must be a positive"),
        ("a", {"function_to_apply": "sigmod"}, "softmax, sigmoid, none; received 'sigmod'; did you mean sigmoid"),
        ("a", {"function_to_apply": ["none"]}, "function_to_apply must be one of"),
        ("a", {"truncation": "first"}, "truncation is True, False"),
    ],
)
def test_bad_input_is_one_sentence(classifier, inputs, options: dict, rule: str):
    with pytest.raises(InputError, match=rule):
        classifier(inputs, **options)


def test_other_heads_and_unknown_options_are_refused(tiny_checkpoint, save_tiny):
    with pytest.raises(CheckpointError, match="needs a checkpoint with a sequence_classification head"):
        pipeline("text-classification", tiny_checkpoint, engine="numpy")
    with pytest.raises(InputError, match="did you mean top_k"):
        pipeline("text-classification", save_tiny(CLASS), engine="numpy", topk=2)
