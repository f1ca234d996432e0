"""multiple-choice: RACE's rows, logits beside transformers' own class, and what is refused."""

from __future__ import annotations

import itertools
import json
import lzma
import warnings

import numpy as np
import pytest

from albertkit import pipeline
from albertkit.errors import CheckpointError, InputError
from albertkit.pipelines import MultipleChoicePipeline

RECORD = {"prompt": "the cat sat on", "choices": ["the model", "a dog", "paris is the capital of france"]}


@pytest.fixture(scope="module")
def checkpoint(save_tiny):
    return save_tiny("AlbertForMultipleChoice")


@pytest.fixture(scope="module")
def chooser(checkpoint) -> MultipleChoicePipeline:
    return pipeline("multiple-choice", checkpoint, engine="numpy")


def assert_equal(ours: list, theirs: list) -> None:
    for answer, expected in zip(ours, theirs, strict=True):
        assert [row["index"] for row in answer] == [row["index"] for row in expected]
        assert [row["score"] for row in answer] == pytest.approx([row["score"] for row in expected], abs=1e-5)


def test_choices_by_their_probability(chooser):
    answer = chooser(RECORD)
    assert [sorted(row) for row in answer] == [["choice", "index", "score"]] * 3
    assert sorted(row["index"] for row in answer) == [0, 1, 2]
    assert all(RECORD["choices"][row["index"]] == row["choice"] for row in answer)
    assert [row["score"] for row in answer] == sorted((row["score"] for row in answer), reverse=True)
    assert sum(row["score"] for row in answer) == pytest.approx(1)
    assert chooser(RECORD, top_k=1) == answer[:1]


def test_rows_are_pairs_and_a_question_goes_with_the_choice(chooser, monkeypatch):
    encoded: list = []
    encode = MultipleChoicePipeline._encode

    def remember(self, texts, pairs, **options):
        encoded.extend(zip(texts, pairs, strict=True))
        return encode(self, texts, pairs, **options)

    monkeypatch.setattr(MultipleChoicePipeline, "_encode", remember)
    chooser([
        {"prompt": "p", "choices": ["a", "b"]},
        {"prompt": "p", "choices": ["a", "b"], "question": "what is it?"},
        {"prompt": "p", "choices": ["a", "b"], "question": "it is _ ."},
    ])  # fmt: skip
    assert encoded == [
        ("p", "a"), ("p", "b"), ("p", "what is it? a"), ("p", "what is it? b"), ("p", "it is a ."), ("p", "it is b ."),
    ]  # fmt: skip


@pytest.mark.slow
def test_race_has_transformers_logits(shared_data, save_english):
    """Questions of RACE with and without a blank; long passages are cut as the tokenizer cuts the first text of a pair."""
    import torch
    from transformers import AlbertForMultipleChoice

    checkpoint = save_english("AlbertForMultipleChoice")
    records = []
    with lzma.open(shared_data / "race/dev-middle.jsonl.xz", "rt", encoding="utf8") as lines:
        passages = sorted(
            (json.loads(line) for line in itertools.islice(lines, 100)), key=lambda passage: len(passage["article"])
        )
    for passage in [*passages[:4], *passages[-2:]]:
        for question, options in zip(passage["questions"][:3], passage["options"], strict=False):
            records.append({"prompt": passage["article"], "choices": options, "question": question})
    assert {"_" in record["question"] for record in records} == {True, False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = AlbertForMultipleChoice.from_pretrained(checkpoint).eval()
    ours = {name: pipeline("multiple-choice", checkpoint, engine=name, truncation=True) for name in ("numpy", "torch")}
    expected, lengths = [], []
    for record in records:
        question = record["question"]
        seconds = [question.replace("_", choice) if "_" in question else f"{question} {choice}" for choice in record["choices"]]
        rows = ours["numpy"].tokenizer(
            [record["prompt"]] * len(seconds), seconds, truncation="only_first", padding=True, return_tensors="pt"
        )
        lengths.append(rows["input_ids"].shape[1])
        with torch.no_grad():
            logits = peer(**{name: rows[name][None] for name in rows}).logits[0]
        scores = logits.softmax(-1).numpy()
        order = np.argsort(-scores, kind="stable")
        expected.append([{"index": int(index), "score": float(scores[index])} for index in order])
    assert max(lengths) == 512
    assert len({answer[0]["index"] for answer in expected}) > 1
    for chooser in ours.values():
        assert_equal(chooser(records), expected)


def test_logits_are_those_of_both_torch_classes(checkpoint, chooser):
    import torch
    import transformers

    from albertkit import AlbertForMultipleChoice

    rows = chooser.tokenizer([RECORD["prompt"]] * 3, RECORD["choices"], padding=True, return_tensors="pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = transformers.AlbertForMultipleChoice.from_pretrained(checkpoint).eval()
    answer = sorted(chooser(RECORD), key=lambda row: row["index"])
    for model in (peer, AlbertForMultipleChoice.from_pretrained(checkpoint).eval()):
        with torch.no_grad():
            scores = model(**{name: rows[name][None] for name in rows}).logits[0].softmax(-1)
        assert [row["score"] for row in answer] == pytest.approx(scores.tolist(), abs=1e-5)


def test_company_order_and_engines_change_nothing(chooser, checkpoint):
    records = [RECORD, {"prompt": "new", "choices": ["york", "a"]}, {**RECORD, "question": "what?"}]
    alone = [chooser(record) for record in records]
    torch = pipeline("multiple-choice", checkpoint, engine="torch", batch_size=2)
    for answers in (chooser(records), chooser(records[::-1])[::-1], list(chooser(iter(records))), torch(records)):
        assert_equal(answers, alone)


def test_truncation_cuts_the_prompt_alone(chooser):
    long = {"prompt": "the " * 90, "choices": ["a dog", "a cat"]}
    room = 43 - 3 - 2  # two tokens in either choice
    shorter = chooser({"prompt": "the " * room, "choices": ["a dog", "a cat"]})
    assert_equal([chooser(long, truncation=True)], [shorter])
    choices = ["the " * 29 + word for word in ("cat", "dog")]  # longer than the prompt, and still not cut
    shorter = chooser({"prompt": "the " * 10, "choices": choices})
    assert_equal([chooser({"prompt": "the " * 20, "choices": choices}, truncation=True)], [shorter])


@pytest.mark.parametrize(
    ("record", "options", "rule"),
    [
        ("a", {}, 'is an object with "prompt", "choices", "question" \\(if wanted\\); received a str'),
        ({"prompt": "a", "choices": ["b"]}, {}, "choices must be two or more; received one"),
        ({"prompt": "a", "choices": []}, {}, "choices must not be empty"),
        ({"prompt": "a", "choices": ["b", ""]}, {}, "choices must not be empty"),
        ({"prompt": "a", "choices": "bc"}, {}, "choices must be a list of strings"),
        ({"prompt": "a", "choices": ["b", "c"], "qestion": "d"}, {}, "received prompt, choices, qestion"),
        ({"prompt": "a", "choices": ["b", "c"], "question": None}, {}, "question must be a string"),
        ({"prompt": "\ud800", "choices": ["b", "c"]}, {}, "surrogate"),
        ({"prompt": "the " * 600, "choices": ["b", "c"]}, {}, "tokens.*cut the prompt with truncation=True"),
        ({"prompt": "a", "choices": ["b", "the " * 40]}, {"truncation": True}, "must leave room.*among 40 tokens; received 40"),
        (RECORD, {"top_k": 0}, "top_k must be a positive whole number or None"),
    ],
)
def test_bad_input_is_one_sentence(chooser, record, options, rule):
    with pytest.raises(InputError, match=rule) as error:
        chooser(record, **options)
    assert "\n" not in str(error.value)


def test_a_choice_that_leaves_one_token_of_the_prompt_is_read(chooser):
    assert len(chooser({"prompt": "a dog", "choices": ["b", "the " * 39]}, truncation=True)) == 2


def test_a_checkpoint_without_the_head_is_refused(tiny_checkpoint):
    with pytest.raises(CheckpointError, match="needs a checkpoint with a multiple_choice head"):
        pipeline("multiple-choice", tiny_checkpoint)
