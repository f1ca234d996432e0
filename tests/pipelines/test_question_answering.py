"""question-answering: transformers 4.57.6's answers on real text, both heads, windows over long contexts, and what is refused."""

from __future__ import annotations

import itertools
import json
import lzma
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albertkit import pipeline
from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.config import AlbertConfig
from albertkit.errors import CheckpointError, InputError
from albertkit.inference import TokenBatch
from albertkit.pipelines import QuestionAnsweringPipeline
from albertkit.pipelines.spans import weigh_beam, weigh_scores
from albertkit.tasks.windows import cut_windows, read_passages
from albertkit.testing import random_parameters, tiny_tokenizer
from albertkit.tokenization import AlbertTokenizer

GOLDEN = Path(__file__).parents[1] / "golden" / "question_answering.json"
QUESTION = "who sat on it?"
CONTEXT = " The  cat sat on the dog,\nit was in Paris. Ça, and she sat on an ﬁg in 1992, by York  "
LONG = " ".join(f"{CONTEXT.strip()} {number}" for number in range(4))


@pytest.fixture(scope="module")
def checkpoint(save_tiny) -> Path:
    return save_tiny("AlbertForQuestionAnswering")


@pytest.fixture(scope="module")
def qa(checkpoint) -> QuestionAnsweringPipeline:
    return pipeline("question-answering", checkpoint, engine="numpy")


@pytest.fixture(scope="module")
def answerable(save_tiny) -> Path:
    return save_tiny("AlbertForQuestionAnsweringWithAnswerability")


def assert_same(received: Any, expected: Any) -> None:
    """Equal answers, with scores within 1e-5."""
    received, expected = ([item] if isinstance(item, dict) else item for item in (received, expected))
    places = [[(row["start"], row["end"], row["answer"]) for row in rows] for rows in (received, expected)]
    assert places[0] == places[1]
    assert [row["score"] for row in received] == pytest.approx([row["score"] for row in expected], abs=1e-5)


# --------------------------------------------------------------- the oracle


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def examples(golden, shared_data) -> list[dict[str, str]]:
    """Question and context of every case, as the script that made the file gave them to transformers."""
    texts = {}
    for name in {case["file"] for case in golden["cases"]}:
        with lzma.open(shared_data / name, "rt", encoding="utf-8") as file:
            paragraphs = [paragraph for article in json.load(file)["data"] for paragraph in article["paragraphs"]]
        texts |= {(name, str(qa["id"])): (qa["question"], item["context"]) for item in paragraphs for qa in item["qas"]}
    found = []
    for case in golden["cases"]:
        question, context = texts[case["file"], case["id"]]
        if case["variant"] == "spaced":
            context = " \t" + context.replace(", ", ",  ").replace(". ", ".\n\n ") + "  \n"
        elif case["variant"] == "repeated":
            context = "\n".join([context] * 4)
        found.append({"question": question, "context": context})
    return found


@pytest.fixture(scope="module")
def golden_checkpoint(golden, shared_data, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("golden")
    config = AlbertConfig(**golden["model"]["config"])
    parameters = random_parameters(config, ("question_answering",), seed=golden["model"]["seed"])
    parameters["qa_outputs.weight"] *= golden["model"]["head_scale"]
    save_checkpoint(directory, config, parameters, architecture="AlbertForQuestionAnswering")
    AlbertTokenizer(shared_data / golden["vocabulary"]).save_pretrained(directory)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "share"), [("numpy", 1), ("torch", 4)])
def test_the_answers_are_those_of_transformers_4(golden, examples, golden_checkpoint, engine, share):
    # Version 4's fast tokenizer never cut a question, whatever max_question_len said.
    ours = pipeline("question-answering", golden_checkpoint, engine=engine, max_question_len=300)
    assert len(golden["cases"]) >= 250
    for number, options in enumerate(golden["options"]):
        chosen = [index for index, case in enumerate(golden["cases"]) if case["options"] == number][::share]
        inputs = [examples[index] for index in chosen]
        for index, item, found in zip(chosen, inputs, ours(inputs, **options), strict=True):
            answers = found if isinstance(found, list) else [found]
            expected = golden["cases"][index]["answers"]
            assert [[row["start"], row["end"]] for row in answers] == [row[:2] for row in expected], golden["cases"][index]
            assert [row["score"] for row in answers] == pytest.approx([row[2] for row in expected], abs=1e-5)
            assert all(row["answer"] == item["context"][row["start"] : row["end"]] for row in answers)


# ------------------------------------------------------------------ answers


def test_one_answer_is_an_object_and_several_are_a_list_best_first(qa):
    best = qa(question=QUESTION, context=CONTEXT)
    assert list(best) == ["score", "start", "end", "answer"]
    several = qa({"question": QUESTION, "context": CONTEXT}, top_k=4)
    assert len(several) == 4
    assert [row["score"] for row in several] == sorted((row["score"] for row in several), reverse=True)
    assert len({row["answer"].lower() for row in several}) == 4


def test_answers_are_cut_from_the_context_as_it_was_given(qa):
    for align in (True, False):
        rows = qa(question=QUESTION, context=CONTEXT, top_k=500, align_to_words=align, max_answer_len=40)
        assert all(row["answer"] == CONTEXT[row["start"] : row["end"]] for row in rows)
        assert all(row["answer"].strip() == row["answer"] != "" for row in rows)
        if align:
            edges = {CONTEXT[row["start"] - 1] for row in rows} | {CONTEXT[row["end"]] for row in rows}
            assert edges <= {" ", "\n"}
        else:
            assert {"ﬁ", "York", "1992,", "Ça"} <= {row["answer"] for row in rows}


def test_a_score_is_the_product_of_both_ends_probabilities():
    tokenizer = tiny_tokenizer()
    passage = read_passages(tokenizer, ["the cat sat on a dog"])["the cat sat on a dog"]
    (window,) = cut_windows(tokenizer, [30, 31], passage, 43)
    size = len(passage.ids)
    assert window.input_ids == [2, 30, 31, 3, *passage.ids, 3]
    assert window.token_type_ids == [0] * 4 + [1] * (size + 1)
    logits = np.random.default_rng(0).normal(0, 3, (len(window.input_ids), 2)).astype(np.float32)
    kept = [0, *range(4, 4 + size)]
    probabilities = np.exp(logits[kept].astype(float))
    probabilities /= probabilities.sum(axis=0)
    for longest in (1, 3, 100):
        expected = {
            (first, last): probabilities[1 + first, 0] * probabilities[1 + last, 1]
            for first in range(size)
            for last in range(first, min(size, first + longest))
        }
        evidence = weigh_scores(logits, window, longest, 1000)
        received = dict(zip(map(tuple, evidence.spans.tolist()), evidence.scores.tolist(), strict=True))
        assert received == pytest.approx(expected)
        assert evidence.scores[0] == max(received.values())
        assert weigh_scores(logits, window, longest, 2).scores.tolist() == sorted(received.values(), reverse=True)[:2]
        first, last = max(expected, key=expected.__getitem__)
        assert evidence.span_logit == pytest.approx(logits[4 + first, 0] + logits[4 + last, 1], rel=1e-6)
    assert evidence.null_score == pytest.approx(probabilities[0].prod())
    assert evidence.null_logit == pytest.approx(logits[0].sum(), rel=1e-6)


def test_a_beams_score_is_that_of_start_end_and_of_an_answer():
    tokenizer = tiny_tokenizer()
    passage = read_passages(tokenizer, ["the cat sat on a dog"])["the cat sat on a dog"]
    (window,) = cut_windows(tokenizer, [30, 31], passage, 43)
    size = len(passage.ids)
    # [CLS] is a start, one end lies before its start, one is too far, one is none, and one is the [SEP] at the end.
    starts = np.log(np.array([0.5, 0.3, 0.2], np.float32)), np.array([4, 5, 0])
    probabilities = np.array([[0.4, 0.3, 0.1], [0.6, 0.2, 0.0], [0.5, 0.1, 0.1]], np.float32)
    ends = np.log(np.maximum(probabilities, 1e-38)), np.array([[4, 6, 3 + size], [4, 4 + size, 6], [4, 5, 6]])
    ends[0][1, 2] = -1e30
    evidence = weigh_beam(starts, ends, np.float32(-1.5), window, 3)
    answerable = 1 / (1 + math.exp(-1.5))
    assert evidence.spans.tolist() == [[0, 0], [0, 2]]
    assert evidence.scores == pytest.approx([0.5 * 0.4 * answerable, 0.5 * 0.3 * answerable])
    assert evidence.null_score == pytest.approx(1 - answerable)
    assert (evidence.null_logit, evidence.span_logit) == (-1.5, 0.0)
    assert weigh_beam(starts, ends, np.float32(-1.5), window, 1000).spans.tolist() == [[0, 0], [0, 2], [0, size - 1]]


def test_spans_of_one_text_are_one_answer_with_their_scores_added(qa):
    alone = qa(question=QUESTION, context="cat", top_k=9)
    assert [row["answer"] for row in alone] == ["cat"]  # whichever of its letters a span has, the word is the same
    spans = qa(question=QUESTION, context="cat", top_k=9, align_to_words=False)
    assert alone[0]["score"] == pytest.approx(sum(row["score"] for row in spans))
    twice = qa(question=QUESTION, context="Cat cat", top_k=99)
    assert sorted(row["answer"].lower() for row in twice) == ["cat", "cat cat"]


def test_windows_overlap_and_cover_the_whole_context(qa):
    tokenizer = tiny_tokenizer()
    passage = read_passages(tokenizer, [LONG])[LONG]
    windows = cut_windows(tokenizer, [30] * 5, passage, 43, 10)
    assert len(windows) > 4
    assert windows[0].first == 0
    for window, following in itertools.pairwise(windows):
        assert len(window.input_ids) == 43
        assert following.first == window.first + 35 - 10
        assert window.input_ids[window.part] == passage.ids[window.first : window.first + 35]
    assert windows[-1].input_ids[-2] == passage.ids[-1]
    assert len(cut_windows(tokenizer, [30] * 5, passage, 9, 0)) == len(passage.ids)
    last = qa(question=QUESTION, context=LONG, top_k=2000, max_answer_len=1, align_to_words=False)
    assert {row["answer"] for row in last} >= {"0", "1", "2", "3"}


def test_a_marker_in_the_question_is_no_answer(qa):
    passage = read_passages(qa.tokenizer, ["the cat"])["the cat"]
    (window,) = cut_windows(qa.tokenizer, qa.tokenizer("[CLS] cat", add_special_tokens=False)["input_ids"], passage, 43)
    logits = np.zeros((len(window.input_ids), 2), np.float32)
    expected = weigh_scores(logits, window, 9, 9)
    logits[1] = 50  # where the marker stands
    assert window.input_ids[1] == qa.tokenizer.cls_token_id
    np.testing.assert_array_equal(weigh_scores(logits, window, 9, 9).scores, expected.scores)


def test_a_long_question_is_cut(qa):
    cut = qa(question="cat " * 30, context=CONTEXT, max_question_len=4)
    assert cut == qa(question="cat " * 4, context=CONTEXT)
    assert cut != qa(question="cat " * 5, context=CONTEXT)
    with pytest.raises(InputError, match=r"max_seq_len must leave room for the context; .* lower max_question_len"):
        qa(question="cat " * 70, context=CONTEXT)


# ------------------------------------------------------ no answer, and heads


def test_no_answer_competes_by_its_probability(qa):
    rows = qa(question=QUESTION, context=LONG, top_k=5000, handle_impossible_answer=True)
    (none,) = [row for row in rows if row["answer"] == ""]
    assert (none["start"], none["end"]) == (0, 0)
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    assert "" not in [row["answer"] for row in qa(question=QUESTION, context=LONG, top_k=5000)]


@pytest.mark.parametrize("head", ["scores", "answerability"])
def test_a_threshold_decides_where_there_is_one(head, checkpoint, answerable):
    ours = pipeline("question-answering", checkpoint if head == "scores" else answerable, engine="numpy")
    plain = ours(question=QUESTION, context=LONG, top_k=3)
    assert ours(question=QUESTION, context=LONG, top_k=3, null_threshold=math.inf) == plain
    first, *rest = ours(question=QUESTION, context=LONG, top_k=3, null_threshold=-math.inf)
    assert (first["start"], first["end"], first["answer"]) == (0, 0, "")
    assert rest == plain[:2]
    if head == "answerability":
        alone = ours(question=QUESTION, context="the cat", null_threshold=-math.inf)
        odds = math.log(alone["score"] / (1 - alone["score"]))  # the class's own score decides
        assert ours(question=QUESTION, context="the cat", null_threshold=odds - 1e-3)["answer"] == ""
        assert ours(question=QUESTION, context="the cat", null_threshold=odds + 1e-3)["answer"] != ""


def test_the_answerability_head_is_taken_where_a_checkpoint_has_it(answerable, checkpoint):
    ours = pipeline("question-answering", answerable, engine="numpy", handle_impossible_answer=True, top_k=30)
    assert pipeline(model=answerable, engine="numpy").task == "question-answering"
    rows = ours(question=QUESTION, context="the cat sat on a dog")
    (none,) = [row for row in rows if row["answer"] == ""]
    assert 0 < sum(row["score"] for row in rows if row is not none) <= 1 - none["score"]
    assert all("the cat sat on a dog"[row["start"] : row["end"]] == row["answer"] for row in rows)
    with pytest.raises(CheckpointError, match="needs a checkpoint with a sequence_classification head"):
        pipeline("text-classification", answerable, engine="numpy")


@pytest.mark.parametrize("kind", ["scores", "answerability"])
def test_engines_batches_and_order_do_not_matter(kind, checkpoint, answerable):
    directory = checkpoint if kind == "scores" else answerable
    words = CONTEXT.split()
    inputs = [
        {"question": " ".join(words[n % 5 : n % 5 + 3]), "context": " ".join((words * 9)[n : 5 * n + 3])} for n in range(12)
    ]
    ours = pipeline("question-answering", directory, engine="numpy", top_k=2, handle_impossible_answer=True)
    alone = [ours(item) for item in inputs]
    torchs = pipeline("question-answering", directory, engine="torch", top_k=2, handle_impossible_answer=True)
    narrow = pipeline("question-answering", directory, engine="numpy", batch_size=1, top_k=2, handle_impossible_answer=True)
    for answers in (ours(inputs), ours(inputs[::-1])[::-1], list(ours(iter(inputs))), torchs(inputs), narrow(inputs)):
        for received, expected in zip(answers, alone, strict=True):
            assert_same(received, expected)


# ------------------------------------------------------------------- inputs


def test_ways_to_ask(qa):
    expected = qa({"question": QUESTION, "context": CONTEXT})
    other = qa({"question": "it", "context": CONTEXT})
    assert qa(question=QUESTION, context=CONTEXT) == expected
    assert qa(QUESTION, CONTEXT) == expected
    assert qa([{"question": QUESTION, "context": CONTEXT}]) == expected
    for answers in (
        qa(question=[QUESTION, "it"], context=CONTEXT),
        qa(question=[QUESTION, "it"], context=[CONTEXT, CONTEXT]),
        qa([{"question": QUESTION, "context": CONTEXT}, {"question": "it", "context": CONTEXT}]),
        list(qa({"question": question, "context": CONTEXT} for question in (QUESTION, "it"))),
    ):
        for received, wanted in zip(answers, (expected, other), strict=True):
            assert_same(received, wanted)
    both = qa(question=QUESTION, context=[CONTEXT, "the cat"])
    assert_same(both[0], expected)
    assert both[1]["answer"] in "the cat"


def test_a_stream_goes_on_past_what_cannot_be_used(checkpoint):
    ours = pipeline("question-answering", checkpoint, engine="numpy", errors="return")
    good = {"question": QUESTION, "context": CONTEXT}
    bad = [{"question": QUESTION, "context": " "}, {"question": QUESTION}, {"question": "\ud800", "context": CONTEXT}]
    answers = list(ours(iter([good, *bad, good])))
    assert_same(answers[0], answers[-1])
    assert [type(answer) for answer in answers[1:-1]] == [InputError] * 3


@pytest.mark.parametrize(
    ("inputs", "options", "sentence"),
    [
        ({"question": QUESTION, "context": ""}, {}, "context must not be empty"),
        ({"question": " ", "context": CONTEXT}, {}, "question must not be empty"),
        ({"context": CONTEXT}, {}, 'an object with "question", "context"; received context'),
        (QUESTION, {}, 'an object with "question", "context"; received a str'),
        (None, {}, 'an object with "question", "context", or many; received a NoneType'),
        (None, {"context": CONTEXT}, "a question and its context come together; received no question"),
        (None, {"question": QUESTION}, "a question and its context come together; received no context"),
        ({"question": QUESTION}, {"question": "it", "context": CONTEXT}, "received inputs beside them"),
        (None, {"question": ["a", "b"], "context": [CONTEXT]}, "one for each; received 2 questions and 1 contexts"),
        (None, {"question": 3, "context": CONTEXT}, "question must be a string, or a list of strings; received a int"),
        ({"question": QUESTION, "context": "\ud83d cat"}, {}, "valid Unicode"),
        ({"question": QUESTION, "context": "\u0301"}, {}, "a context must hold something to read"),
        ({"question": QUESTION, "context": LONG}, {"doc_stride": 40}, "doc_stride must be smaller than what a window shows"),
        ({"question": QUESTION, "context": LONG}, {"doc_stride": 40, "max_seq_len": 40}, "doc_stride must be smaller than max_"),
        ({"question": QUESTION, "context": LONG}, {"max_seq_len": 44}, "must not exceed the model's max_position_embeddings=43"),
        ({"question": QUESTION, "context": LONG}, {"max_seq_len": 9}, "must leave room for the context"),
        ({"question": QUESTION, "context": LONG}, {"top_k": 0}, "top_k must be a positive whole number; received 0"),
        ({"question": QUESTION, "context": LONG}, {"max_answer_len": 0}, "max_answer_len must be a positive"),
        ({"question": QUESTION, "context": LONG}, {"doc_stride": -1}, "doc_stride must be a whole number of at least 0"),
        ({"question": QUESTION, "context": LONG}, {"null_threshold": "high"}, "null_threshold must be a number"),
        ({"question": QUESTION, "context": LONG}, {"align_to_words": 1}, "align_to_words must be True or False"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(qa, inputs, options, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        qa(inputs, **options)
    assert "\n" not in str(caught.value)


def test_other_heads_and_other_options_are_refused(save_tiny, checkpoint):
    with pytest.raises(CheckpointError, match="needs a checkpoint with a question_answering head; received one with"):
        pipeline("question-answering", save_tiny("AlbertForTokenClassification"), engine="numpy")
    with pytest.raises(InputError, match=r"options of this task are .*; received doc_strid; did you mean doc_stride\?"):
        pipeline("question-answering", checkpoint, doc_strid=12)
    with pytest.raises(InputError, match="call answer_spans"):
        engine = pipeline("question-answering", checkpoint, engine="numpy").engine
        engine.logits("answerability", TokenBatch.from_sequences([[2, 3]], [[0, 0]]))
