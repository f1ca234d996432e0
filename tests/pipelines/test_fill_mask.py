"""fill-mask: the answers and their forms, beside transformers' own pipeline on the same weights, and masks filled together."""

from __future__ import annotations

import itertools
import lzma
import sys
import warnings
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from albertkit import AlbertForMaskedLM, pipeline
from albertkit.errors import CheckpointError, InputError
from albertkit.hub import DEFAULT_MODEL, EMBEDDED
from albertkit.pipelines import FillMaskPipeline
from albertkit.pipelines.fill_mask import _find_largest
from albertkit.pipelines.joint_decoding import Hypothesis, extend
from albertkit.testing import tiny_tokenizer


@pytest.fixture(scope="module")
def unmasker(tiny_checkpoint) -> FillMaskPipeline:
    return pipeline("fill-mask", tiny_checkpoint, engine="numpy")


@pytest.fixture(scope="module")
def sentences(shared_data) -> list[str]:
    """220 real sentences with one of their words masked, and every tenth with a second."""
    with lzma.open(shared_data / "glue/MRPC/msr_paraphrase_test.txt.xz", "rt", encoding="utf8") as lines:
        texts = [line.rstrip("\n").split("\t")[3] for line in lines][1:221]
    generator = np.random.default_rng(0)
    masked = []
    for number, text in enumerate(texts):
        words = text.split()
        for _mask in range(2 if number % 10 == 0 else 1):
            words[generator.integers(len(words))] = "[MASK]"
        masked.append(" ".join(words))
    return masked


def as_masks(answer: list) -> list[list[dict]]:
    """A list of rows for each mask, whatever their number."""
    return answer if isinstance(answer[0], list) else [answer]


def assert_equal(ours: list, theirs: list) -> None:
    """Answers for several texts: equal in form and content, scores to 1e-5."""
    for answer, expected in zip(ours, theirs, strict=True):
        assert isinstance(answer[0], list) == isinstance(expected[0], list)
        for rows, others in zip(as_masks(answer), as_masks(expected), strict=True):
            for row, other in zip(rows, others, strict=True):
                assert row.keys() == other.keys()
                assert row["score"] == pytest.approx(other["score"], abs=1e-5)
                # Where the bare piece ▁ begins a sequence, transformers 5 leaves its space there.
                same = {"score": 0, "sequence": row["sequence"].strip()}
                assert row | same == other | same
                assert row["sequence"].strip() == other["sequence"].strip()


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
    assert_equal(unmasker([two, one, one]), [double, single, single])
    assert "[MASK]" in double[0][0]["sequence"]
    assert "[MASK]" not in single[0]["sequence"]


@pytest.mark.slow
def test_real_sentences_have_transformers_answers(sentences, peer_pipeline):
    assert sum("[MASK]" in text[text.index("[MASK]") + 1 :] for text in sentences) > 15
    peer = peer_pipeline("fill-mask", EMBEDDED / DEFAULT_MODEL, dtype="float32")
    engines = [pipeline("fill-mask", engine=name) for name in ("numpy", "torch")]
    targets = ["▁the", "▁said", "▁million", "▁new", "."]
    for texts, options in (
        (sentences, {}), (sentences[:30], {"top_k": 17}), (sentences[:30], {"targets": targets}),
        (sentences[:10], {"targets": "▁in", "top_k": 3}),
    ):  # fmt: skip
        expected = peer(texts, **options)
        for ours in engines:
            assert_equal(ours(texts, **options), expected)


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_the_numbers_are_transformers_own(engine, tiny_checkpoint, peer_pipeline):
    texts = ["the [MASK] of a", "[MASK] in the [MASK] of"]
    assert_equal(pipeline("fill-mask", tiny_checkpoint, engine=engine)(texts), peer_pipeline("fill-mask", tiny_checkpoint)(texts))


def test_company_and_order_change_nothing(unmasker):
    texts = ["the [MASK] of a", "[MASK]", "a cat [MASK] on [MASK] the dog in paris", "[MASK] is new"] * 2
    alone = [unmasker(text) for text in texts]
    assert_equal(unmasker(texts), alone)
    assert_equal(unmasker(texts[::-1])[::-1], alone)
    small = FillMaskPipeline(unmasker.engine, unmasker.tokenizer, settings=unmasker.settings.__class__(token_budget=1))
    assert_equal(small(texts), alone)
    answers = unmasker(text for text in texts)
    assert isinstance(answers, Iterator)
    assert_equal(list(answers), alone)


# ------------------------------------------------------------------ targets


def test_targets_choose_among_words(unmasker):
    rows = unmasker("the [MASK] of a", targets=["the", "of"])
    assert {row["token_str"] for row in rows} == {"the", "of"}
    everything = {row["token"]: row["score"] for row in unmasker("the [MASK] of a", top_k=1000)}
    assert all(row["score"] == pytest.approx(everything[row["token"]]) for row in rows)
    with pytest.warns(UserWarning, match="'theof' is no single token of the vocabulary; 'the' stands for it"):
        unmasker("the [MASK] of a", targets="theof")
    assert [[row["token_str"] for row in rows] for rows in unmasker("[MASK] [MASK]", targets="of")] == [["of"], ["of"]]


def test_a_target_is_a_word_before_it_is_a_piece():
    """Where transformers takes ``the`` for the piece inside of words, ours is ▁the; an ending without ▁ is itself."""
    embedded = pipeline("fill-mask", engine="numpy")
    pieces = embedded.tokenizer.get_vocab()
    assert {"the", "▁the", "ing"} <= pieces.keys()
    assert "▁ing" not in pieces
    rows = embedded("he saw [MASK] dog", targets=["the", "ing"])
    assert {row["token"] for row in rows} == {pieces["▁the"], pieces["ing"]}


# -------------------------------------------------------------- answer forms


def test_the_form_of_the_model_cards(unmasker):
    text = "the [MASK] of a, cat's"
    plain, card = unmasker(text), unmasker(text, answer_form="card")
    for row, other in zip(card, plain, strict=True):
        assert row.keys() == other.keys()
        assert (row["score"], row["token"]) == (other["score"], other["token"])
        assert row["token_str"] == unmasker.tokenizer.convert_ids_to_tokens(row["token"])
        assert row["sequence"] == f"[CLS] {other['sequence']}[SEP]"
    assert any(row["token_str"].startswith("▁") for row in unmasker(text, answer_form="card", top_k=50))


def test_the_form_of_the_model_cards_for_their_example(shared_data):
    """ "Hello I'm a [MASK] model." as the cards of ALBERT print the answer ▁modeling, id 12807."""
    from albertkit.tokenization import AlbertTokenizer

    tokenizer = AlbertTokenizer.from_pretrained(shared_data / "albert-vocab/30k-clean.rebuilt.model")

    def logits(head, batch, positions):
        return np.where(np.arange(30000) == 12807, 1.0, 0.0)[None].repeat(len(positions), axis=0)

    engine = SimpleNamespace(config=SimpleNamespace(vocab_size=30000, max_position_embeddings=512), logits=logits)
    row = FillMaskPipeline(engine, tokenizer)("Hello I'm a [MASK] model.", answer_form="card")[0]
    assert row["sequence"] == "[CLS] hello i'm a modeling model.[SEP]"
    assert (row["token"], row["token_str"]) == (12807, "▁modeling")


# ------------------------------------------------------------ joint decoding


def test_with_one_mask_joint_is_the_plain_answer(unmasker):
    for top_k in (2, 11):
        plain, joint = unmasker("the [MASK] of a", top_k=top_k), unmasker("the [MASK] of a", top_k=top_k, joint=True)
        assert [row["tokens"] for row in joint] == [[row["token"]] for row in plain]
        assert [row["token_strs"] for row in joint] == [[row["token_str"]] for row in plain]
        assert [row["sequence"] for row in joint] == [row["sequence"] for row in plain]
        assert [row["score"] for row in joint] == pytest.approx([row["score"] for row in plain], rel=1e-12)


def test_a_beam_as_wide_as_the_vocabulary_finds_the_best_of_all_fillings(unmasker):
    """Beside every pair of tokens, scored by the rule: the surer of the two positions first, then the other given it."""
    text = "the [MASK] of [MASK] cat"
    first, second = ({row["token"]: row["score"] for row in rows} for rows in unmasker(text, top_k=101))
    tokens = list(unmasker.tokenizer.get_vocab().values())
    left_is_surer = max(first.values()) > max(second.values())
    surer = first if left_is_surer else second
    places = (2, 4) if left_is_surer else (4, 2)
    ids = unmasker.tokenizer(text)["input_ids"]
    expected = {}
    for token in tokens:
        filled = [token if place == places[0] else other for place, other in enumerate(ids)]
        (others,) = unmasker._score_masks(
            SimpleNamespace(input_ids=[filled], token_type_ids=[[0] * len(ids)]), np.arange(101), 101
        )
        for other, probability in others[places[1]]:
            pair = (token, other) if left_is_surer else (other, token)
            expected[pair] = surer[token] * probability
    rows = unmasker(text, joint=True, top_k=101)
    best = sorted(expected, key=lambda pair: -expected[pair])[:101]
    assert [tuple(row["tokens"]) for row in rows][:20] == best[:20]
    assert [row["score"] for row in rows] == pytest.approx([expected[pair] for pair in best], rel=1e-4)


def test_joint_answers_of_several_texts_and_forms(unmasker):
    texts = ["[MASK] the [MASK]", "a [MASK]", "[MASK] [MASK] [MASK] of"]
    alone = [unmasker(text, joint=True, top_k=3) for text in texts]
    together = unmasker(texts, joint=True, top_k=3)
    for rows, others in zip(together, alone, strict=True):
        assert [row["tokens"] for row in rows] == [row["tokens"] for row in others]
        assert [row["score"] for row in rows] == pytest.approx([row["score"] for row in others], rel=1e-4)
        assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
        assert len({tuple(row["tokens"]) for row in rows}) == 3
    card = unmasker(texts[0], joint=True, top_k=1, answer_form="card")[0]
    assert card["sequence"].startswith("[CLS]")
    assert card["token_strs"] == unmasker.tokenizer.convert_ids_to_tokens(card["tokens"])
    only = unmasker(texts[2], joint=True, targets=["cat", "dog"], top_k=20)
    assert len(only) == 8
    assert {word for row in only for word in row["token_strs"]} == {"cat", "dog"}


def test_joint_filling_looks_at_what_it_has_filled():
    """Masks each for itself put ``states`` twice; together the second knows of the first."""
    embedded = pipeline("fill-mask", engine="numpy")
    text = "the [MASK] [MASK] of america"
    apart = [rows[0]["token"] for rows in embedded(text)]
    joint = embedded(text, joint=True)
    order = {tuple(row["tokens"]): row["score"] for row in joint}
    assert max(order, key=order.get) == tuple(joint[0]["tokens"])
    assert joint[0]["tokens"] != apart or joint[0]["score"] != pytest.approx(
        embedded(text)[0][0]["score"] * embedded(text)[1][0]["score"]
    )


def test_a_hypothesis_fills_its_surest_mask_and_equal_ones_are_joined():
    root = Hypothesis((9, 4, 4), (1, 2))
    beam = extend([(root, {1: [(5, 0.5), (6, 0.3)], 2: [(7, 0.9), (8, 0.1)]})], 2)
    assert [hypothesis.ids for hypothesis in beam] == [(9, 4, 7), (9, 4, 8)]
    assert all(hypothesis.places == (1,) for hypothesis in beam)
    assert np.exp([hypothesis.log_probability for hypothesis in beam]) == pytest.approx([0.9, 0.1])
    twice = [Hypothesis((9, 5, 4), (2,), -1.0), Hypothesis((9, 4, 7), (1,), -0.5)]
    joined = extend([(twice[0], {2: [(7, 0.5)]}), (twice[1], {1: [(5, 0.1), (4, 0.0)]})], 5)
    assert [hypothesis.ids for hypothesis in joined] == [(9, 5, 7), (9, 4, 7)]
    assert joined[0].log_probability == pytest.approx(np.log(0.5) - 1)
    assert joined[1].log_probability == -np.inf


def test_a_mask_filled_with_the_mask_token_is_filled(unmasker):
    (row,) = unmasker("a [MASK] of [MASK]", joint=True, targets="[MASK]")
    assert row["tokens"] == [4, 4]


# ------------------------------------------------------------- what is given


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


@pytest.mark.parametrize(
    ("text", "options", "rule"),
    [
        ("no mask here", {}, r"must hold the mask token \[MASK\]; received 'no mask here'; put \[MASK\]"),
        ("", {}, "text must not be empty"),
        ("the " * 600 + "[MASK]", {}, r"max_position_embeddings=43 tokens.*received 60[23] tokens.*shorten"),
        ("a\ud800 [MASK]", {}, "surrogate"),
        ("[MASK]", {"top_k": 0}, "top_k must be a positive"),
        ("[MASK]", {"top_k": None}, "top_k must be a positive"),
        ("[MASK]", {"targets": []}, "at least one word"),
        ("[MASK]", {"targets": [""]}, "a target must be a word"),
        ("[MASK]", {"answer_form": "cards"}, "answer_form must be one of hub, card; received 'cards'; did you mean card?"),
        ({"txt": "[MASK]"}, {}, 'an input of fill-mask is a string or an object with "text"; received txt'),
    ],
)
def test_bad_input_is_one_sentence(unmasker, text: str, options: dict, rule: str):
    with pytest.raises(InputError, match=rule) as error:
        unmasker(text, **options)
    assert "\n" not in str(error.value)


def test_a_bad_target_is_an_error_even_where_bad_texts_are_answers(tiny_checkpoint):
    lenient = pipeline("fill-mask", tiny_checkpoint, engine="numpy", errors="return")
    assert [isinstance(answer, InputError) for answer in lenient(["no", "[MASK]", ""])] == [True, False, True]
    with pytest.raises(InputError, match="a target must be a word"):
        lenient(["a [MASK]"], targets=[""])


def test_a_checkpoint_without_the_head_is_refused(save_tiny):
    with pytest.raises(CheckpointError, match="needs a checkpoint with a masked_lm head"):
        pipeline("fill-mask", save_tiny("AlbertForMultipleChoice"))


def test_warnings_of_targets_name_the_callers_line(unmasker):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        unmasker(itertools.repeat("[MASK]", 2), targets="theof")
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("count", [1, 2, 5, 64, 700, 900])
def test_the_largest_of_equal_values_are_the_earliest(count):
    generator = np.random.default_rng(count)
    for size in (1, 3, 101, 700):
        for values in (generator.random(size), generator.integers(0, 4, size) / 4, np.zeros(size)):
            expected = sorted(range(size), key=lambda place: (-values[place], place))[:count]
            assert _find_largest(values, count).tolist() == expected
