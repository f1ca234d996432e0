"""fill-mask: the answers and their form, beside transformers' own pipeline on the same weights."""

from __future__ import annotations

import sys
import warnings

import pytest

from albertkit import AlbertForMaskedLM, pipeline
from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.errors import InputError
from albertkit.pipelines import FillMaskPipeline
from albertkit.testing import random_parameters, tiny_config, tiny_tokenizer


@pytest.fixture(scope="module")
def unmasker(tiny_checkpoint) -> FillMaskPipeline:
    return pipeline("fill-mask", tiny_checkpoint, engine="numpy")


def test_one_text_gives_rows_in_the_hubs_form(unmasker):
    rows = unmasker("the [MASK] of a", top_k=3)
    assert [sorted(row) for row in rows] == [["score", "sequence", "token", "token_str"]] * 3
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    assert len(unmasker("the [MASK] of a")) == 5
    assert sum(row["score"] for row in unmasker("the [MASK] of a", top_k=1000)) == pytest.approx(1.0)


def test_shapes_for_several_texts_and_several_masks(unmasker):
    one, two = "the [MASK] of a", "[MASK] the [MASK]"
    single, double = unmasker(one), unmasker(two)
    assert [len(rows) for rows in double] == [5, 5]
    assert unmasker([one]) == single
    both = unmasker([two, one, one])
    for answers, alone in zip(both, (double, single, single), strict=True):
        flat = [r for rows in answers for r in rows] if isinstance(answers[0], list) else answers
        expected = [r for rows in alone for r in rows] if isinstance(alone[0], list) else alone
        for row, other in zip(flat, expected, strict=True):
            assert row["token"] == other["token"]
            assert row["score"] == pytest.approx(other["score"], rel=1e-4)
    assert "[MASK]" in double[0][0]["sequence"]
    assert "[MASK]" not in single[0]["sequence"]


def test_the_numbers_are_transformers_own(tiny_checkpoint):
    from transformers import pipeline as peer_pipeline

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = peer_pipeline("fill-mask", model=str(tiny_checkpoint))
    for text in ("the [MASK] of a", "[MASK] in the [MASK] of"):
        for engine in ("numpy", "torch"):
            ours, theirs = pipeline("fill-mask", tiny_checkpoint, engine=engine)(text), peer(text)
            if isinstance(ours[0], dict):
                ours, theirs = [ours], [theirs]
            for mask, expected in zip(ours, theirs, strict=True):
                assert [row["token"] for row in mask] == [row["token"] for row in expected]
                assert [row["token_str"] for row in mask] == [row["token_str"] for row in expected]
                assert [row["score"] for row in mask] == pytest.approx([row["score"] for row in expected], abs=1e-5)


def test_targets_choose_among_words(unmasker):
    rows = unmasker("the [MASK] of a", targets=["the", "of"])
    assert {row["token_str"] for row in rows} == {"the", "of"}
    everything = {row["token"]: row["score"] for row in unmasker("the [MASK] of a", top_k=1000)}
    assert all(row["score"] == pytest.approx(everything[row["token"]]) for row in rows)
    with pytest.warns(UserWarning, match="no single token"):
        unmasker("the [MASK] of a", targets="theof")


def test_objects_and_the_older_name_of_dtype(tiny_checkpoint):
    model, tokenizer = AlbertForMaskedLM.from_pretrained(tiny_checkpoint), tiny_tokenizer()
    rows = pipeline("fill-mask", model=model, tokenizer=tokenizer)("the [MASK] of a")
    expected = pipeline("fill-mask", tiny_checkpoint, engine="numpy")("the [MASK] of a")
    assert [row["token"] for row in rows] == [row["token"] for row in expected]
    torch = sys.modules["torch"]
    narrow = pipeline("fill-mask", tiny_checkpoint, torch_dtype=torch.bfloat16, device="cpu")
    assert narrow.engine.model.dtype == torch.bfloat16
    with pytest.raises(InputError, match="needs its tokenizer"):
        pipeline("fill-mask", model=model)
    with pytest.raises(InputError, match="two names of one argument"):
        pipeline("fill-mask", tiny_checkpoint, dtype="float32", torch_dtype="float32")


def test_a_stream_is_answered_in_order_with_bounded_memory(unmasker, monkeypatch):
    monkeypatch.setattr("albertkit.pipelines.fill_mask._WINDOW", 4)
    taken = 0

    def texts():
        nonlocal taken
        for number in range(10):
            taken += 1
            yield "the " * (number % 3) + "[MASK] of"

    answers = unmasker.stream(texts(), top_k=1)
    first = next(answers)
    assert taken == 4
    rest = list(answers)
    assert [rows[0]["token"] for rows in [first, *rest]] == [
        unmasker("the " * (number % 3) + "[MASK] of", top_k=1)[0]["token"] for number in range(10)
    ]


@pytest.mark.parametrize(
    ("text", "options", "rule"),
    [
        ("no mask here", {}, r"must hold the mask token \[MASK\]"),
        ("", {}, "must hold the mask token"),
        ("the " * 600 + "[MASK]", {}, r"max_position_embeddings=43 tokens.*received 60[23] tokens.*shorten"),
        ("[MASK]", {"top_k": 0}, "top_k must be a positive"),
        ("[MASK]", {"targets": []}, "at least one word"),
        ("[MASK]", {"targets": [""]}, "a target must be a word"),
    ],
)
def test_bad_input_is_one_sentence(unmasker, text: str, options: dict, rule: str):
    with pytest.raises(InputError, match=rule):
        unmasker(text, **options)


def test_unknown_tasks_and_foreign_vocabularies_are_refused(tiny_checkpoint, tmp_path):
    with pytest.raises(InputError, match="did you mean fill-mask"):
        pipeline("fill_mask")
    small = random_parameters(tiny_config(vocab_size=97))
    save_checkpoint(tmp_path, tiny_config(vocab_size=97), small)
    with pytest.raises(InputError, match="101 tokens for a model of 97"):
        pipeline("fill-mask", tmp_path, tokenizer=tiny_checkpoint)
