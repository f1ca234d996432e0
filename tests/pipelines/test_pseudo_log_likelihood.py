"""pseudo-log-likelihood: both methods beside a plain loop over transformers' model."""

from __future__ import annotations

import lzma
import math
import warnings

import pytest

from albertkit import pipeline
from albertkit.errors import CheckpointError, InputError
from albertkit.hub import DEFAULT_MODEL, EMBEDDED
from albertkit.pipelines import PseudoLogLikelihoodPipeline

TEXTS = ["The  cat sat, on the Modél.", "paris", "a dogs' 日本 x", "The cat sat on the models in 1992, france."]


@pytest.fixture(scope="module")
def scorer(tiny_checkpoint) -> PseudoLogLikelihoodPipeline:
    return pipeline("pseudo-log-likelihood", tiny_checkpoint, engine="numpy")


def load_peer(directory):
    from transformers import AlbertForMaskedLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AlbertForMaskedLM.from_pretrained(directory, dtype="float32").eval()


def score_by_loop(peer, tokenizer, text: str, method: str) -> list[float]:
    """Log-probability of each token, one run of the model for each."""
    import torch

    encoded = tokenizer(text, return_tensors="pt")
    ids, words = encoded["input_ids"][0], encoded.word_ids(0)
    found = []
    for place, word in enumerate(words):
        if word is None:
            continue
        masked = ids.clone()
        for other in range(len(ids)):
            if other == place or (method == "word_l2r" and other > place and words[other] == word):
                masked[other] = tokenizer.mask_token_id
        with torch.no_grad():
            logits = peer(masked[None], token_type_ids=encoded["token_type_ids"]).logits[0, place]
        found.append(logits.double().log_softmax(-1)[ids[place]].item())
    return found


@pytest.mark.parametrize("method", ["token", "word_l2r"])
@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_scores_are_those_of_a_loop_over_transformers_model(engine, method, tiny_checkpoint):
    scorer = pipeline("pseudo-log-likelihood", tiny_checkpoint, engine=engine, method=method, per_token=True)
    peer = load_peer(tiny_checkpoint)
    for text, answer in zip(TEXTS, scorer(TEXTS), strict=True):
        expected = score_by_loop(peer, scorer.tokenizer, text, method)
        assert [token["score"] for token in answer["token_scores"]] == pytest.approx(expected, rel=1e-5, abs=1e-5)
        assert answer["score"] == pytest.approx(sum(expected), rel=1e-5)
        assert answer["tokens"] == len(expected)
        assert answer["perplexity"] == pytest.approx(math.exp(-sum(expected) / len(expected)), rel=1e-4)


@pytest.mark.slow
def test_real_sentences_have_the_scores_of_a_loop(shared_data):
    with lzma.open(shared_data / "glue/SST-2/dev.tsv.xz", "rt", encoding="utf8") as lines:
        texts = sorted((line.split("\t")[0].strip() for line in lines), key=len)[100:106]
    peer = load_peer(EMBEDDED / DEFAULT_MODEL)
    scorer = pipeline("pseudo-log-likelihood", engine="numpy")
    for method in ("token", "word_l2r"):
        for text, answer in zip(texts, scorer(texts, method=method), strict=True):
            expected = score_by_loop(peer, scorer.tokenizer, text, method)
            assert answer["score"] == pytest.approx(sum(expected), abs=1e-5 * len(expected) + 1e-5 * abs(sum(expected)))


def test_tokens_know_where_they_stand_in_the_text(scorer):
    answer = scorer(TEXTS[0], per_token=True)
    tokens = scorer.tokenizer.convert_ids_to_tokens(scorer.tokenizer(TEXTS[0])["input_ids"])[1:-1]
    assert [row["token"] for row in answer["token_scores"]] == tokens
    spans = [TEXTS[0][row["start"] : row["end"]] for row in answer["token_scores"]]
    assert "".join(spans) == TEXTS[0].replace(" ", "")
    assert "é" in "".join(spans)
    assert answer.keys() == {"score", "tokens", "perplexity", "token_scores"}
    assert scorer(TEXTS[0]).keys() == {"score", "tokens", "perplexity"}
    assert scorer(TEXTS[0])["score"] == pytest.approx(answer["score"])


def test_the_rest_of_a_word_is_masked_only_when_asked_for(scorer):
    """One piece is the same by both methods; the last of a word too."""
    text = "the dogs"
    token, l2r = (scorer(text, method=method, per_token=True)["token_scores"] for method in ("token", "word_l2r"))
    assert [row["token"] for row in token] == ["▁the", "▁dog", "s"]
    same = [row["score"] == pytest.approx(other["score"], rel=1e-6) for row, other in zip(token, l2r, strict=True)]
    assert same == [True, False, True]


def test_special_tokens_in_a_text_are_read_but_not_scored(scorer):
    answer = scorer("the [MASK] of [SEP] a", per_token=True)
    assert [row["token"] for row in answer["token_scores"]] == ["▁the", "▁of", "▁a"]
    assert scorer("the Ж", per_token=True)["token_scores"][-1]["token"] == "<unk>"


def test_a_likely_text_has_a_lower_perplexity():
    embedded = pipeline("pseudo-log-likelihood", engine="numpy")
    right, wrong = embedded(["The man went to the house.", "The man house to went the."])
    assert right["perplexity"] < wrong["perplexity"] / 2


def test_company_order_and_engines_change_nothing(scorer, tiny_checkpoint):
    alone = [scorer(text) for text in TEXTS]
    torch = pipeline("pseudo-log-likelihood", tiny_checkpoint, engine="torch", batch_size=3)
    for answers in (scorer(TEXTS), scorer(TEXTS[::-1])[::-1], list(scorer(iter(TEXTS))), torch(TEXTS)):
        for answer, expected in zip(answers, alone, strict=True):
            assert answer == {key: pytest.approx(value, rel=1e-5) for key, value in expected.items()}


def test_batches_keep_to_the_budget(scorer, monkeypatch):
    sizes = []
    logits = scorer.engine.logits

    def remember(head, batch, positions):
        sizes.append(len(batch.input_ids))
        assert len(positions) == len(batch.cu_seqlens) - 1
        return logits(head, batch, positions)

    monkeypatch.setattr(scorer.engine, "logits", remember)
    scorer(["the cat " * 15] * 5)
    lengths = len(scorer.tokenizer("the cat " * 15)["input_ids"])
    assert sum(sizes) == 5 * (lengths - 2) * lengths
    assert max(sizes) <= scorer.settings.token_budget
    assert len(sizes) > 1


@pytest.mark.parametrize(
    ("text", "options", "rule"),
    [
        ("", {}, "text must not be empty"),
        ("\u200b", {}, "must have a token that can be scored"),
        ("[MASK]", {}, "must have a token that can be scored"),
        ("a\ud800", {}, "surrogate"),
        ("the " * 600, {}, "max_position_embeddings=43 tokens.*received 602 tokens.*shorten it"),
        ("a", {"method": "word-l2r"}, "method must be one of token, word_l2r; received 'word-l2r'; did you mean word_l2r"),
    ],
)
def test_bad_input_is_one_sentence(scorer, text, options, rule):
    with pytest.raises(InputError, match=rule) as error:
        scorer(text, **options)
    assert "\n" not in str(error.value)


def test_a_checkpoint_without_the_head_is_refused(save_tiny):
    with pytest.raises(CheckpointError, match="needs a checkpoint with a masked_lm head"):
        pipeline("pseudo-log-likelihood", save_tiny("AlbertForMultipleChoice"))
