"""Masks have the shares that paper and code state, and words stay whole."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from albertkit.data.masking import Masker
from albertkit.data.options import ExampleOptions
from albertkit.data.vocabulary import Vocabulary, find_word_starts
from albertkit.errors import ConfigError

PAPER = ExampleOptions.paper(max_seq_length=128)


def random_content(generator: np.random.Generator, length: int = 125, share_of_starts: float = 2 / 3) -> np.ndarray:
    starts = generator.integers(5, 405, length)
    return np.where(generator.random(length) < share_of_starts, starts, generator.integers(405, 661, length)).astype(np.int32)


def mask_many(options: ExampleOptions, vocabulary: Vocabulary, times: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Originals and replacements of the predicted tokens of 125,000 tokens."""
    masker, generator = Masker(options, vocabulary), np.random.default_rng(0)
    originals, replaced = [], []
    for _ in range(times):
        content = random_content(generator)
        places, ids = masker.mask(content, 60, generator)
        originals.append(content[places])
        replaced.append(ids)
    return np.concatenate(originals), np.concatenate(replaced)


@pytest.mark.parametrize(("favor_shorter", "shares"), [(True, (6 / 11, 3 / 11, 2 / 11)), (False, (2 / 11, 3 / 11, 6 / 11))])
def test_ngram_lengths_have_the_stated_shares(vocabulary: Vocabulary, favor_shorter: bool, shares: tuple[float, ...]) -> None:
    # So few masks in so long a text that spans hardly ever meet: what is drawn is what is masked.
    options = replace(PAPER, masked_lm_prob=0.005, favor_shorter_ngram=favor_shorter)
    masker, generator = Masker(options, vocabulary), np.random.default_rng(1)
    lengths = []
    for _ in range(40):
        spans = masker.draw_spans(random_content(generator, 20_000, 1.0), 10_000, generator)
        lengths += [end - begin for begin, end in spans]
    assert len(lengths) > 1500
    assert np.bincount(lengths, minlength=4)[1:] / len(lengths) == pytest.approx(shares, abs=0.03)


def test_the_budget_is_the_stated_share_of_tokens(vocabulary: Vocabulary) -> None:
    masker = Masker(PAPER, vocabulary)
    assert [masker.budget(length) for length in (5, 10, 128, 512)] == [1, 2, 19, 77]
    google = Masker(ExampleOptions.google(), vocabulary)
    assert [google.budget(length) for length in (5, 128, 512)] == [1, 19, 20]
    originals, _ = mask_many(PAPER, vocabulary)
    assert len(originals) / 128_000 == pytest.approx(0.15, abs=0.002)


def test_replacements_are_80_10_10(vocabulary: Vocabulary) -> None:
    originals, replaced = mask_many(PAPER, vocabulary)
    is_mask, is_kept = replaced == 4, replaced == originals
    drawn = replaced[~is_mask & ~is_kept]
    assert is_mask.mean() == pytest.approx(0.8, abs=0.01)
    assert is_kept.mean() == pytest.approx(0.1, abs=0.01)
    assert len(drawn) / len(replaced) == pytest.approx(0.1, abs=0.01)
    # Uniform over all that is not special.
    assert drawn.min() == 5
    assert drawn.max() == len(vocabulary.pieces) - 1
    assert np.bincount(drawn)[5:].std() ** 2 == pytest.approx(np.bincount(drawn)[5:].mean(), rel=0.3)


def test_random_tokens_may_be_special_or_never_the_original(vocabulary: Vocabulary) -> None:
    always_random = replace(PAPER, mask_token_prob=0.0, random_token_prob=1.0)
    few_pieces = replace(vocabulary, pieces=vocabulary.pieces[:9])
    content = np.tile(np.arange(5, 9, dtype=np.int32), 500)
    for may_be_special, may_be_original in ((False, True), (False, False), (True, True), (True, False)):
        options = replace(always_random, random_token_may_be_special=may_be_special, random_token_may_be_original=may_be_original)
        generator = np.random.default_rng(0)
        places, ids = Masker(options, few_pieces).mask(content, 1000, generator)
        seen = {(old, new) for old, new in zip(content[places].tolist(), ids.tolist(), strict=True)}
        allowed = range(0 if may_be_special else 5, 9)
        assert seen == {(old, new) for old in range(5, 9) for new in allowed if may_be_original or old != new}


@pytest.mark.parametrize("unit", ["token", "span"])
def test_replacement_is_decided_by_token_or_by_span(vocabulary: Vocabulary, unit: str) -> None:
    masker = Masker(replace(PAPER, replacement_unit=unit), vocabulary)  # type: ignore[arg-type]
    mixed, total = 0, 0
    for seed in range(200):
        content = random_content(np.random.default_rng(seed))
        spans = masker.draw_spans(content, 60, np.random.default_rng(seed))
        places, ids = masker.mask(content, 60, np.random.default_rng(seed))
        is_mask = dict(zip(places.tolist(), (ids == 4).tolist(), strict=True))
        for begin, end in spans:
            total += end - begin > 1
            mixed += len({is_mask[place] for place in range(begin, end)}) == 2
    assert total > 500
    assert mixed == 0 if unit == "span" else mixed > 0.3 * total


@pytest.mark.parametrize("base", [PAPER, replace(ExampleOptions.google(max_seq_length=128), max_predictions_per_seq=7)])
def test_permuted_tokens_are_predicted_beside_the_masked_ones(vocabulary: Vocabulary, base: ExampleOptions) -> None:
    plain, permuting = Masker(base, vocabulary), Masker(replace(base, permute_tokens=True), vocabulary)
    masked_tokens = moved_tokens = unchanged = 0
    first_words = set()
    for seed in range(1000):
        content = random_content(np.random.default_rng(seed))
        masked, replaced = (part.tolist() for part in plain.mask(content, 60, np.random.default_rng(seed)))
        places, ids = permuting.mask(content, 60, np.random.default_rng(seed))
        assert (np.diff(places) > 0).all()
        result = dict(zip(places.tolist(), ids.tolist(), strict=True))
        assert [result[place] for place in masked] == replaced  # the masks are those of the same draw without permutation
        moved = sorted(set(result) - set(masked))
        assert sorted(result[place] for place in moved) == sorted(content[moved].tolist())
        masked_tokens, moved_tokens = masked_tokens + len(masked), moved_tokens + len(moved)
        unchanged += sum(result[place] == content[place] for place in moved)
        assert len(moved) <= plain.budget(128)
        first_words.add(moved[0])
    assert moved_tokens == pytest.approx(masked_tokens, rel=0.02)
    assert unchanged / moved_tokens == pytest.approx(
        1000 / moved_tokens, abs=0.02
    )  # a permutation leaves one in place, on average
    assert len(first_words) > 10


@pytest.mark.parametrize("options", [PAPER, ExampleOptions.google(max_seq_length=128)])
def test_words_are_never_cut(vocabulary: Vocabulary, options: ExampleOptions) -> None:
    masker, crossing = Masker(options, vocabulary), 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        content, first_length = random_content(generator), int(generator.integers(1, 125))
        is_masked = np.zeros(126, np.bool_)
        is_masked[masker.mask(content, first_length, generator)[0]] = True
        goes_on = content >= 405
        goes_on[0] = False
        if not options.ngrams_cross_segments:
            goes_on[first_length] = False
        inside = np.flatnonzero(goes_on)
        assert (is_masked[inside] == is_masked[inside - 1]).all()
        spans = masker.draw_spans(content, first_length, np.random.default_rng(seed))
        assert all(previous[1] <= following[0] for previous, following in pairwise(spans))
        crossing += sum(begin < first_length < end for begin, end in spans)
    assert (crossing > 0) == options.ngrams_cross_segments


def test_without_whole_words_single_tokens_are_masked(vocabulary: Vocabulary) -> None:
    masker = Masker(replace(PAPER, whole_word=False, ngram=1), vocabulary)
    content = np.full(125, 405, np.int32)  # one long word
    assert len(masker.mask(content, 60, np.random.default_rng(0))[0]) == 19
    assert len(Masker(PAPER, vocabulary).mask(content, 60, np.random.default_rng(0))[0]) == 0


def test_word_starts_by_both_rules() -> None:
    expected = {  # piece: unicode, google
        "▁the": (True, True), "ing": (False, False), "<unk>": (True, True), ",": (True, True), "(": (True, True),
        "▁": (True, True), "19": (True, True), "é": (False, True), "ße": (False, True), "'s": (True, True), "’s": (True, True),
        "습니다": (False, True), "ов": (False, True), "中国": (True, True), "の": (True, True), "co2": (False, True),
        ".com": (True, False),
    }  # fmt: skip
    for column, rule in enumerate(("unicode", "google")):
        found = find_word_starts(list(expected), rule)  # type: ignore[arg-type]
        assert {piece: bool(start) for piece, start in zip(expected, found, strict=True)} == {
            piece: starts[column] for piece, starts in expected.items()
        }
        assert find_word_starts(["the", "##re", "中", "1", "##9"], rule).tolist() == [True, False, True, True, False]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_seq_length", 4), ("ngram", 0), ("dupe_factor", 0), ("short_seq_unit", "epoch"),
        ("max_predictions_per_seq", 0), ("short_seq_prob", 1.1), ("masked_lm_prob", 0),
        ("random_token_prob", 0.3), ("word_starts", "google's"), ("one_sentence_chunks", "drop"), ("replacement_unit", "word"),
    ],
)  # fmt: skip
def test_impossible_options_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*{value}|{name}"):
        replace(PAPER, **{name: value})  # type: ignore[arg-type]
