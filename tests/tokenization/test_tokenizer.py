"""The tokenizer as users call it: shapes of what comes back, conversions, sampling, and what is refused."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import albertkit
from albertkit.errors import InputError
from albertkit.testing import tiny_tokenizer
from albertkit.testing.vocabulary import tiny_vocabulary
from albertkit.tokenization import AlbertTokenizer

A, B = "Paris is the capital", "of [MASK], a model."
TOKENIZER = tiny_tokenizer()


def test_the_public_names_are_one_class() -> None:
    assert albertkit.AlbertTokenizer is albertkit.AlbertTokenizerFast is AlbertTokenizer
    names = list(inspect.signature(AlbertTokenizer).parameters)
    assert names[:12] == [
        "vocab_file", "do_lower_case", "remove_space", "keep_accents", "bos_token", "eos_token", "unk_token", "sep_token",
        "pad_token", "cls_token", "mask_token", "sp_model_kwargs",
    ]  # fmt: skip


def test_a_text_a_pair_and_batches_of_them() -> None:
    first, second = (TOKENIZER(text, add_special_tokens=False)["input_ids"] for text in (A, B))
    assert TOKENIZER(A) == {
        "input_ids": [2, *first, 3],
        "token_type_ids": [0] * (len(first) + 2),
        "attention_mask": [1] * (len(first) + 2),
    }
    pair = TOKENIZER(A, B)
    assert pair["input_ids"] == [2, *first, 3, *second, 3]
    assert pair["token_type_ids"] == [0] * (len(first) + 2) + [1] * (len(second) + 1)
    assert TOKENIZER([A, B])["input_ids"] == [[2, *first, 3], [2, *second, 3]]
    for batch in (TOKENIZER([A, B], [B, A]), TOKENIZER([(A, B), (B, A)])):
        assert batch["input_ids"] == [pair["input_ids"], TOKENIZER(B, A)["input_ids"]]
    assert TOKENIZER([])["input_ids"] == TOKENIZER([], add_special_tokens=False)["input_ids"] == []
    assert TOKENIZER("")["input_ids"] == [2, 3]


def test_only_the_columns_asked_for_come_back() -> None:
    bare = TOKENIZER([A], add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False)
    assert list(bare) == ["input_ids"]
    assert bare["input_ids"] == [TOKENIZER(A)["input_ids"][1:-1]]
    full = TOKENIZER(A, return_special_tokens_mask=True, return_offsets_mapping=True, return_length=True)
    assert list(full) == ["input_ids", "token_type_ids", "attention_mask", "special_tokens_mask", "offset_mapping", "length"]
    assert full["special_tokens_mask"] == [1] + [0] * (len(full["input_ids"]) - 2) + [1]
    assert full["offset_mapping"] == [(0, 0), (0, 5), (6, 8), (9, 12), (13, 20), (0, 0)]
    assert full["length"] == [6]
    assert TOKENIZER(A, return_overflowing_tokens=True)["input_ids"] == [full["input_ids"]]


def test_words_are_encoded_one_by_one_with_offsets_inside_them() -> None:
    words = A.split()
    encoding = TOKENIZER(words, is_split_into_words=True, return_offsets_mapping=True)
    assert encoding["input_ids"] == TOKENIZER(A)["input_ids"]
    assert encoding["offset_mapping"] == [(0, 0), (0, 5), (0, 2), (0, 3), (0, 7), (0, 0)]
    assert encoding.word_ids() == [None, 0, 1, 2, 3, None]
    pairs = TOKENIZER([words, ["x"]], [["y"], words], is_split_into_words=True)
    assert pairs["input_ids"] == TOKENIZER([A, "x"], ["y", A])["input_ids"]
    assert TOKENIZER(words, ["x"], is_split_into_words=True)["input_ids"] == TOKENIZER(A, "x")["input_ids"]
    assert TOKENIZER([[], ["x"]], is_split_into_words=True, return_offsets_mapping=True)["input_ids"][0] == [2, 3]


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    arrays, tensors = (TOKENIZER([A, B], padding=True, return_tensors=kind) for kind in ("np", "pt"))
    for name, array in arrays.items():
        assert array.dtype == np.int64
        assert tensors[name].dtype == torch.int64
        np.testing.assert_array_equal(array, tensors[name].numpy())
    assert TOKENIZER(A, return_tensors="pt").to("cpu").input_ids.shape == (1, 6)
    assert TOKENIZER("", add_special_tokens=False, return_tensors="np")["input_ids"].dtype == np.int64
    with pytest.raises(InputError, match="pass padding=True"):
        TOKENIZER(["a", "a a"], return_tensors="np")
    with pytest.raises(InputError, match="one of 'pt', 'np', 'jax', 'tf'; received 'mlx'"):
        TOKENIZER(A, return_tensors="mlx")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "framework"), [("jax", "jax.numpy"), ("tf", "tensorflow")])
def test_tensors_of_jax_and_tensorflow(kind: str, framework: str) -> None:
    library = pytest.importorskip(framework)
    plain, tensors = TOKENIZER([A, B], padding=True), TOKENIZER([A, B], padding=True, return_tensors=kind)
    for name, tensor in tensors.items():
        assert tensor.dtype == library.int32
        np.testing.assert_array_equal(np.asarray(tensor), plain[name])
    assert TOKENIZER("", add_special_tokens=False, return_tensors=kind)["input_ids"].dtype == library.int32
    assert TOKENIZER.decode(tensors.input_ids[0]) == TOKENIZER.decode(plain.input_ids[0])
    assert TOKENIZER.decode(tensors.input_ids[0, 1]) == TOKENIZER.decode(plain.input_ids[0][1])
    assert TOKENIZER.batch_decode(tensors.input_ids) == TOKENIZER.batch_decode(plain.input_ids)


@given(st.lists(st.sampled_from([*A.split(), *B.split(), "1992,", "É"]), min_size=1).map(" ".join))
def test_decoding_and_encoding_again_changes_nothing(text: str) -> None:
    ids = TOKENIZER(text)["input_ids"]
    decoded = TOKENIZER.decode(ids)
    assert TOKENIZER(decoded, add_special_tokens=False)["input_ids"] == ids
    assert TOKENIZER.decode(np.array(ids)) == decoded
    assert TOKENIZER.batch_decode([ids]) == [decoded]
    assert TOKENIZER.convert_tokens_to_string(TOKENIZER.convert_ids_to_tokens(ids)) == decoded


def test_decoding() -> None:
    ids = TOKENIZER(A, B)["input_ids"]
    assert TOKENIZER.decode(ids) == "[CLS] paris is the capital[SEP] of[MASK] , a model.[SEP]"
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == "paris is the capital of , a model."
    assert (
        TOKENIZER.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=True) == "paris is the capital of, a model."
    )
    assert TOKENIZER.decode(14) == "the"
    with pytest.raises(InputError, match="from 0 to 100; received 101"):
        TOKENIZER.decode([101])
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens("newtok")
    assert tokenizer.decode(tokenizer("a newtok b", add_special_tokens=False)["input_ids"]) == "a newtok b"


def test_tokens_and_ids_convert_both_ways() -> None:
    vocabulary = TOKENIZER.get_vocab()
    assert len(vocabulary) == len(TOKENIZER) == TOKENIZER.vocab_size == 101
    assert all(TOKENIZER.convert_ids_to_tokens(index) == token for token, index in vocabulary.items())
    assert TOKENIZER.convert_tokens_to_ids([*vocabulary]) == [*vocabulary.values()]
    assert TOKENIZER.convert_tokens_to_ids("no such") == TOKENIZER.unk_token_id == 1
    assert TOKENIZER.tokenize("Paris ☃", "[MASK]") == ["▁paris", "▁", "☃", "[MASK]"]
    assert TOKENIZER.tokenize("a", "s", add_special_tokens=True) == ["[CLS]", "▁a", "[SEP]", "▁", "s", "[SEP]"]
    assert TOKENIZER.encode(A, B, max_length=7) == TOKENIZER(A, B, max_length=7)["input_ids"]


def test_rows_built_by_hand_equal_those_of_a_call() -> None:
    pair = TOKENIZER(A, B, return_special_tokens_mask=True)
    first, second = (TOKENIZER(text, add_special_tokens=False)["input_ids"] for text in (A, B))
    assert TOKENIZER.build_inputs_with_special_tokens(first, second) == pair["input_ids"]
    assert TOKENIZER.create_token_type_ids_from_sequences(first, second) == pair["token_type_ids"]
    assert TOKENIZER.get_special_tokens_mask(first, second) == pair["special_tokens_mask"]
    assert TOKENIZER.build_inputs_with_special_tokens(first) == TOKENIZER(A)["input_ids"]
    assert TOKENIZER.num_special_tokens_to_add() == 2
    assert TOKENIZER.num_special_tokens_to_add(pair=True) == 3
    marked = TOKENIZER.get_special_tokens_mask(pair["input_ids"], already_has_special_tokens=True)
    assert marked == [int(index in (2, 3, 4)) for index in pair["input_ids"]]  # [MASK] in the text is special here
    with pytest.raises(InputError, match="given alone"):
        TOKENIZER.get_special_tokens_mask(first, second, already_has_special_tokens=True)


def test_sampling_cuts_at_random_and_says_the_same() -> None:
    arguments = {"enable_sampling": True, "nbest_size": -1, "alpha": 0.1}
    sampler = AlbertTokenizer(vocabulary=tiny_vocabulary(), sp_model_kwargs=arguments)
    drawn = {tuple(sampler("the model [MASK]")["input_ids"]) for _ in range(99)}
    assert len(drawn) > 2
    assert {TOKENIZER.decode(ids, skip_special_tokens=True) for ids in drawn} == {"the model"}
    assert len({tuple(sampler.tokenize("the model")) for _ in range(99)}) > 2
    with pytest.raises(InputError, match="best segmentation only"):
        sampler("the model").word_ids()
    with pytest.raises(InputError, match="best segmentation only"):
        sampler("the model", return_offsets_mapping=True)
    off = AlbertTokenizer(vocabulary=tiny_vocabulary(), sp_model_kwargs=arguments | {"enable_sampling": False})
    assert off(A) == TOKENIZER(A)
    with pytest.raises(InputError, match="did you mean alpha"):
        AlbertTokenizer(vocabulary=tiny_vocabulary(), sp_model_kwargs={"alhpa": 1})


def test_worker_processes_can_have_a_tokenizer_and_a_batch() -> None:
    copy = pickle.loads(pickle.dumps(TOKENIZER))
    assert copy(A) == TOKENIZER(A)
    batch = pickle.loads(pickle.dumps(TOKENIZER([A, B], padding=True)))
    assert batch == TOKENIZER([A, B], padding=True)
    assert len(pickle.dumps(TOKENIZER(A))) < 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": 7}, "a text is a string.*received int 7"),
        ({"text": ["a", None]}, "received NoneType None"),
        ({"text": "a\ud800b"}, "surrogate|Unicode"),
        ({"text": ["x", "a\ud800b [MASK]"]}, "surrogate|Unicode"),
        ({"text": "a", "text_pair": ["b"]}, "both texts of a pair"),
        ({"text": ["a", "b"], "text_pair": ["b"]}, "the same length; received 2 and 1"),
        ({"text": [["a", "b", "c"]]}, "is_split_into_words=True"),
        ({"text": "a b", "is_split_into_words": True}, "a text is a list of strings"),
        ({"text": [["a", 1]], "is_split_into_words": True}, "a text is a list of strings"),
        ({"text": "a", "truncation": "longest"}, "truncation is True, False"),
        ({"text": "a", "padding": "long"}, "padding is True, False"),
        ({"text": "a", "padding_side": "left"}, "absolute"),
        ({"text": "a", "truncation": True, "max_length": 1}, "room for the special tokens"),
        ({"text": "a", "truncation": True, "max_length": 0}, "max_length is a whole number of at least 1"),
        ({"text": "a", "truncation": True, "max_length": "9"}, "max_length is a whole number"),
        ({"text": "a", "stride": -1}, "stride is a whole number of at least 0"),
        ({"text": "a", "truncation": True, "padding": True, "max_length": 9, "pad_to_multiple_of": 8}, "a multiple of"),
        ({"text": A, "truncation": "only_second", "max_length": 4}, "second text of a pair"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        TOKENIZER(**arguments)
    assert "\n" not in str(caught.value)


def test_importing_it_brings_no_framework_and_no_hub() -> None:
    heavy = "torch transformers tokenizers huggingface_hub google.protobuf jsonargparse yaml tqdm typing_extensions"
    code = f"import sys, albertkit.tokenization; print([name for name in {heavy!r}.split() if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
