"""ALBERT's row format, ``[CLS] A [SEP] B [SEP]``, and rows built by hand: special tokens, types, masks, padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from albertkit.errors import InputError
from albertkit.tokenization import padding as padding_rules
from albertkit.tokenization.encoding import BatchEncoding
from albertkit.tokenization.truncation import Windows
from albertkit.tokenization.vocabulary import TokenVocabulary

__all__ = ["Row", "RowBuilder", "Template"]


class Row(NamedTuple):
    """One row of a batch.

    Attributes:
        sample: Number of the text or pair it comes from.
        windows: The tokens it holds, per text of the sample.
    """

    sample: int
    windows: Windows


@dataclass(frozen=True)
class Template:
    """ALBERT's format, ``[CLS] A [SEP]`` or ``[CLS] A [SEP] B [SEP]``; without special tokens ``A`` or ``A B``.

    Attributes:
        prefix: Ids before the first text.
        suffix: Ids after each text.
    """

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]

    def size(self, texts: int) -> int:
        """Number of special tokens in a row of that many texts."""
        return len(self.prefix) + texts * len(self.suffix)

    def ids(self, texts: Sequence[list[int]]) -> list[int]:
        """Ids of a row."""
        return self._join(list(self.prefix), list(self.suffix), texts)

    def fill(self, special: Any, texts: Sequence[list[Any]]) -> list[Any]:
        """A row that has ``special`` at every special token, and ``texts`` between."""
        return self._join([special] * len(self.prefix), [special] * len(self.suffix), texts)

    def type_ids(self, lengths: Sequence[int]) -> list[int]:
        """0 up to the end of the first text, then 1."""
        second = [1] * (lengths[1] + len(self.suffix)) if len(lengths) > 1 else []
        return [0] * (len(self.prefix) + lengths[0] + len(self.suffix)) + second

    def special_tokens_mask(self, lengths: Sequence[int]) -> list[int]:
        """1 at special tokens."""
        return self.fill(1, [[0] * length for length in lengths])

    @staticmethod
    def _join(prefix: list[Any], suffix: list[Any], texts: Sequence[list[Any]]) -> list[Any]:
        if len(texts) == 1:
            return prefix + texts[0] + suffix
        return prefix + list(chain.from_iterable(text + suffix for text in texts))


class RowBuilder(TokenVocabulary):
    """A vocabulary that builds and pads rows from ids.

    Attributes:
        model_max_length: Tokens of a row where no other number is given.
    """

    model_max_length: int

    def template(self, add_special_tokens: bool = True) -> Template:
        """The row format, with special tokens or without."""
        return Template((self.cls_token_id,), (self.sep_token_id,)) if add_special_tokens else Template((), ())

    def build_inputs_with_special_tokens(self, token_ids_0: list[int], token_ids_1: list[int] | None = None) -> list[int]:
        """``[CLS] A [SEP]`` or ``[CLS] A [SEP] B [SEP]`` from ids."""
        return self.template().ids([token_ids_0] if token_ids_1 is None else [token_ids_0, token_ids_1])

    def create_token_type_ids_from_sequences(self, token_ids_0: list[int], token_ids_1: list[int] | None = None) -> list[int]:
        """The token types of :meth:`build_inputs_with_special_tokens`."""
        return self.template().type_ids([len(ids) for ids in (token_ids_0, token_ids_1) if ids is not None])

    def get_special_tokens_mask(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """1 at special tokens.

        Args:
            token_ids_0: Ids of the first text; or a whole row.
            token_ids_1: Ids of the second text.
            already_has_special_tokens: ``token_ids_0`` is a whole row, in which any special token counts.

        Raises:
            InputError: If a second text comes with a whole row.
        """
        if already_has_special_tokens:
            if token_ids_1 is not None:
                raise InputError("a row that has its special tokens is given alone", received="token_ids_1 too")
            special = set(self.all_special_ids)
            return [int(index in special) for index in token_ids_0]
        return self.template().special_tokens_mask([len(ids) for ids in (token_ids_0, token_ids_1) if ids is not None])

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Special tokens that a row of one text, or of a pair, gets."""
        return self.template().size(2 if pair else 1)

    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        *,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> BatchEncoding:
        """Pad what was encoded before, as calling the tokenizer with padding would have.

        Args:
            encoded_inputs: An encoding, or a list of encodings of single texts (a data set's examples).
            padding: As in calls of the tokenizer.
            max_length: As in calls of the tokenizer.
            pad_to_multiple_of: As in calls of the tokenizer.
            padding_side: As in calls of the tokenizer.
            return_attention_mask: Add a mask where there is none; on by default.
            return_tensors: As in calls of the tokenizer.

        Raises:
            InputError: If there are no ``input_ids``, or the examples differ in their columns.
        """
        padding_rules.require_right_side(padding_side)
        columns = padding_rules.gather_columns(encoded_inputs)
        rows = columns["input_ids"]
        single = not rows or not isinstance(rows[0], list)
        if single and rows:
            columns = {name: [row] for name, row in columns.items()}
        if return_attention_mask is not False and "attention_mask" not in columns:
            columns["attention_mask"] = [[1] * len(row) for row in columns["input_ids"]]
        limit = self.model_max_length if max_length is None else max_length
        lengths = [len(row) for row in columns["input_ids"]]
        wanted = padding_rules.target_length(lengths, padding_rules.resolve_padding(padding), limit, pad_to_multiple_of)
        padded = padding_rules.pad_columns(columns, wanted, self.pad_token_id)
        if single and rows and return_tensors is None:
            padded = {name: values[0] for name, values in padded.items()}
        return BatchEncoding(padded).convert_to_tensors(return_tensors)
