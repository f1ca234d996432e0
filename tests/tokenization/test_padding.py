"""Padding by a call and by ``pad``."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albertkit.errors import InputError
from albertkit.testing import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
TEXTS = st.lists(
    st.lists(st.sampled_from(["cat", "the", "1992,", "[MASK]", "É"]), max_size=9).map(" ".join), min_size=1, max_size=5
)
HOWS = st.sampled_from(
    [
        {"padding": True},
        {"padding": "longest", "pad_to_multiple_of": 8},
        {"padding": "max_length", "max_length": 11},
        {"padding": "max_length"},
    ]
)


@given(TEXTS, HOWS)
def test_pad_does_what_calling_with_padding_does(texts: list[str], how: dict[str, object]) -> None:
    called = TOKENIZER(texts, return_special_tokens_mask=True, **how)
    plain = TOKENIZER(texts, return_special_tokens_mask=True)
    examples = [TOKENIZER(text, return_special_tokens_mask=True) for text in texts]
    assert (
        TOKENIZER.pad(plain, **how)
        == TOKENIZER.pad(examples, **how)
        == TOKENIZER.pad([dict(one) for one in examples], **how)
        == called
    )
    widths = {len(row) for rows in called.values() for row in rows}
    if how["padding"] != "max_length":
        assert len(widths) == 1


@given(TEXTS)
def test_padding_changes_no_real_token(texts: list[str]) -> None:
    plain, padded = TOKENIZER(texts), TOKENIZER(texts, padding="max_length", max_length=50)
    for name, filler in (("input_ids", TOKENIZER.pad_token_id), ("token_type_ids", 0), ("attention_mask", 0)):
        for row, wide in zip(plain[name], padded[name], strict=True):
            assert wide == row + [filler] * (50 - len(row))
    assert [padded.tokens(row)[: len(plain["input_ids"][row])] for row in range(len(texts))] == [
        plain.tokens(row) for row in range(len(texts))
    ]


def test_pad_takes_arrays_and_makes_tensors() -> None:
    examples = [{"input_ids": np.array([2, 14, 3])}, {"input_ids": np.array([2, 3])}]
    batch = TOKENIZER.pad(examples, return_tensors="np")
    np.testing.assert_array_equal(batch["input_ids"], [[2, 14, 3], [2, 3, 0]])
    np.testing.assert_array_equal(batch["attention_mask"], [[1, 1, 1], [1, 1, 0]])
    assert TOKENIZER.pad({"input_ids": [2, 3]}, "max_length", 4)["input_ids"] == [2, 3, 0, 0]
    assert "attention_mask" not in TOKENIZER.pad({"input_ids": [[2, 3]]}, return_attention_mask=False)
    assert TOKENIZER.pad({"input_ids": [[2, 3]], "label": [1]})["label"] == [1]


def test_what_cannot_be_padded_is_refused() -> None:
    with pytest.raises(InputError, match="has input_ids; received the columns labels"):
        TOKENIZER.pad({"labels": [1]})
    with pytest.raises(InputError, match="input_ids"):
        TOKENIZER.pad([])
    with pytest.raises(InputError, match="the same columns"):
        TOKENIZER.pad([{"input_ids": [1]}, {"input_ids": [1], "label": 0}])
    with pytest.raises(InputError, match="on the right"):
        TOKENIZER.pad({"input_ids": [1]}, padding_side="left")
