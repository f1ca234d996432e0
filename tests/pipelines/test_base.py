"""What all pipelines share: windows, order, iterators, settings, records, and inputs that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from albertkit import pipeline
from albertkit.errors import InputError
from albertkit.inference import TokenBatch
from albertkit.pipelines.base import UNSET, Field, Options, Pipeline, Record, RunSettings
from albertkit.testing import tiny_config, tiny_tokenizer


class CountingEngine:
    """Answers each token with its id, and remembers the batches."""

    config = tiny_config()
    name = "counting"

    def __init__(self) -> None:
        self.batches: list[TokenBatch] = []

    def hidden_states(self, batch: TokenBatch) -> np.ndarray:
        self.batches.append(batch)
        return batch.input_ids[:, None].astype(np.float32)

    def logits(self, head: str, batch: TokenBatch, positions: np.ndarray | None = None) -> np.ndarray:
        return np.add.reduceat(self.hidden_states(batch), batch.cu_seqlens[:-1])


@dataclass(frozen=True, kw_only=True)
class SumOptions(Options):
    factor: int = 1


class SumPipeline(Pipeline[SumOptions]):
    """Sums the ids of a text and of the second one beside it."""

    task = "sum"
    head = None
    fields: ClassVar[Mapping[str, Field]] = {"text": Field(), "others": Field(many=True, required=False)}
    options_class = SumOptions
    windows: ClassVar[list[int]] = []

    def __call__(self, inputs: Any, *, factor: Any = UNSET) -> Any:
        return self._run(inputs, self.options.changed(factor=factor))

    def _answer(self, records: list[Record], options: SumOptions) -> list[Any]:
        self.windows.append(len(records))
        rows = self._encode([record["text"] for record in records])
        sums = self._sequence_logits("sequence_classification", rows)[:, 0]
        assert [states.sum() for states in self._token_outputs(None, rows)] == sums.tolist()
        return (options.factor * sums).tolist()


@pytest.fixture(autouse=True)
def _no_windows() -> None:
    SumPipeline.windows.clear()


def make(**settings: Any) -> SumPipeline:
    return SumPipeline(CountingEngine(), tiny_tokenizer(), settings=RunSettings(**settings))


TEXTS = ["the cat", "the", "a dog sat on the cat", "paris", "the model is in france"] * 3


def expected(texts: list[str]) -> list[float]:
    return [float(sum(tiny_tokenizer()(text)["input_ids"])) for text in texts]


def test_one_input_a_list_and_any_other_iterable():
    total = make()
    assert total(TEXTS[0]) == total({"text": TEXTS[0]}) == expected(TEXTS[:1])[0]
    assert total(TEXTS) == total(tuple(TEXTS)) == expected(TEXTS)
    assert total([]) == []
    answers = total(text for text in TEXTS)
    assert isinstance(answers, Iterator)
    assert list(answers) == expected(TEXTS)
    assert list(total({"text": text, "others": ["x"]} for text in TEXTS)) == expected(TEXTS)


def test_options_of_the_pipeline_hold_until_a_call_says_otherwise():
    double = SumPipeline(CountingEngine(), tiny_tokenizer(), SumOptions(factor=2))
    assert double("the") == 2 * expected(["the"])[0]
    assert double("the", factor=3) == 3 * expected(["the"])[0]
    assert double.options == SumOptions(factor=2)
    assert repr(UNSET) == "UNSET"


def test_windows_are_bounded_in_inputs_and_in_characters(monkeypatch):
    monkeypatch.setattr("albertkit.pipelines.base._WINDOW", 4)
    taken: list[str] = []

    def texts() -> Iterator[str]:
        for text in TEXTS:
            taken.append(text)
            yield text

    total = make()
    answers = total(texts())
    assert taken == []
    assert next(answers) == expected(TEXTS)[0]
    assert len(taken) == 4
    assert list(answers) == expected(TEXTS)[1:]
    assert total.windows == [4, 4, 4, 3]
    monkeypatch.setattr("albertkit.pipelines.base._WINDOW_CHARACTERS", 10)
    total.windows.clear()
    assert total(["the", "the cat", "a", "the model"]) == expected(["the", "the cat", "a", "the model"])
    assert total.windows == [2, 2]
    total.windows.clear()
    total([{"text": "the", "others": ["the cat"]}, "the"])
    assert total.windows == [1, 1]
    total.windows.clear()
    total(["a", "the cat the cat", "a", "the"])
    assert total.windows == [1, 1, 2], "what is too large alone stands alone"


@pytest.mark.parametrize(
    ("task", "architecture", "item"),
    [
        ("zero-shot-classification", "AlbertForSequenceClassification", {"text": "the cat", "candidate_labels": [*"abcdefghij"]}),
        ("multiple-choice", "AlbertForMultipleChoice", {"prompt": "the cat", "choices": [*"abcdefghij"]}),
        ("sentence-similarity", "AlbertForPreTraining", {"source_sentence": "the cat", "sentences": [*"abcdefghij"]}),
    ],
)
def test_an_input_of_many_texts_is_read_a_window_at_a_time(task, architecture, item, save_tiny, monkeypatch):
    names = {"id2label": {0: "contradiction", 1: "entailment"}}
    asked = pipeline(task, save_tiny(architecture, **names), engine="numpy")
    expected = asked([item, item])
    sizes = []
    encode = asked._encode

    def count(texts: list[str], *others: Any, **options: Any) -> Any:
        sizes.append(len(texts))
        return encode(texts, *others, **options)

    monkeypatch.setattr(asked, "_encode", count)
    monkeypatch.setattr("albertkit.pipelines.base._WINDOW", 4)
    assert_close(asked([item, item]), expected)
    assert max(sizes) == 4


def assert_close(answer: Any, expected: Any) -> None:
    """The same to float32's rounding, which depends on what stands beside a text in its batch."""
    if isinstance(expected, float):
        assert answer == pytest.approx(expected, abs=1e-5)
    elif isinstance(expected, list | dict):
        assert len(answer) == len(expected)
        for key in expected if isinstance(expected, dict) else range(len(expected)):
            assert_close(answer[key], expected[key])
    else:
        assert answer == expected


def test_batches_hold_a_budget_of_tokens_of_like_lengths():
    total = make(token_budget=12)
    assert total(TEXTS) == expected(TEXTS)
    for batch in total.engine.batches:
        lengths = np.diff(batch.cu_seqlens)
        assert lengths.sum() <= 12 or len(lengths) == 1
        assert lengths.tolist() == sorted(lengths)
    alone = make(batch_size=1)
    assert alone(TEXTS) == expected(TEXTS)
    assert all(len(batch.cu_seqlens) == 2 for batch in alone.engine.batches)


def test_what_cannot_be_used_is_an_answer_if_that_is_asked_for():
    texts = ["the cat", "", "the", "a\ud800b", 5, "the " * 50, {"texts": "x"}, "dog"]
    answers = make(errors="return")(texts)
    right = [0, 2, 7]
    assert [answers[number] for number in right] == expected([texts[number] for number in right])
    wrong = [answer for number, answer in enumerate(answers) if number not in right]
    assert all(isinstance(answer, InputError) for answer in wrong)
    for answer, rule in zip(
        wrong, ("must not be empty", "surrogate", "a string or an object", "max_position_embeddings=43", "texts"), strict=True
    ):
        assert rule in str(answer)
    assert isinstance(make(errors="return")(""), InputError)
    with pytest.raises(InputError, match="must not be empty"):
        make()(texts)


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        (5, "the input of sum is a string or an object with .*, or many; received a int"),
        ([5], 'an input of sum is a string or an object with "text", "others" \\(if wanted\\); received a int'),
        ({}, "received an empty object"),
        ({"others": ["x"]}, "received others"),
        ({"text": "x", "oters": ["x"]}, "received text, oters"),
        ({"text": ["x"]}, "text must be a string; received a list"),
        ({"text": "x", "others": "y"}, "others must be a list of strings; received a str"),
        ({"text": "x", "others": [1]}, "others must be a list of strings"),
        ({"text": "x", "others": []}, "others must not be empty"),
        (" \n", "text must not be empty"),
    ],
)
def test_records_that_are_none(item: Any, sentence: str):
    with pytest.raises(InputError, match=sentence):
        make()(item)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"token_budget": 0}, "token_budget must be a positive whole number; received 0"),
        ({"token_budget": None}, "token_budget must be a positive whole number"),
        ({"batch_size": 1.5}, "batch_size must be a positive whole number or None"),
        ({"errors": "ignore"}, 'errors must be "raise" or "return"'),
    ],
)
def test_settings_that_are_impossible(settings: dict[str, Any], sentence: str):
    with pytest.raises(InputError, match=sentence):
        make(**settings)


def test_an_option_by_a_wrong_name_is_met_with_the_right_one(tiny_checkpoint):
    with pytest.raises(InputError, match="received topk; did you mean top_k"):
        pipeline("fill-mask", tiny_checkpoint, topk=3)
    with pytest.raises(InputError, match="the options of this task are none; received top_k"):
        pipeline("sentence-order", tiny_checkpoint, top_k=3)


def test_truncation_cuts_at_the_shorter_of_model_and_tokenizer():
    total = make()
    total.tokenizer.model_max_length = 7
    assert [len(ids) for ids in total._encode(["the " * 9, "the"], truncation=True).input_ids] == [7, 3]
    assert len(total._encode(["the " * 9]).input_ids[0]) == 11
    total.tokenizer.model_max_length = 512
    assert len(total._encode(["the " * 90], truncation=True).input_ids[0]) == 43
    pair = total._encode(["the " * 90], ["a " * 5], truncation="only_first")
    assert pair.token_type_ids[0].count(1) == 6


def test_progress_is_shown_and_ends(capsys):
    make(progress=True)(TEXTS)
    make(progress=True)("the")
    error = capsys.readouterr().err
    assert "15/15" in error
    assert "1/1" in error


def test_the_task_follows_from_the_head_if_none_is_given(tiny_checkpoint):
    assert pipeline(model=tiny_checkpoint).task == "fill-mask"
    assert pipeline().task == "fill-mask"
    with pytest.raises(InputError, match=r"task must be one of fill-mask.*did you mean sentence-order"):
        pipeline("sentence_order")


def test_a_foreign_vocabulary_is_refused():
    engine = SimpleNamespace(config=SimpleNamespace(vocab_size=97))
    with pytest.raises(InputError, match="101 tokens for a model of 97"):
        SumPipeline(engine, tiny_tokenizer())
