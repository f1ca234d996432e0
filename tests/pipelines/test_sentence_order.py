"""sentence-order: both readings of a pair make one probability, documents are judged by their neighbours."""

from __future__ import annotations

import itertools
import json
import lzma
import warnings

import numpy as np
import pytest

from albertkit import pipeline
from albertkit.errors import CheckpointError, InputError
from albertkit.pipelines import SentenceOrderPipeline

PAIR = {"text": "the cat sat on the model", "text_pair": "a dog is in paris"}
SENTENCES = ["the cat sat", "paris is the capital of france", "new york", "a dog on the model"]


@pytest.fixture(scope="module")
def order(tiny_checkpoint) -> SentenceOrderPipeline:
    return pipeline("sentence-order", tiny_checkpoint, engine="numpy")


def in_order(answer: dict) -> float:
    """Probability of the order given."""
    return answer["score"] if answer["label"] == "in_order" else 1 - answer["score"]


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_both_readings_count_half_each(engine, tiny_checkpoint):
    """Beside transformers' model: logits [B, 2], 0 = in order, 1 = swapped."""
    import torch
    from transformers import AlbertForPreTraining

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = AlbertForPreTraining.from_pretrained(tiny_checkpoint).eval()
    order = pipeline("sentence-order", tiny_checkpoint, engine=engine)
    texts = [PAIR["text"], PAIR["text_pair"]]
    log_odds = []
    for pair in (texts, texts[::-1]):
        with torch.no_grad():
            right, swapped = peer(**order.tokenizer(*pair, return_tensors="pt")).sop_logits[0].double().tolist()
        log_odds.append(right - swapped)
    expected = 1 / (1 + np.exp(-(log_odds[0] - log_odds[1]) / 2))
    answer = order(PAIR)
    assert answer.keys() == {"label", "score"}
    assert answer["score"] >= 0.5
    assert in_order(answer) == pytest.approx(expected, abs=1e-5)


def test_the_other_order_has_the_rest_of_the_probability(order):
    swapped = order({"text": PAIR["text_pair"], "text_pair": PAIR["text"]})
    assert {order(PAIR)["label"], swapped["label"]} == {"in_order", "swapped"}
    assert swapped["score"] == pytest.approx(order(PAIR)["score"], abs=1e-6)
    same = order({"text": "paris", "text_pair": "paris"})
    assert same == {"label": "in_order", "score": pytest.approx(0.5)}


def test_a_document_is_as_coherent_as_its_neighbours(order):
    answer = order({"sentences": SENTENCES})
    pairs = [order({"text": a, "text_pair": b}) for a, b in itertools.pairwise(SENTENCES)]
    assert answer["scores"] == pytest.approx([in_order(pair) for pair in pairs], abs=1e-6)
    assert answer["coherence"] == pytest.approx(np.mean(answer["scores"]))
    assert len(answer["scores"]) == 3


def test_company_order_and_engines_change_nothing(order, tiny_checkpoint):
    records = [PAIR, {"sentences": SENTENCES}, {"sentences": SENTENCES[:2]}, {"text": "a", "text_pair": "the cat"}]
    alone = [order(record) for record in records]
    torch = pipeline("sentence-order", tiny_checkpoint, engine="torch", batch_size=1)
    for answers in (order(records), order(records[::-1])[::-1], list(order(iter(records))), torch(records)):
        for answer, expected in zip(answers, alone, strict=True):
            assert answer.keys() == expected.keys()
            for key in expected.keys() - {"label"}:
                assert answer[key] == pytest.approx(expected[key], abs=1e-5)


@pytest.mark.slow
def test_the_embedded_model_knows_how_articles_begin(shared_data):
    """The two halves of openings of real articles, the easiest kind of pair: weak as the model is, it tells most of them."""
    pairs = []
    with lzma.open(shared_data / "wiki-en/enwiki-slice.jsonl.xz", "rt", encoding="utf8") as lines:
        for line in itertools.islice(lines, 400):
            opening = json.loads(line)["text"].replace("\n", " ").split(". ")[:6]
            if len(opening) == 6 and len(". ".join(opening)) < 700:
                pairs.append({"text": ". ".join(opening[:3]) + ".", "text_pair": ". ".join(opening[3:]) + "."})
    answers = pipeline("sentence-order", engine="torch")(pairs[:40])
    assert len(answers) == 40
    assert np.mean([answer["label"] == "in_order" for answer in answers]) > 0.7


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ("a", 'is an object with "text" and "text_pair", or with "sentences"; received a str'),
        ({"text": "a"}, "received text"),
        ({"text": "a", "text_pair": "b", "sentences": ["c", "d"]}, "received text, text_pair, sentences"),
        ({"sentences": ["a"]}, "sentences must be two or more; received one"),
        ({"sentences": []}, "sentences must not be empty"),
        ({"sentences": ["a", " "]}, "sentences must not be empty"),
        ({"text": "a", "text_pair": ""}, "text_pair must not be empty"),
        ({"sentences": "ab"}, "sentences must be a list of strings"),
        ({"text": "a", "text_pair": "\ud800"}, "surrogate"),
        ({"text": "the " * 30, "text_pair": "the " * 30}, "max_position_embeddings=43 tokens.*received 63 tokens.*shorten one"),
        (7, "or many; received a int"),
    ],
)
def test_bad_input_is_one_sentence(order, record, rule):
    with pytest.raises(InputError, match=rule) as error:
        order(record)
    assert "\n" not in str(error.value)


def test_bad_inputs_among_others(tiny_checkpoint):
    lenient = pipeline("sentence-order", tiny_checkpoint, engine="numpy", errors="return")
    answers = lenient([PAIR, {"sentences": ["a"]}, {"sentences": SENTENCES}])
    assert [type(answer) for answer in answers] == [dict, InputError, dict]


def test_a_checkpoint_without_the_head_is_refused(save_tiny):
    with pytest.raises(CheckpointError, match="needs a checkpoint with a sentence_order head"):
        pipeline("sentence-order", save_tiny("AlbertForMaskedLM"))
