"""Tokens and ids: pieces, special tokens by name, added tokens, and conversions between them and text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from albertkit.errors import InputError, VocabularyError
from albertkit.tokenization import decoding
from albertkit.tokenization.segmenter import Segmenter
from albertkit.tokenization.special_tokens import SPECIAL_TOKENS, AddedToken, AddedTokens, contents
from albertkit.tokenization.wordpiece import WordPieceSegmenter

__all__ = ["TokenVocabulary"]


class _NamedToken:
    """``tokenizer.mask_token``: the string of a named special token; setting it adds the token if need be."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, vocabulary: None, owner: type) -> _NamedToken: ...
    @overload
    def __get__(self, vocabulary: TokenVocabulary, owner: type) -> str: ...
    def __get__(self, vocabulary: TokenVocabulary | None, owner: type) -> _NamedToken | str:
        return self if vocabulary is None else vocabulary.named_tokens[self._name].content

    def __set__(self, vocabulary: TokenVocabulary, token: str | AddedToken) -> None:
        vocabulary.add_special_tokens({self._name: token})


class _NamedTokenId:
    """``tokenizer.mask_token_id``: the id of a named special token."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name.removesuffix("_id")

    @overload
    def __get__(self, vocabulary: None, owner: type) -> _NamedTokenId: ...
    @overload
    def __get__(self, vocabulary: TokenVocabulary, owner: type) -> int: ...
    def __get__(self, vocabulary: TokenVocabulary | None, owner: type) -> _NamedTokenId | int:
        return self if vocabulary is None else vocabulary.added_tokens.ids[vocabulary.named_tokens[self._name].content]

    def __set__(self, vocabulary: TokenVocabulary, token_id: int) -> None:
        raise InputError("a special token's id follows from its string", received=f"{self._name}_id={token_id}")


class TokenVocabulary:
    """The tokens of a tokenizer.

    Args:
        segmenter: Pieces and segmentation.
        named_tokens: The seven special tokens by name. One of a string of your own that is no piece gets a new id.
        added: Further added tokens by id, as a saved tokenizer lists them.

    Attributes:
        added_tokens: Every string looked for in texts, special or not.
        named_tokens: The seven special tokens by name.
        additional_special_tokens: Strings of the special tokens beside the seven.

    Raises:
        VocabularyError: If the vocabulary lacks one of ALBERT's special pieces, or two tokens claim one id.
    """

    bos_token, eos_token, unk_token, sep_token = _NamedToken(), _NamedToken(), _NamedToken(), _NamedToken()
    pad_token, cls_token, mask_token = _NamedToken(), _NamedToken(), _NamedToken()
    bos_token_id, eos_token_id, unk_token_id = _NamedTokenId(), _NamedTokenId(), _NamedTokenId()
    sep_token_id, pad_token_id, cls_token_id, mask_token_id = _NamedTokenId(), _NamedTokenId(), _NamedTokenId(), _NamedTokenId()
    pad_token_type_id = 0

    def __init__(
        self,
        segmenter: Segmenter | WordPieceSegmenter,
        named_tokens: Mapping[str, AddedToken],
        added: Mapping[int, AddedToken],
        *,
        do_lower_case: bool,
    ) -> None:
        self._segmenter = segmenter
        self._piece_ids = {piece: index for index, piece in enumerate(segmenter.piece_list)}
        self.added_tokens = AddedTokens(do_lower_case=do_lower_case)
        self.named_tokens: dict[str, AddedToken] = {}
        self.additional_special_tokens: list[str] = []
        for token_id, token in sorted(added.items()):
            self._add_at(token, token_id)
        for name, token in named_tokens.items():
            self._set_named(name, token)

    def _add_at(self, token: AddedToken, token_id: int) -> None:
        """Add a token a saved tokenizer lists, under the id it has there."""
        expected = self._piece_ids.get(token.content, len(self))
        if token_id != expected and self.added_tokens.ids.get(token.content) != token_id:
            raise VocabularyError(
                "the added tokens of a saved tokenizer are pieces of its vocabulary or follow them without a gap",
                received=f"{token.content!r} with id {token_id} where {expected} was due",
            )
        self.added_tokens.add(token, token_id)
        if token.special and token.content not in self._segmenter.special_tokens.values():
            self.additional_special_tokens.append(token.content)

    def _set_named(self, name: str, token: AddedToken) -> None:
        known = token.content in self._piece_ids or token.content in self.added_tokens.ids
        expected = self._segmenter.special_tokens
        if not known and token.content == expected[name]:
            raise VocabularyError(
                f"an ALBERT vocabulary has a piece for each of {', '.join(dict.fromkeys(expected.values()))}",
                received=f"one without {token.content}",
                fix=f"give {name} the piece that this vocabulary has for it",
            )
        self._add(token)
        self.named_tokens[name] = token
        if token.content in self.additional_special_tokens:
            self.additional_special_tokens.remove(token.content)

    def _add(self, token: AddedToken) -> int:
        """Add a token and return how many ids that made: 1, or 0 if the string had one."""
        content = token.content.lower() if self.added_tokens.lower_cases(token) else token.content
        token_id = self.added_tokens.ids.get(content, self._piece_ids.get(content))
        self.added_tokens.add(token, len(self) if token_id is None else token_id)
        return int(token_id is None)

    # ---------------------------------------------------------------- sizes

    @property
    def vocab_size(self) -> int:
        """V: number of pieces, added tokens not counted."""
        return len(self._piece_ids)

    def __len__(self) -> int:
        """Number of pieces and added tokens: what a model's embedding must have room for."""
        return len(self._piece_ids) + sum(index >= len(self._piece_ids) for index in self.added_tokens.by_id)

    def get_vocab(self) -> dict[str, int]:
        """Token → id, for pieces and added tokens."""
        return self._piece_ids | self.added_tokens.ids

    def get_added_vocab(self) -> dict[str, int]:
        """Added token → id."""
        return dict(self.added_tokens.ids)

    @property
    def special_tokens_map(self) -> dict[str, Any]:
        """Name → string of the special tokens; ``additional_special_tokens`` → list, if there are any."""
        named: dict[str, Any] = {name: token.content for name, token in self.named_tokens.items()}
        return named | ({"additional_special_tokens": [*additional]} if (additional := self.additional_special_tokens) else {})

    @property
    def all_special_tokens(self) -> list[str]:
        """Strings of the special tokens, each once."""
        return list(dict.fromkeys([*contents(self.named_tokens.values()), *self.additional_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of :attr:`all_special_tokens`."""
        return [self.added_tokens.ids[token] for token in self.all_special_tokens]

    # --------------------------------------------------------------- adding

    def add_tokens(self, new_tokens: str | AddedToken | Sequence[str | AddedToken], special_tokens: bool = False) -> int:
        """Add tokens that are recognised in texts from now on; the model's embedding must grow to ``len(tokenizer)``.

        Args:
            new_tokens: Strings or :class:`AddedToken`; a string that is a piece keeps its id.
            special_tokens: They are special: never lower-cased, skipped by ``decode(…, skip_special_tokens=True)``.

        Returns:
            Number of new ids.
        """
        tokens = [new_tokens] if isinstance(new_tokens, str | AddedToken) else list(new_tokens)
        made = 0
        for value in tokens:
            token = AddedToken.of(value, special=special_tokens)
            made += self._add(token)
            if token.special and token.content not in self.all_special_tokens:
                self.additional_special_tokens.append(token.content)
        return made

    def add_special_tokens(self, special_tokens_dict: Mapping[str, Any]) -> int:
        """Set special tokens by name.

        Args:
            special_tokens_dict: One of the seven names → token, or ``additional_special_tokens`` → list of tokens.

        Returns:
            Number of new ids.

        Raises:
            InputError: If a name is none of these.
        """
        before = len(self)
        for name, value in special_tokens_dict.items():
            if name in ("additional_special_tokens", "extra_special_tokens"):
                self.add_tokens(list(value), special_tokens=True)
            elif name in SPECIAL_TOKENS:
                token = AddedToken.of(value, special=True)
                self._add(token)
                self.named_tokens[name] = token
            else:
                names = ", ".join([*SPECIAL_TOKENS, "additional_special_tokens"])
                raise InputError(f"special tokens are named {names}", received=repr(name))
        return len(self) - before

    # ----------------------------------------------------------- conversion

    def _token_of(self, index: int) -> str:
        added = self.added_tokens.by_id.get(index)
        if added is not None:
            return added.content
        if not 0 <= index < self.vocab_size:
            raise InputError(f"a token id is from 0 to {len(self) - 1}", received=str(index))
        return self._segmenter.piece_list[index]

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        """Id of a token, or ids of several; that of the unknown token for a string that is no token."""
        if isinstance(tokens, str):
            return self.added_tokens.ids.get(tokens, self._piece_ids.get(tokens, self._segmenter.unk_id))
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: int | Iterable[int], skip_special_tokens: bool = False) -> Any:
        """Token of an id, or tokens of several.

        Args:
            ids: One id, or a sequence or one-dimensional array of them.
            skip_special_tokens: Leave special tokens out.

        Raises:
            InputError: If an id is outside the vocabulary.
        """
        if not isinstance(ids, Iterable):
            return self._token_of(int(ids))
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._token_of(index) for index in map(int, ids) if index not in skipped]

    def convert_tokens_to_string(self, tokens: Iterable[str]) -> str:
        """Join tokens to text."""
        if isinstance(self._segmenter, WordPieceSegmenter):
            return decoding.join_wordpieces(tokens)
        return decoding.join_tokens(tokens, set(self.all_special_tokens), self.added_tokens.ids)

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None) -> str:
        """Turn ids back into text (lower-cased, as the tokenizer made them).

        Args:
            token_ids: An id, or a sequence or one-dimensional array of them.
            skip_special_tokens: Leave special tokens out, unknown ones included.
            clean_up_tokenization_spaces: Remove spaces before punctuation and contractions; off by default.

        Raises:
            InputError: If an id is outside the vocabulary.
        """
        ids = token_ids.numpy() if hasattr(token_ids, "numpy") and not hasattr(token_ids, "tolist") else token_ids  # TensorFlow's
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        tokens = self.convert_ids_to_tokens([ids] if isinstance(ids, int) else ids, skip_special_tokens)
        text = self.convert_tokens_to_string(tokens)
        return decoding.clean_up(text) if clean_up_tokenization_spaces else text

    def batch_decode(
        self, sequences: Iterable[Any], skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> list[str]:
        """:meth:`decode` for each of ``sequences`` (rows of ids)."""
        return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces) for row in sequences]
