"""The cloze test: the sentences are what they were, and ranks are counted honestly."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import albertkit.evaluation.cloze as cloze
from albertkit.cli.main import main
from albertkit.evaluation import ClozeScore, read_cloze, score_cloze
from albertkit.inference import TokenBatch, load_engine
from albertkit.pipelines import FillMaskPipeline
from albertkit.testing import tiny_tokenizer
from albertkit.tokenization import AlbertTokenizer

SHA256 = "4df9dea76787b37090bc1fb432a50738eea9693efdf348130edc0bb808a152eb"


@pytest.fixture(scope="module")
def tokenizer() -> AlbertTokenizer:
    return AlbertTokenizer.from_pretrained("albert-mini-en")


def constant_engine(value: float, *, positions: int = 512) -> Any:
    """An engine that scores every piece alike."""

    def logits(head: str, batch: TokenBatch, positions: np.ndarray) -> np.ndarray:
        assert head == "masked_lm"
        return np.full((len(positions), 8192), value, np.float32)

    return SimpleNamespace(config=SimpleNamespace(max_position_embeddings=positions), logits=logits)


def test_the_sentences_are_those_that_scores_were_published_on() -> None:
    path = Path(cloze.__file__).with_name("cloze_en.tsv")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256


def test_every_sentence_has_one_gap_and_answers_of_one_piece(tokenizer: AlbertTokenizer) -> None:
    sentences = read_cloze()
    assert Counter(sentence.kind for sentence in sentences) == dict(zip(cloze.KINDS, (40, 50, 60, 30, 20), strict=True))
    assert len({sentence.text for sentence in sentences}) == 200
    for sentence in sentences:
        assert sentence.text.count("[MASK]") == 1
        assert 6 <= len(sentence.text.split()) <= 16, sentence.text
        assert 1 <= len(sentence.answers) <= 4
        for answer in sentence.answers:
            assert answer == answer.lower()
            (ids,) = tokenizer([answer], add_special_tokens=False)["input_ids"]
            assert tokenizer.convert_ids_to_tokens(ids) == [f"▁{answer}"]


def test_the_share_in_the_top_five_is_that_of_fill_mask(tokenizer: AlbertTokenizer) -> None:
    engine = load_engine("albert-mini-en", engine="numpy")
    sentences = read_cloze()
    answered = FillMaskPipeline(engine, tokenizer)([sentence.text for sentence in sentences], top_k=5)
    hits = [
        [entry["token_str"] in sentence.answers for entry in entries]
        for sentence, entries in zip(sentences, answered, strict=True)
    ]
    scores = score_cloze(engine, tokenizer)
    assert scores.overall.top_5 == pytest.approx(np.mean([any(row) for row in hits]))
    assert scores.overall.top_1 == pytest.approx(np.mean([row[0] for row in hits]))
    functions = [row for row, sentence in zip(hits, sentences, strict=True) if sentence.kind == "function"]
    assert scores.by_kind["function"].top_5 == pytest.approx(np.mean([any(row) for row in functions]))


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_who_prefers_nothing_scores_nothing(tokenizer: AlbertTokenizer, value: float) -> None:
    scores = score_cloze(constant_engine(value), tokenizer)
    assert scores.overall == ClozeScore(0.0, 0.0, pytest.approx(1 / 8192), 200)


def test_means_over_ranks() -> None:
    assert ClozeScore.of([1, 2, 5, 6]) == ClozeScore(0.25, 0.75, pytest.approx((1 + 1 / 2 + 1 / 5 + 1 / 6) / 4), 4)


def test_what_cannot_be_scored_is_counted_apart(tokenizer: AlbertTokenizer) -> None:
    lengths = [len(ids) for ids in tokenizer([sentence.text for sentence in read_cloze()])["input_ids"]]
    scores = score_cloze(constant_engine(0.0, positions=12), tokenizer)
    assert scores.not_scorable == sum(length > 12 for length in lengths) > 0
    assert scores.overall.sentences == 200 - scores.not_scorable
    words = {piece.removeprefix("▁") for piece in tiny_tokenizer().get_vocab() if piece.startswith("▁")}
    spelled = sum(bool(words & set(sentence.answers)) for sentence in read_cloze())
    assert score_cloze(constant_engine(0.0, positions=10**6), tiny_tokenizer()).not_scorable == 200 - spelled


def test_the_command_scores_the_embedded_model_without_a_framework() -> None:
    script = "import sys; from albertkit.cli.main import main; main(['evaluate', '--json']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["model"], report["cloze"]["digest"], report["cloze"]["not_scorable"]) == ("albert-mini-en", SHA256, 0)
    assert "held_out" not in report


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(["--no-cloze"], "something to score on"), (["--training.seed", "3"], "name the recipe"), (["no.yaml"], "readable file")],
)
def test_mistakes_are_one_line(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *words]) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.splitlines()) == 1
