"""What a tokenizer call returns: a mapping of columns that also knows where each token came from."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import UserDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from albertkit.errors import InputError
from albertkit.optional import require

__all__ = ["BatchEncoding", "CharSpan", "Encoding", "TokenSpan"]

_TENSORS = {
    "pt": ("torch", "from_numpy", np.int64),
    "np": ("numpy", "asarray", np.int64),
    "jax": ("jax.numpy", "asarray", np.int32),
    "tf": ("tensorflow", "convert_to_tensor", np.int32),
}
"""Value of ``return_tensors`` → the module and its function that make a tensor of an array, and the type of whole numbers."""


class CharSpan(NamedTuple):
    """Characters ``start`` to ``end`` (exclusive) of the original text."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Tokens ``start`` to ``end`` (exclusive) of a row."""

    start: int
    end: int


@dataclass(frozen=True)
class Encoding:
    """One row of a batch, special and padding tokens included; every list has an entry per token.

    Attributes:
        ids: Ids.
        tokens: Pieces.
        type_ids: 0 for the first text, 1 for the second.
        offsets: Characters of the original text (of the word, where words were given); ``(0, 0)`` for special tokens.
        word_ids: Word of each token within its text; ``None`` for special tokens. A word starts at every ``▁``, as in
            Hugging Face's fast tokenizer, so that punctuation belongs to the word it touches.
        sequence_ids: 0 or 1 for the text it belongs to; ``None`` for special tokens.
        special_tokens_mask: 1 for special tokens and padding.
        attention_mask: 0 for padding.
    """

    ids: list[int]
    tokens: list[str]
    type_ids: list[int]
    offsets: list[tuple[int, int]]
    word_ids: list[int | None]
    sequence_ids: list[int | None]
    special_tokens_mask: list[int]
    attention_mask: list[int]

    def __len__(self) -> int:
        return len(self.ids)


class BatchEncoding(UserDict[str, Any]):
    """The columns of a batch (``input_ids``, ``token_type_ids``, ``attention_mask`` …), by name or as attributes.

    Args:
        data: Column name → rows, or a single row; lists, or arrays where ``return_tensors`` was given.
        encodings: Works out the rows' :class:`Encoding` when they are first asked for.
    """

    def __init__(self, data: dict[str, Any] | None = None, encodings: Callable[[], list[Encoding]] | None = None) -> None:
        super().__init__()
        self.data = {} if data is None else dict(data)  # TensorFlow's graphs put one together from pairs
        self._make_encodings = encodings
        self._encodings: list[Encoding] | None = None

    def __getattr__(self, name: str) -> Any:
        data = self.__dict__.get("data", {})
        if name in data:
            return data[name]
        raise AttributeError(f"this encoding has no {name!r}; it holds {', '.join(data) or 'nothing'}")

    def __getitem__(self, key: Any) -> Any:
        """A column by name, the :class:`Encoding` of a row by number, or some rows of every column by slice."""
        if isinstance(key, str):
            return self.data[key]
        if isinstance(key, slice):
            return {name: rows[key] for name, rows in self.data.items()}
        return self._row(key)

    def __getstate__(self) -> dict[str, Any]:
        # The columns alone: a worker process that sends a batch must not send the tokenizer with it.
        return {"data": self.data, "_make_encodings": None, "_encodings": self._encodings}

    @property
    def is_fast(self) -> bool:
        """Whether offsets and words are known, as for Hugging Face's fast tokenizers."""
        return self._make_encodings is not None or self._encodings is not None

    @property
    def encodings(self) -> list[Encoding]:
        """One :class:`Encoding` per row.

        Raises:
            InputError: If the batch did not come from texts in this process, or subword sampling was on.
        """
        if self._encodings is None:
            if self._make_encodings is None:
                raise InputError(
                    "words, offsets and sequences are known only of what a tokenizer call returned in this process",
                    received="an encoding that came another way",
                )
            self._encodings = self._make_encodings()
        return self._encodings

    def _row(self, index: int) -> Encoding:
        rows = self.encodings
        if not -len(rows) <= index < len(rows):
            raise IndexError(f"row {index} of {len(rows)}")
        return rows[index]

    # ------------------------------------------------------- tokens of a row

    def tokens(self, batch_index: int = 0) -> list[str]:
        """Pieces of row ``batch_index``."""
        return self._row(batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """Word of each token of row ``batch_index``; ``None`` for special tokens."""
        return self._row(batch_index).word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """0 or 1 for the text each token of row ``batch_index`` belongs to; ``None`` for special tokens."""
        return self._row(batch_index).sequence_ids

    # In the methods below a first argument alone counts in row 0; with a second one it is the row.

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The text a token belongs to."""
        row, index = self._address(batch_or_token_index, token_index)
        return row.sequence_ids[index]

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The word a token belongs to."""
        row, index = self._address(batch_or_token_index, token_index)
        return row.word_ids[index]

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> CharSpan | None:
        """The characters a token comes from; ``None`` for special tokens."""
        row, index = self._address(batch_or_token_index, token_index)
        return None if row.sequence_ids[index] is None else CharSpan(*row.offsets[index])

    def char_to_token(self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0) -> int | None:
        """The token that character comes to lie in; ``None`` for white space and what is truncated."""
        row, index = self._address(batch_or_char_index, char_index)
        for token in _tokens_of(row.sequence_ids, sequence_index):
            start, end = row.offsets[token]
            if start <= index < end:
                return token
        return None

    def char_to_word(self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0) -> int | None:
        """The word that character lies in."""
        row, index = self._address(batch_or_char_index, char_index)
        for token in _tokens_of(row.sequence_ids, sequence_index):
            start, end = row.offsets[token]
            if start <= index < end:
                return row.word_ids[token]
        return None

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """The tokens of a word; ``None`` if the row has none of it."""
        row, index = self._address(batch_or_word_index, word_index)
        tokens = _tokens_of(row.sequence_ids, sequence_index)
        words = [row.word_ids[token] for token in tokens]
        start, end = bisect_left(words, index, key=_number), bisect_right(words, index, key=_number)
        return TokenSpan(tokens[0] + start, tokens[0] + end) if start < end else None

    def word_to_chars(self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0) -> CharSpan | None:
        """The characters of a word; ``None`` if the row has none of it."""
        span = self.word_to_tokens(batch_or_word_index, word_index, sequence_index)
        if span is None:
            return None
        row, _index = self._address(batch_or_word_index, word_index)
        return CharSpan(row.offsets[span.start][0], row.offsets[span.end - 1][1])

    def _address(self, first: int, second: int | None) -> tuple[Encoding, int]:
        return (self._row(0), first) if second is None else (self._row(first), second)

    # ---------------------------------------------------------------- arrays

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> BatchEncoding:
        """Turn every column into an array, in place.

        Args:
            tensor_type: ``"pt"`` (PyTorch) or ``"np"`` (NumPy), with int64; ``"jax"`` or ``"tf"`` (TensorFlow), with int32, as is
                usual there; ``None`` changes nothing.
            prepend_batch_axis: Add a batch axis of 1 first.

        Raises:
            InputError: If ``tensor_type`` is another one, or rows differ in length.
            MissingExtraError: If the framework that is asked for is not installed.
        """
        if tensor_type is None:
            return self
        if tensor_type not in _TENSORS:
            raise InputError(f"return_tensors is one of {', '.join(map(repr, _TENSORS))}", received=repr(tensor_type))
        module, function, integer = _TENSORS[tensor_type]
        make = getattr(require(module, f'return_tensors="{tensor_type}"'), function)
        for name, rows in self.data.items():
            try:
                array = np.asarray([rows] if prepend_batch_axis else rows)
            except ValueError:
                raise InputError(
                    "the rows of a tensor have one length",
                    received=f"rows of different lengths in {name}",
                    fix="pass padding=True, and truncation=True for texts that are too long",
                ) from None
            self.data[name] = make(array.astype(integer) if array.size == 0 or array.dtype == np.int64 else array)
        return self

    def to(self, device: Any) -> BatchEncoding:
        """Move every PyTorch tensor to ``device``, in place.

        Args:
            device: As ``torch.Tensor.to`` takes it.
        """
        self.data = {name: rows.to(device) if hasattr(rows, "to") else rows for name, rows in self.data.items()}
        return self


def _tokens_of(sequence_ids: list[int | None], sequence: int) -> range:
    """The tokens of one text, which lie side by side."""
    if sequence not in sequence_ids:
        return range(0)
    start = sequence_ids.index(sequence)
    return range(start, start + sequence_ids.count(sequence))


def _number(word: int | None) -> int:
    return -1 if word is None else word
