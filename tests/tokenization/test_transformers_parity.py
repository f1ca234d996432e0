"""What transformers 5 makes of the files we write, and how its calls truncate, pad and describe, against ours."""

from __future__ import annotations

import itertools
import json
import lzma
import random
from pathlib import Path

import pytest

from albertkit.errors import InputError
from albertkit.testing import tiny_tokenizer
from albertkit.tokenization import AddedToken, AlbertTokenizer

transformers = pytest.importorskip("transformers")

TEXT = "Paris is the capital of France the cat sat on a new model 1992, was it that (an) U.S. dog's [MASK] naïve éß 日本 ?!"
COLUMNS = ("input_ids", "token_type_ids", "attention_mask", "special_tokens_mask")


def sentences(count: int, longest: int, seed: int = 0) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(TEXT.split(), k=generator.randint(0, longest))) for _ in range(count)]


@pytest.fixture(scope="module")
def ours() -> AlbertTokenizer:
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def theirs(ours: AlbertTokenizer, tmp_path_factory: pytest.TempPathFactory):
    directory = tmp_path_factory.mktemp("saved")
    ours.save_pretrained(directory)
    return transformers.AlbertTokenizer.from_pretrained(directory)


@pytest.mark.parametrize("arguments", [{}, {"do_lower_case": False}, {"keep_accents": True}])
@pytest.mark.parametrize("loader", ["AlbertTokenizer", "PreTrainedTokenizerFast"])
def test_real_text_has_the_same_ids_there(shared_data: Path, tmp_path: Path, loader: str, arguments: dict[str, bool]) -> None:
    tokenizer = AlbertTokenizer(shared_data / "albert-vocab" / "30k-clean.rebuilt.model", **arguments)
    tokenizer.save_pretrained(tmp_path)
    with lzma.open(shared_data / "wiki-en" / "enwiki-slice.jsonl.xz", "rt", encoding="utf-8") as stream:
        lines = [line for document in itertools.islice(stream, 60) for line in json.loads(document)["text"].split("\n")]
    lines = [line[:400] for line in lines]
    other = getattr(transformers, loader).from_pretrained(tmp_path)
    assert len(lines) > 400
    ids = tokenizer(lines)["input_ids"]
    assert ids == other(lines)["input_ids"]
    assert tokenizer.batch_decode(ids) == other.batch_decode(ids)
    assert other.model_max_length == 512


def test_added_tokens_and_own_special_tokens_survive_the_journey(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["newtok", AddedToken("▁odd", normalized=False)])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<x>"], "mask_token": AddedToken("<m>", lstrip=True)})
    tokenizer.save_pretrained(tmp_path)
    other = transformers.AlbertTokenizer.from_pretrained(tmp_path)
    text = "Paris newtok <m> sat<x>cat <m>[MASK] NEWTOK"
    assert tokenizer(text)["input_ids"] == other(text)["input_ids"]
    assert len(tokenizer) == len(other)
    assert other.mask_token_id == tokenizer.mask_token_id == tokenizer.vocab_size + 3


@pytest.mark.parametrize("strategy", ["longest_first", "only_first", "only_second"])
@pytest.mark.parametrize(("stride", "special"), [(0, True), (2, True), (3, False)])
def test_pairs_truncate_and_overflow_alike(ours: AlbertTokenizer, theirs, strategy: str, stride: int, special: bool) -> None:
    firsts, seconds = sentences(60, 14, seed=1), sentences(60, 14, seed=2)
    for first, second, limit in zip(firsts, seconds, itertools.cycle(range(9, 20)), strict=False):
        options = {
            "truncation": strategy, "max_length": limit, "stride": stride, "add_special_tokens": special,
            "return_overflowing_tokens": True, "return_special_tokens_mask": True, "return_token_type_ids": True,
        }  # fmt: skip
        try:
            expected = theirs([first], [second], **options)
        except BaseException:  # the Rust package panics where a stride is too large
            with pytest.raises(InputError, match=r"must leave at least one token|stride must be smaller"):
                ours([first], [second], **options)
            continue
        found = ours([first], [second], **options)
        assert {name: found[name] for name in COLUMNS} == {name: expected[name] for name in COLUMNS}
        assert found["overflow_to_sample_mapping"] == expected["overflow_to_sample_mapping"]
        for row in range(len(found["input_ids"])):
            assert found.word_ids(row) == expected.word_ids(row)
            assert found.sequence_ids(row) == expected.sequence_ids(row)


@pytest.mark.parametrize("padding", [False, True, "max_length"])
@pytest.mark.parametrize("truncation", [True, False])
@pytest.mark.parametrize("split", [True, False])
def test_batches_truncate_and_pad_alike(
    ours: AlbertTokenizer, theirs, padding: bool | str, truncation: bool, split: bool
) -> None:
    texts = [text.split() for text in sentences(30, 20)] if split else sentences(30, 20)
    options = {
        "padding": padding, "truncation": truncation, "max_length": 16, "pad_to_multiple_of": 8, "is_split_into_words": split,
        "return_special_tokens_mask": True, "return_length": True, "return_token_type_ids": True,
    }  # fmt: skip
    if padding is True and not truncation:
        options["max_length"] = None
    found, expected = ours(texts, **options), theirs(texts, **options)
    assert dict(found) == {name: expected[name] for name in found}
    for row in range(len(texts)):
        assert found.word_ids(row) == expected.word_ids(row)
        assert found.sequence_ids(row) == expected.sequence_ids(row)
        assert found[row].special_tokens_mask == expected[row].special_tokens_mask


def test_places_of_tokens_are_found_alike(ours: AlbertTokenizer, theirs) -> None:
    text, pair = "Paris is the capital of France.", "The cat sat on a new dog."
    options = {"padding": "max_length", "max_length": 43, "return_offsets_mapping": True}
    found, expected = ours(text, pair, **options), theirs(text, pair, **options)
    assert found["offset_mapping"] == expected["offset_mapping"]
    assert found.tokens() == expected.tokens()
    for token in range(43):
        assert found.token_to_sequence(token) == expected.token_to_sequence(token)
        assert found.token_to_word(token) == expected.token_to_word(token)
        assert found.token_to_chars(token) == expected.token_to_chars(token)
    for sequence, source in enumerate((text, pair)):
        for character in range(len(source)):
            assert found.char_to_token(character, sequence_index=sequence) == expected.char_to_token(
                character, sequence_index=sequence
            )
            assert found.char_to_word(0, character, sequence) == expected.char_to_word(0, character, sequence)
        for word in range(8):
            assert found.word_to_tokens(word, sequence_index=sequence) == expected.word_to_tokens(word, sequence_index=sequence)
            if found.word_to_tokens(word, sequence_index=sequence):
                assert found.word_to_chars(0, word, sequence) == expected.word_to_chars(0, word, sequence)


@pytest.mark.parametrize(
    "options", [{}, {"max_length": 7}, {"max_length": 7, "padding": True}, {"max_length": 7, "truncation": False}]
)
def test_max_length_alone_truncates(ours: AlbertTokenizer, theirs, options: dict[str, object], recwarn) -> None:
    texts = ["Paris is the capital of France the cat", "cat"]
    assert ours(texts, **options)["input_ids"] == theirs(texts, **options)["input_ids"]
