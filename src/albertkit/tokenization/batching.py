"""One tokenizer call: texts to ids, truncated, framed by special tokens, padded, as columns of rows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from albertkit.errors import InputError
from albertkit.tokenization.encoding import BatchEncoding, Encoding
from albertkit.tokenization.options import CallOptions, Inputs
from albertkit.tokenization.padding import pad_columns, target_length
from albertkit.tokenization.row_format import Row, Template
from albertkit.tokenization.text_encoder import TextEncoder, Tokens
from albertkit.tokenization.truncation import list_windows

__all__ = ["Batcher"]


@dataclass(frozen=True)
class Batcher:
    """Makes batches.

    Attributes:
        encoder: Encodes texts.
        template: Special tokens around them.
        pad_token_id: Fills rows.
        name_tokens: Turns ids into tokens.
    """

    encoder: TextEncoder
    template: Template
    pad_token_id: int
    name_tokens: Callable[[Sequence[int]], list[str]]

    def encode(self, inputs: Inputs, options: CallOptions) -> BatchEncoding:
        """Encode texts to columns of rows; what is asked for beside ids is worked out only then.

        Raises:
            InputError: If a text cannot be used or does not fit as asked.
        """
        if options.ids_only and not inputs.split and len(inputs.texts) == 1:
            return BatchEncoding({"input_ids": self.encoder.ids(inputs.texts[0])}, self._later(inputs, None, None, None))
        tokens = self._tokens(inputs) if "offset_mapping" in options.columns else None
        ids = self._ids(inputs) if tokens is None else [[text.ids for text in side] for side in tokens]
        rows = self._rows(ids, options)
        columns = self._columns(ids, rows, options.columns)
        if tokens is not None:
            columns["offset_mapping"] = [self._offsets(tokens, row) for row in rows]
        wanted = target_length(
            [len(row) for row in columns["input_ids"]], options.padding, options.max_length, options.pad_to_multiple_of
        )
        columns = pad_columns(columns, wanted, self.pad_token_id)
        lengths = [len(row) for row in columns["input_ids"]]
        if options.overflow:
            columns["overflow_to_sample_mapping"] = [row.sample for row in rows]
        if "length" in options.columns:
            columns["length"] = lengths
        return BatchEncoding(columns, self._later(inputs, rows, lengths, tokens))

    def _rows(self, ids: list[list[list[int]]], options: CallOptions) -> list[Row]:
        special = self.template.size(len(ids))
        budget = options.max_length - special
        if budget < 0 and options.truncation != "do_not_truncate":
            raise InputError(
                "max_length has room for the special tokens", received=f"max_length={options.max_length} with {special} of them"
            )
        rows: list[Row] = []
        for sample, texts in enumerate(zip(*ids, strict=True)):
            lengths = tuple(map(len, texts))
            windows = list_windows(lengths, budget, options.truncation, stride=options.stride, overflow=options.overflow)
            rows.extend(Row(sample, window) for window in windows)
        return rows

    def _columns(self, ids: list[list[list[int]]], rows: list[Row], names: frozenset[str]) -> dict[str, list[Any]]:
        """The columns that follow from ids and lengths, unpadded."""
        texts = ([side[row.sample][slice(*window)] for side, window in zip(ids, row.windows, strict=True)] for row in rows)
        columns: dict[str, list[Any]] = {"input_ids": [self.template.ids(row) for row in texts]}
        lengths = [tuple(stop - start for start, stop in row.windows) for row in rows]
        if "token_type_ids" in names:
            columns["token_type_ids"] = [self.template.type_ids(row) for row in lengths]
        if "attention_mask" in names:
            columns["attention_mask"] = [[1] * len(row) for row in columns["input_ids"]]
        if "special_tokens_mask" in names:
            columns["special_tokens_mask"] = [self.template.special_tokens_mask(row) for row in lengths]
        return columns

    def _offsets(self, tokens: list[list[Tokens]], row: Row) -> list[tuple[int, int]]:
        texts = []
        for side, window in zip(tokens, row.windows, strict=True):
            starts, stops = side[row.sample].offsets[slice(*window)].T.tolist()
            texts.append(list(zip(starts, stops, strict=True)))
        return self.template.fill((0, 0), texts)

    def _ids(self, inputs: Inputs) -> list[list[list[int]]]:
        """Ids per text of a sample and per sample."""
        if not inputs.split:
            return [self.encoder.ids(side) for side in inputs.texts]
        sides = []
        for side in inputs.texts:
            words = iter(self.encoder.ids(list(chain.from_iterable(side))))
            sides.append([list(chain.from_iterable(next(words) for _word in sample)) for sample in side])
        return sides

    def _tokens(self, inputs: Inputs) -> list[list[Tokens]]:
        """Tokens with offsets and words, per text of a sample and per sample."""
        if self.encoder.sampling is not None:
            raise InputError(
                "offsets and words are known of the best segmentation only",
                received="a tokenizer with enable_sampling",
                fix="use a second tokenizer without it",
            )
        if not inputs.split:
            return [self.encoder.tokens(side) for side in inputs.texts]
        sides = []
        for side in inputs.texts:
            words = iter(self.encoder.tokens(list(chain.from_iterable(side))))
            sides.append([Tokens.join([next(words) for _word in sample]) for sample in side])
        return sides

    def _later(
        self, inputs: Inputs, rows: list[Row] | None, lengths: list[int] | None, tokens: list[list[Tokens]] | None
    ) -> Callable[[], list[Encoding]]:
        return functools.partial(self._describe, inputs, rows, lengths, tokens)

    def _describe(
        self, inputs: Inputs, rows: list[Row] | None, lengths: list[int] | None, tokens: list[list[Tokens]] | None
    ) -> list[Encoding]:
        """Everything about every row; by default rows are whole texts."""
        tokens = self._tokens(inputs) if tokens is None else tokens
        if rows is None:
            rows = [Row(sample, ((0, len(text.ids)),)) for sample, text in enumerate(tokens[0])]
        if lengths is None:
            lengths = [row.windows[0][1] for row in rows]
        words = [[self._words(text, inputs.split) for text in side] for side in tokens]
        return [self._describe_row(tokens, words, row, length) for row, length in zip(rows, lengths, strict=True)]

    def _words(self, text: Tokens, split: bool) -> list[int]:
        """Word of each token: the given ones, or those that ``▁`` starts."""
        return list(np.repeat(np.arange(len(text.sizes)), text.sizes).tolist() if split else self.encoder.words(text).tolist())

    def _describe_row(self, tokens: list[list[Tokens]], words: list[list[list[int]]], row: Row, length: int) -> Encoding:
        parts = [
            (text[row.sample].ids[start:stop], numbers[row.sample][start:stop])
            for text, numbers, (start, stop) in zip(tokens, words, row.windows, strict=True)
        ]
        counts = [len(ids) for ids, _numbers in parts]
        template = self.template
        ids = template.ids([ids for ids, _numbers in parts])
        missing = length - len(ids)
        padded = ids + [self.pad_token_id] * missing
        sequences = [[number] * count for number, count in enumerate(counts)]
        return Encoding(
            ids=padded,
            tokens=self.name_tokens(padded),
            type_ids=template.type_ids(counts) + [0] * missing,
            offsets=self._offsets(tokens, row) + [(0, 0)] * missing,
            word_ids=template.fill(None, [numbers for _ids, numbers in parts]) + [None] * missing,
            sequence_ids=template.fill(None, sequences) + [None] * missing,
            special_tokens_mask=template.special_tokens_mask(counts) + [1] * missing,
            attention_mask=[1] * len(ids) + [0] * missing,
        )
