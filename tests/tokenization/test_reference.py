"""The ALBERT rule, a trap at a time: what the slow tokenizer of transformers 4.57.6 makes of our own sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sentencepiece

from albertkit.errors import InputError
from albertkit.testing.vocabulary import tiny_vocabulary
from albertkit.tokenization.normalization import TextRules
from albertkit.tokenization.reference import Reference, ends_digit_comma, resplit

SENTENCES = json.loads((Path(__file__).parents[1] / "golden" / "tokenizer_sentences.json").read_text(encoding="utf-8"))
SPECIAL = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
RULES = {
    "default": TextRules(),
    "keep_accents": TextRules(keep_accents=True),
    "cased": TextRules(do_lower_case=False),
    "keep_space": TextRules(remove_space=False),
}


@pytest.fixture(scope="module")
def english(shared_data):
    return sentencepiece.SentencePieceProcessor(model_file=str(shared_data / "albert-vocab" / "30k-clean.rebuilt.model"))


@pytest.fixture(scope="module")
def tiny():
    return sentencepiece.SentencePieceProcessor(model_proto=tiny_vocabulary().to_bytes())


@pytest.mark.parametrize("rules", RULES)
def test_golden_sentences(english, rules):
    reference = Reference(english, RULES[rules])
    plain = [row for row in SENTENCES if not any(token in row["text"] for token in SPECIAL)]
    assert len(plain) >= 50
    for row in plain:
        expected = row.get(rules, row["default"])
        assert reference.pieces(row["text"]) == expected["pieces"], row["text"]
        assert reference.ids(row["text"]) == expected["ids"], row["text"]


def test_published_expectations(english):
    assert Reference(english, TextRules()).ids("this is a test") == [48, 25, 21, 1289]
    kept = Reference(english, TextRules(keep_accents=True)).ids("I was born in 92000, and this is falsé.")
    assert kept == [31, 23, 386, 19, 561, 3050, 15, 17, 48, 25, 8256, 18, 1, 9]


def test_preparation_by_rule():
    assert TextRules().apply("  ``A''\tb \n") == '"a" b'
    assert TextRules(remove_space=False).apply(" A\tb ") == " a\tb "
    assert TextRules(keep_accents=True).apply("É ½") == "é ½"
    assert TextRules(do_lower_case=False).apply("É ½") == "E 1⁄2"
    assert TextRules().apply("ΟΔΟΣ İx") == "οδοσ ix"  # each letter on its own: no final sigma
    assert TextRules().apply("𝚺𝚺") == "σς"  # but NFKD's capital sigmas meet the rule about neighbours


def test_a_comma_after_a_digit_is_cut_off(tiny):
    assert [ends_digit_comma(piece) for piece in ("▁1,", "/12,", "2,", ",", "▁,", "1", "²,")] == [
        True,
        True,
        True,
        False,
        False,
        False,
        True,
    ]
    assert resplit(tiny, "▁1,") == ["▁1", ","]
    assert resplit(tiny, "▁1992,") == ["▁19", "92", ","]
    # Inside a word the number must not begin one: a lone ▁ goes, a leading ▁ is cut off, whether or not the rest is a piece.
    assert resplit(tiny, "/12,") == ["/", "1", "2", ","]
    assert resplit(tiny, "2,") == ["2", ","]
    reference = Reference(tiny, TextRules())
    assert reference.pieces("in 1992, it is 12/12,") == ["▁in", "▁19", "92", ",", "▁it", "▁is", "▁1", "2", "/", "1", "2", ","]


def test_offsets_of_the_original_text(tiny):
    text = "  The ``Cafe\u0301''\u00a0½, İn (日x)"
    ids, offsets = Reference(tiny, TextRules()).ids_with_offsets(text)
    cut = list(zip(Reference(tiny, TextRules()).pieces(text), [text[start:stop] for start, stop in offsets], strict=True))
    assert cut == [
        ("▁the", "The"), ("▁", " "), ('"', "``"), ("c", "C"), ("a", "a"), ("f", "f"), ("e", "e\u0301"), ('"', "''"), ("▁1", "½"),
        ("⁄", "½"), ("2", "½"), (",", ","), ("▁in", "İn"), ("▁", " "), ("(", "("), ("日", "日"), ("x", "x"), (")", ")"),
    ]  # fmt: skip
    assert len(ids) == len(offsets)


@pytest.mark.parametrize("text", ["a\ud800b", "\udfff"])
def test_half_a_surrogate_is_refused(tiny, text):
    with pytest.raises(InputError, match="lone surrogate"):
        Reference(tiny, TextRules()).ids(text)
