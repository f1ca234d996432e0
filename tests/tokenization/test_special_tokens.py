"""Special and added tokens: found in texts as transformers 4's Python tokenizer finds them, named, added, saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albertkit.errors import InputError, VocabularyError
from albertkit.testing import tiny_tokenizer
from albertkit.testing.vocabulary import tiny_vocabulary
from albertkit.tokenization import AddedToken, AlbertTokenizer

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "special_tokens.json").read_text(encoding="utf-8"))


def token(value: Any, *, special: bool) -> Any:
    return AddedToken(**value, special=special) if isinstance(value, dict) else value


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_special_and_added_tokens_are_found_as_the_python_tokenizer_of_transformers_4_finds_them(case: dict[str, Any]) -> None:
    tokenizer = AlbertTokenizer(vocabulary=tiny_vocabulary(), **case.get("arguments", {}))
    tokenizer.add_tokens([token(value, special=False) for value in case.get("added", [])])
    special = [token(value, special=True) for value in case.get("special", [])]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    assert tokenizer(GOLDEN["texts"])["input_ids"] == case["ids"]
    assert [tokenizer(text)["input_ids"] for text in GOLDEN["texts"]] == case["ids"]
    assert tokenizer(GOLDEN["texts"], return_offsets_mapping=True)["input_ids"] == case["ids"]
    assert len(tokenizer) == case["size"]
    assert tokenizer.all_special_tokens == case["all_special_tokens"]


@given(
    st.lists(st.sampled_from(["[MASK]", "<x>", "tok", "TOK", " ", "\n", "a", "É", "the", "1992,", "[CLS"]), max_size=12).map(
        "".join
    )
)
def test_offsets_cut_added_tokens_and_pieces_out_of_the_original_text(text: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens("tok")
    tokenizer.add_tokens("<x>", special_tokens=True)
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    for name, (start, stop) in zip(encoding.tokens(), encoding["offset_mapping"], strict=True):
        cut = text[start:stop]
        if name in tokenizer.added_tokens.ids and name != "<unk>":
            assert cut.lower() == name.lower()
        elif name != "<unk>":
            assert cut.lower().replace("é", "e").strip() == name.replace("▁", "")


def test_a_long_batch_searches_only_texts_that_hold_a_token() -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.added_tokens.find(["the cat", "a [MASK] b", "[cls] <", "x<unk>"]) == [1, 3]
    assert tokenizer.added_tokens.find(["the cat", "the dog"]) == []
    tokenizer.add_tokens("dog")
    assert tokenizer.added_tokens.find(["the cat", "the DOG"]) == [1]


def test_an_added_token_that_is_not_normalized_is_found_as_it_is_written() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(AddedToken("iCat", normalized=False))
    assert tokenizer.tokenize("iCat icat") == ["iCat", *tokenizer.tokenize(" icat")]


def test_capitals_count_as_small_letters_unless_a_token_has_them_itself() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<x>", "ök"])
    tokenizer.add_tokens("<X>", special_tokens=True)
    tokens = tokenizer.tokenize("<x><X>[MASK][mask]<PAD>ÖK")
    assert [token for token in tokens if token in tokenizer.added_tokens.ids] == ["<x>", "<X>", "[MASK]", "<pad>", "ök"]
    assert tokenizer.tokenize("ö\u212a")[-1] == "ök"  # the Kelvin sign is a capital k


def test_named_tokens_have_strings_and_ids_and_can_be_set() -> None:
    tokenizer = tiny_tokenizer()
    named = ("pad", "unk", "cls", "sep", "mask", "bos", "eos")
    assert [getattr(tokenizer, f"{name}_token_id") for name in named] == [0, 1, 2, 3, 4, 2, 3]
    assert tokenizer.special_tokens_map["mask_token"] == tokenizer.mask_token == "[MASK]"
    assert tokenizer.all_special_ids == [2, 3, 1, 0, 4]
    tokenizer.pad_token = "the"
    assert tokenizer.pad_token_id == tokenizer.vocab_size == len(tokenizer) - 1
    assert tokenizer(["a", "a a"], padding=True)["input_ids"][0][-1] == tokenizer.pad_token_id
    with pytest.raises(InputError, match="follows from its string"):
        tokenizer.mask_token_id = 7


def test_adding_tokens_counts_new_ids_only() -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.add_tokens(["▁the", "new", "NEW", "other"]) == 2  # a piece, and a string that is the same in lower case
    assert tokenizer.convert_tokens_to_ids(["▁the", "new", "other"]) == [14, 101, 102]
    assert tokenizer.add_special_tokens({"additional_special_tokens": ["<e1>", "<e2>"], "cls_token": "<e1>"}) == 2
    assert tokenizer.decode(tokenizer("a new<e2>")["input_ids"], skip_special_tokens=True) == "a new"
    assert len(tokenizer) == len(tokenizer.get_vocab()) == 105
    with pytest.raises(InputError, match="special tokens are named"):
        tokenizer.add_special_tokens({"start_token": "x"})
    with pytest.raises(InputError, match="non-empty string"):
        tokenizer.add_tokens([""])


def test_a_vocabulary_without_a_special_piece_is_refused_unless_another_is_named() -> None:
    file = tiny_vocabulary()
    file = file.replace(pieces=("[PAD]", *file.pieces[1:]))
    with pytest.raises(VocabularyError, match=r"one without <pad>.*give pad_token the piece"):
        AlbertTokenizer(vocabulary=file)
    assert AlbertTokenizer(vocabulary=file, pad_token="[PAD]").pad_token_id == 0
