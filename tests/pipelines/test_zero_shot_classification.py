"""zero-shot-classification: answers beside transformers' own pipeline with token types set, and what is refused."""

from __future__ import annotations

import lzma

import pytest

from albertkit import pipeline
from albertkit.errors import CheckpointError, InputError
from albertkit.pipelines.zero_shot_classification import find_inference_labels

CLASS = "AlbertForSequenceClassification"
MNLI = {"id2label": {0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"}}
LABELS = ["politics", "health", "the weather"]


@pytest.fixture(scope="module")
def tiny(save_tiny):
    return pipeline("zero-shot-classification", save_tiny(CLASS, **MNLI), engine="numpy")


@pytest.fixture(scope="module")
def sentences(shared_data) -> list[str]:
    with lzma.open(shared_data / "glue/RTE/dev.tsv.xz", "rt", encoding="utf8") as lines:
        return [line.split("\t")[2] for line in lines][1:201]


def assert_equal(ours, theirs, close: float = 1e-5) -> None:
    assert [sorted(answer) for answer in ours] == [["labels", "scores", "sequence"]] * len(theirs)
    for found, expected in zip(ours, theirs, strict=True):
        assert found["sequence"] == expected["sequence"]
        assert found["scores"] == pytest.approx(expected["scores"], rel=close, abs=close)
        assert found["scores"] == sorted(found["scores"], reverse=True)
        scores = dict(zip(expected["labels"], expected["scores"], strict=True))
        assert [scores[label] for label in found["labels"]] == pytest.approx(found["scores"], abs=close)


@pytest.mark.slow
def test_real_sentences_are_labelled_as_by_transformers(save_english, sentences, peer_pipeline):
    directory = save_english(CLASS, **MNLI)
    kinds = [pipeline("zero-shot-classification", directory, engine=engine) for engine in ("numpy", "torch")]
    theirs = peer_pipeline("zero-shot-classification", directory)
    # Without this transformers 5 loses the token types of a tokenizer that it loads from spiece.model alone.
    theirs.tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    few = sentences[:20]
    for texts, labels, form in (
        (sentences, LABELS, {}),
        (few, LABELS, {"multi_label": True}),
        (few, "politics , health", {"hypothesis_template": "It is about {} today."}),
        (few, "health", {}),
    ):
        expected = theirs(texts, labels, **form)
        assert texts is few or len({answer["labels"][0] for answer in expected}) >= 3
        for kind in kinds:
            assert_equal(kind(texts, labels, **form), expected)


@pytest.mark.parametrize(
    "names",
    [("entailment", "neutral", "contradiction"), ("contradiction", "entailment"), ("Entailment", "not_entailment"),
     ("not_entailment", "entailment")],
)  # fmt: skip
def test_labels_of_inference_are_found_as_by_transformers(save_tiny, peer_pipeline, names):
    directory = save_tiny(CLASS, id2label=dict(enumerate(names)))
    ours = pipeline("zero-shot-classification", directory, engine="numpy")
    theirs = peer_pipeline("zero-shot-classification", directory)
    for form in ({}, {"multi_label": True}):
        labels = ["paris", "the cat"]
        template = {"hypothesis_template": "it is {}"}
        assert_equal(ours(["the dog"], labels, **template, **form), theirs(["the dog"], labels, **template, **form))


def test_contradiction_is_found_by_its_name():
    assert find_inference_labels({0: "neutral", 1: "contradiction", 2: "entailment"}) == (2, 1)
    assert find_inference_labels({0: "Entailment", 1: "Contradictory", 2: "Other"}) == (0, 1)


def test_premise_and_hypothesis_have_their_token_types(tiny):
    seen = []
    answer = tiny._encode
    tiny._encode = lambda *texts, **options: seen.append(answer(*texts, **options)) or seen[-1]
    try:
        tiny("the cat", ["dog"], hypothesis_template="a {}")
    finally:
        del tiny._encode
    (types,) = seen[0].token_type_ids
    premise = len(tiny.tokenizer("the cat")["input_ids"])
    assert types == [0] * premise + [1] * (len(types) - premise)


def test_labels_come_from_the_call_the_pipeline_or_the_input(tiny, save_tiny):
    text, form = "the cat", {"hypothesis_template": "it is {}"}
    expected = tiny(text, ["dog", "paris"], **form)
    assert tiny(text, "dog, paris,", **form) == expected
    assert tiny({"text": text, "candidate_labels": ["dog", "paris"]}, ["new"], **form) == expected
    assert tiny({"text": text, "candidate_labels": "dog, paris"}, **form) == expected
    made = pipeline("zero-shot-classification", save_tiny(CLASS, **MNLI), engine="numpy", candidate_labels="dog, paris", **form)
    assert made(text) == expected
    assert made([text]) == [expected]
    several = made([text, {"text": "he", "candidate_labels": ["it"]}, {"text": text, "candidate_labels": "a, an, the"}])
    assert [len(answer["labels"]) for answer in several] == [2, 1, 3]
    assert_equal(several[:1], [expected])


def test_scores_add_up_or_stand_alone(tiny):
    form = {"hypothesis_template": "it is {}"}
    together = tiny("the cat", ["dog", "paris", "new"], **form)
    assert sum(together["scores"]) == pytest.approx(1.0)
    apart = tiny("the cat", ["dog", "paris", "new"], multi_label=True, **form)
    single = tiny("the cat", ["dog"], **form)
    scores = dict(zip(apart["labels"], apart["scores"], strict=True))
    assert scores["dog"] == pytest.approx(single["scores"][0], abs=1e-5)


def test_order_batches_and_generators(tiny, save_tiny):
    texts, labels = ["the cat", "a new dog sat on it", "he"] * 3, ["paris", "a model"]
    form = {"hypothesis_template": "it is {}"}
    alone = [tiny(text, labels, **form) for text in texts]
    small = pipeline("zero-shot-classification", save_tiny(CLASS, **MNLI), engine="numpy", batch_size=2, errors="return")
    assert_equal(small(texts, labels, **form), alone)
    assert_equal(list(small((text for text in texts), labels, **form)), alone)
    found = list(small(iter(["the cat", "", "he", "\udfff"]), labels, **form))
    assert [isinstance(answer, InputError) for answer in found] == [False, True, False, True]


def test_a_long_premise_is_cut_and_never_the_hypothesis(tiny):
    labels, form = ["dog", "cat"], {"hypothesis_template": "a {}"}
    hypothesis = len(tiny.tokenizer("a dog", add_special_tokens=False)["input_ids"])
    longest = tiny("the " * (43 - 3 - hypothesis), labels, **form)
    assert tiny("the " * 90, labels, truncation=True, **form)["scores"] == pytest.approx(longest["scores"])
    with pytest.raises(InputError, match="truncation=True"):
        tiny("the " * 90, labels, **form)
    with pytest.raises(InputError, match="only_first"):
        tiny("the cat", ["dog " * 50], truncation=True)


@pytest.mark.parametrize(
    ("inputs", "options", "rule"),
    [
        ("a", {}, "candidate_labels must be at least one label.*received none"),
        ("a", {"candidate_labels": []}, "at least one label"),
        ("a", {"candidate_labels": " , "}, "at least one label"),
        ("a", {"candidate_labels": ["x", 3]}, "at least one label: a list of strings"),
        ("a", {"candidate_labels": ["x", ""]}, "at least one label"),
        ({"text": "a", "candidate_labels": []}, {}, "candidate_labels must not be empty"),
        ("a", {"candidate_labels": "x", "hypothesis_template": "This is it."}, r"sentence with \{\} where the label goes"),
        ("", {"candidate_labels": "x"}, "text must not be empty"),
        ("\ud800", {"candidate_labels": "x"}, "valid Unicode"),
        ("a", {"candidate_labels": ["\ud800"]}, "valid Unicode"),
        ({"sequence": "a"}, {"candidate_labels": "x"}, 'an object with "text", "candidate_labels"'),
    ],
)
def test_bad_input_is_one_sentence(tiny, inputs, options: dict, rule: str):
    with pytest.raises(InputError, match=rule):
        tiny(inputs, **options)


def test_a_model_without_inference_labels_is_refused(save_tiny, tiny_checkpoint):
    with pytest.raises(InputError, match=r"begins with entail.*received one with LABEL_0, LABEL_1"):
        pipeline("zero-shot-classification", save_tiny(CLASS), engine="numpy")
    with pytest.raises(InputError, match="begins with entail"):
        pipeline("zero-shot-classification", save_tiny(CLASS, id2label={0: "entailment"}), engine="numpy")
    with pytest.raises(CheckpointError, match="sequence_classification head"):
        pipeline("zero-shot-classification", tiny_checkpoint, engine="numpy")
