"""The mapping a call returns; where its tokens come from is tested against transformers too."""

from __future__ import annotations

import pytest

from albertkit.errors import InputError
from albertkit.testing import tiny_tokenizer
from albertkit.tokenization import BatchEncoding

TOKENIZER = tiny_tokenizer()
TEXTS = ["The new-cat sat.", "Paris [MASK] 1992, é"]


def keywords(**columns: object) -> dict[str, object]:
    return columns


def test_it_is_a_mapping_with_attributes_rows_and_slices() -> None:
    batch = TOKENIZER(TEXTS)
    assert batch.input_ids is batch["input_ids"]
    assert keywords(**batch) == dict(batch.items()) == batch
    assert "token_type_ids" in batch
    assert batch[:1] == {name: rows[:1] for name, rows in batch.items()}
    assert batch[1].ids == batch["input_ids"][1]
    assert len(batch[-1]) == len(batch["input_ids"][1])
    batch["labels"] = [1, 0]
    assert batch.pop("labels") == [1, 0]
    with pytest.raises(AttributeError, match="no 'label'; it holds input_ids"):
        _ = batch.label
    with pytest.raises(IndexError, match="row 2 of 2"):
        _ = batch[2]


def test_every_token_knows_its_piece_word_text_and_characters() -> None:
    row = TOKENIZER(TEXTS, padding="max_length", max_length=16)[1]
    assert row.tokens == ["[CLS]", "▁paris", "[MASK]", "▁19", "92", ",", "▁", "e", "[SEP]"] + ["<pad>"] * 7
    assert row.word_ids == [None, 0, 1, 2, 2, 2, 3, 3] + [None] * 8
    assert row.sequence_ids == [None] + [0] * 7 + [None] * 8
    cuts = [TEXTS[1][start:stop] for start, stop in row.offsets]
    assert cuts[1:6] == ["Paris", "[MASK]", "19", "92", ","]
    assert cuts[7] == "é"
    assert row.special_tokens_mask == [1] + [0] * 7 + [1] * 8
    assert row.attention_mask == [1] * 9 + [0] * 7
    assert row.type_ids == [0] * 16


def test_words_and_characters_lead_to_tokens_and_back() -> None:
    batch = TOKENIZER(TEXTS)
    text = TEXTS[0]
    assert batch.char_to_token(0, text.index("sat")) == batch.tokens(0).index("▁sat")
    assert batch.char_to_token(3) is None  # a space
    span = batch.word_to_tokens(0, 1)
    assert span is not None
    chars = batch.word_to_chars(0, 1)
    assert chars is not None
    assert text[chars.start : chars.end] == "new-cat"
    assert batch.token_to_chars(0, 0) is None
    assert {batch.char_to_word(0, index) for index in range(chars.start, chars.end)} == {1}
    assert batch.word_to_tokens(0, 99) is None
    assert batch.word_to_chars(0, 99) is None
    assert batch.word_to_tokens(0, 0, sequence_index=1) is None
    assert batch.token_to_sequence(1) == 0
    assert batch.token_to_word(1) == 0


def test_a_batch_made_otherwise_knows_no_words() -> None:
    padded = TOKENIZER.pad(TOKENIZER(TEXTS))
    assert not padded.is_fast
    with pytest.raises(InputError, match="what a tokenizer call returned"):
        padded.word_ids()


def test_tensors_of_a_single_row_get_a_batch_axis_when_asked() -> None:
    encoding = BatchEncoding({"input_ids": [2, 3]})
    assert encoding.convert_to_tensors(None)["input_ids"] == [2, 3]
    assert encoding.convert_to_tensors("np", prepend_batch_axis=True)["input_ids"].shape == (1, 2)
