"""Learning a vocabulary: ALBERT's special ids, the same every time, in any language, and every refusal one sentence."""

from __future__ import annotations

import json
import lzma
import random

import numpy as np
import pytest

from albertkit.cli.main import main
from albertkit.errors import DataError, InputError, VocabularyError
from albertkit.tokenization.segmenter import Segmenter
from albertkit.tokenization.sentencepiece_file import CONTROL_SYMBOLS, USER_DEFINED_SYMBOLS, PieceType
from albertkit.tokenization.tokenizer import AlbertTokenizer
from albertkit.tokenization.training import train_vocabulary

FIXED = ("<pad>", "<unk>", *CONTROL_SYMBOLS, *USER_DEFINED_SYMBOLS)
ENGLISH = [onset + vowel for onset in "bcdfghklmnprst" for vowel in "aeiou"]
KOREAN = [chr(code) for code in range(ord("가"), ord("힣"), 280)]


def corpus(syllables: list[str] = ENGLISH, count: int = 400) -> list[str]:
    """Made-up words, common and rare, in made-up sentences that are the same every time."""
    generator = random.Random(0)
    words = ["".join(generator.choices(syllables, k=generator.choice((1, 2, 2, 3)))) for _ in range(300)]
    return [" ".join(generator.choices(words, weights=range(300, 0, -1), k=8)) for _ in range(count)]


@pytest.fixture(scope="module")
def learnt():
    return train_vocabulary(corpus(), vocab_size=90)


def test_a_learnt_vocabulary_has_the_special_ids_and_settings(learnt):
    assert learnt.pieces[:13] == FIXED
    assert len(learnt.pieces) == 90
    expected = [3, 2, 3, 3, 3] + [4] * 8 + [1] * 77
    assert learnt.types.tolist() == expected == [PieceType(number) for number in expected]
    assert (np.diff(learnt.scores[13:]) <= 0).all()
    assert learnt.normalizer.name == "nmt_nfkc"
    assert b"[CLS]" in learnt.trainer
    segmenter = Segmenter(learnt)
    assert segmenter.decode(segmenter.ids([corpus()[0].upper() + "."])[0]) == corpus()[0] + "."
    assert sum(map(len, segmenter.ids(corpus()))) < 0.7 * sum(map(len, corpus()))


def test_the_same_texts_give_the_same_vocabulary(learnt):
    again = train_vocabulary(iter(corpus()), vocab_size=90)
    assert again.to_bytes() == learnt.to_bytes()
    sample = [train_vocabulary(corpus(count=3000), vocab_size=90, input_sentence_size=200).pieces for _ in range(2)]
    assert sample[0] == sample[1] != again.pieces


def test_texts_go_through_the_rules_that_the_tokenizer_will_apply():
    texts = [f"Ünder ``{word}'' É" for word in corpus()]
    lowered = "".join(train_vocabulary(texts, vocab_size=70).pieces[13:])
    assert "u" in lowered
    assert not set("ÜüÉéE`") & set(lowered)
    kept = "".join(train_vocabulary(texts, vocab_size=70, do_lower_case=False, keep_accents=True).pieces[13:])
    assert set("ÜÉ") <= set(kept)


def test_any_language_and_texts_longer_than_sentencepiece_takes():
    vocabulary = train_vocabulary(
        [" ".join(corpus(KOREAN, 3000)), "ü" * 9000, "한x" * 9000], vocab_size=120, character_coverage=1.0
    )
    assert any("\uac00" <= character <= "\ud7a3" for piece in vocabulary.pieces for character in piece)
    assert Segmenter(vocabulary).ids([corpus(KOREAN)[0] + " uüx한"])[0].count(1) == 0


@pytest.mark.parametrize(
    ("texts", "settings", "error", "words"),
    [
        ([], {}, DataError, "no text"),
        (["", "  \n"], {}, DataError, "no text"),
        (corpus(), {"vocab_size": 5000}, VocabularyError, r"vocab_size=5000 for 400 texts; use at most \d+"),
        (corpus(), {"vocab_size": 20}, VocabularyError, r"use at least \d+, or a lower character_coverage"),
        (corpus(), {"vocab_size": 13}, InputError, "13 fixed pieces"),
        (corpus(), {"vocab_size": 90, "character_coverage": 0.5}, InputError, "0.98 to 1"),
        (corpus(), {"vocab_size": 90, "input_sentence_size": 100}, InputError, "at least 101"),
        (corpus(), {"vocab_size": 90, "num_threads": 0}, InputError, "1 to 1024"),
        (["fine", "\ud800"], {"vocab_size": 90}, InputError, "lone surrogate"),
    ],
)
def test_what_cannot_be_learnt_is_said_in_one_sentence(texts, settings, error, words, capfd):
    with pytest.raises(error, match=words) as caught:
        train_vocabulary(texts, **settings)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")  # nor does SentencePiece say anything of its own


def test_the_largest_size_it_names_is_possible():
    with pytest.raises(VocabularyError) as caught:
        train_vocabulary(corpus(), vocab_size=5000)
    largest = int(str(caught.value).rpartition("at most ")[2].split(",")[0])
    assert len(train_vocabulary(corpus(), vocab_size=largest).pieces) == largest


@pytest.mark.parametrize("failure", [KeyError("of the reader"), KeyboardInterrupt()])
def test_a_failure_of_the_reader_reaches_the_caller_as_it_is(failure):
    def texts():
        yield "the first line"
        raise failure

    with pytest.raises(type(failure)) as caught:
        train_vocabulary(texts(), vocab_size=90)
    assert caught.value is failure


def test_progress_is_shown_when_asked_for(capsys):
    train_vocabulary(corpus(), vocab_size=90, progress=True)
    assert "learning 90 pieces from 400 texts" in capsys.readouterr().err


def test_the_command_writes_a_tokenizer(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("\n".join(corpus()), encoding="utf-8")
    with lzma.open(tmp_path / "b.jsonl.xz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in corpus(KOREAN))
    files = [str(tmp_path / name) for name in ("a.txt", "b.jsonl.xz")]
    assert main(["train-tokenizer", *files, "--output", str(tmp_path / "out"), "--vocab-size", "150", "--keep-accents"]) == 0
    assert "150 pieces" in capsys.readouterr().out
    tokenizer = AlbertTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.vocab_size == 150
    assert tokenizer.decode(tokenizer.encode("Bade: tati"), skip_special_tokens=True).endswith("tati")


def test_the_command_leaves_nothing_behind_when_it_fails(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("\n".join(corpus()), encoding="utf-8")
    out = tmp_path / "out"
    for words, message in (
        ([str(tmp_path / "a.txt"), "--vocab-size", "5000"], "use at most"),
        ([str(tmp_path / "absent.txt"), "--vocab-size", "90"], "absent.txt"),
    ):
        assert main(["train-tokenizer", *words, "--output", str(out)]) == 1
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("albertkit: error:")
        assert message in error
        assert not out.exists()
    assert main(["train-tokenizer", str(tmp_path / "a.txt"), "--vocab-size", "90", "--output", str(tmp_path / "a.txt")]) == 1
    assert "must be a directory" in capsys.readouterr().err
