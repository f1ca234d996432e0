"""ALBERT's tokenizer: texts and pairs to the model's inputs, and back."""

# ruff: noqa: S107  -- the default of a "token" argument is no password

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from albertkit import hub
from albertkit.errors import InputError
from albertkit.hub import Name, Source
from albertkit.tokenization import padding as padding_rules
from albertkit.tokenization.batching import Batcher
from albertkit.tokenization.encoding import BatchEncoding
from albertkit.tokenization.options import CallOptions, Inputs, refuse_unknown, resolve_truncation
from albertkit.tokenization.row_format import RowBuilder
from albertkit.tokenization.saved_tokenizer import (
    SavedTokenizer,
    candidate_files,
    describe_rules,
    read_saved,
    read_vocabulary,
    to_config_json,
    write_files,
)
from albertkit.tokenization.segmenter import Segmenter
from albertkit.tokenization.sentencepiece_file import SentencePieceFile
from albertkit.tokenization.special_tokens import AddedToken, special_token_arguments
from albertkit.tokenization.text_encoder import Sampling, TextEncoder
from albertkit.tokenization.tokenizer_json import to_tokenizer_json
from albertkit.tokenization.wordpiece import WordPieceSegmenter
from albertkit.tokenization.wordpiece_file import WordPieceFile

__all__ = ["AlbertTokenizer"]

_ARGUMENTS = (
    "do_lower_case", "remove_space", "keep_accents", "bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
    "cls_token", "mask_token", "sp_model_kwargs", "model_max_length",
)  # fmt: skip


class AlbertTokenizer(RowBuilder):
    """Turns texts into ALBERT's inputs, with the ids of the reference rule and offsets into the original text.

    Args:
        vocab_file: ``spiece.model``, ``tokenizer.json``, a ``.vocab`` of pieces and scores, or the ``vocab.txt`` of WordPieces
            that Chinese checkpoints have.
        do_lower_case: Lower-case texts; ``None``: as a ``tokenizer.json`` says, else yes.
        remove_space: Strip texts and collapse white space.
        keep_accents: Keep accents; ``None``: as a ``tokenizer.json`` says, else no, of WordPieces if nothing is lower-cased.
        bos_token: Name of a special token that ALBERT does not use apart from ``cls_token``.
        eos_token: The same for ``sep_token``.
        unk_token: What characters without a piece become; ``None``: ``<unk>``, of WordPieces ``[UNK]``.
        sep_token: Ends each text.
        pad_token: Fills rows; ``None``: ``<pad>``, of WordPieces ``[PAD]``.
        cls_token: Starts each row.
        mask_token: What the model fills in; it takes the white space on its left with it.
        sp_model_kwargs: ``{"enable_sampling": True, "nbest_size": -1, "alpha": 0.1}`` cuts texts at random.
        model_max_length: Tokens that ``truncation=True`` leaves where no ``max_length`` is given.
        vocabulary: A vocabulary in memory instead of ``vocab_file``.
        added_tokens: Further added tokens by id.

    Raises:
        VocabularyError: If the vocabulary is missing, damaged, of another kind, or lacks a special piece.
        MissingExtraError: If it is of WordPieces and the ``tokenizers`` package is not installed.
        InputError: If an argument is impossible.
    """

    model_input_names = ("input_ids", "token_type_ids", "attention_mask")
    padding_side = truncation_side = "right"
    is_fast = True

    def __init__(
        self,
        vocab_file: str | Path | None = None,
        do_lower_case: bool | None = None,
        remove_space: bool = True,
        keep_accents: bool | None = None,
        bos_token: str | AddedToken = "[CLS]",
        eos_token: str | AddedToken = "[SEP]",
        unk_token: str | AddedToken | None = None,
        sep_token: str | AddedToken = "[SEP]",
        pad_token: str | AddedToken | None = None,
        cls_token: str | AddedToken = "[CLS]",
        mask_token: str | AddedToken = "[MASK]",
        sp_model_kwargs: Mapping[str, Any] | None = None,
        *,
        model_max_length: int = 512,
        vocabulary: SentencePieceFile | WordPieceFile | None = None,
        added_tokens: Mapping[int, AddedToken] | None = None,
    ) -> None:
        saved = _saved(vocab_file, vocabulary)
        self.do_lower_case = saved.rules.get("do_lower_case", True) if do_lower_case is None else do_lower_case
        accents = isinstance(saved.file, WordPieceFile) and not self.do_lower_case
        self.keep_accents = saved.rules.get("keep_accents", accents) if keep_accents is None else keep_accents
        self.remove_space = remove_space
        self.model_max_length = model_max_length
        self.sp_model_kwargs = _checked_sampling_arguments(sp_model_kwargs)
        self._check_rules()
        self.file = saved.file
        rules = {"do_lower_case": self.do_lower_case, "remove_space": remove_space, "keep_accents": self.keep_accents}
        segmenter = (
            WordPieceSegmenter(saved.file, **rules) if isinstance(saved.file, WordPieceFile) else Segmenter(saved.file, **rules)
        )
        named = special_token_arguments({
            "bos_token": bos_token, "eos_token": eos_token, "unk_token": unk_token, "sep_token": sep_token,
            "pad_token": pad_token, "cls_token": cls_token, "mask_token": mask_token,
        }, segmenter.special_tokens)  # fmt: skip
        added = saved.added if added_tokens is None else added_tokens
        super().__init__(segmenter, named, added, do_lower_case=self.do_lower_case)
        self._encoder = TextEncoder(segmenter, self.added_tokens, _sampling(self.sp_model_kwargs))

    def _check_rules(self) -> None:
        for name in ("do_lower_case", "remove_space", "keep_accents"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is True or False", received=repr(getattr(self, name)))
        if not isinstance(self.model_max_length, int) or self.model_max_length < 1:
            raise InputError("model_max_length is a whole number of at least 1", received=repr(self.model_max_length))

    def __repr__(self) -> str:
        rules = f"do_lower_case={self.do_lower_case}, remove_space={self.remove_space}, keep_accents={self.keep_accents}"
        return f"AlbertTokenizer({len(self)} tokens, {rules}, model_max_length={self.model_max_length})"

    # ------------------------------------------------------ reading, writing

    @classmethod
    def from_pretrained(
        cls,
        name: Name,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | None = None,
        local_files_only: bool = False,
        **overrides: Any,
    ) -> Self:
        """Read the tokenizer of a checkpoint.

        Args:
            name: A directory, a vocabulary file, an embedded model, a published name (``albert-base-v2``) or a hub id.
            revision: Branch, tag or commit of a hub repository.
            cache_dir: Where downloads are kept, if not where the hub library keeps them.
            token: For a private repository.
            local_files_only: Never download.
            overrides: Constructor arguments that take the place of the saved ones, as ``do_lower_case=False``.

        Raises:
            CheckpointError: If there is no such checkpoint or it has no tokenizer.
            VocabularyError: If its vocabulary cannot be used.
            InputError: If an override is no argument of the constructor.
        """
        refuse_unknown(overrides, _ARGUMENTS, "an override is one of AlbertTokenizer's arguments")
        source = Source.of(name, revision, cache_dir, token, local_files_only)
        weights = hub.find_weights(source.name)
        if weights is None and Path(source.name).is_file():
            return cls(source.name, **overrides)
        found = hub.locate(source, candidate_files(source.name if weights is None else weights.path))
        saved = read_saved(found)
        return cls(vocabulary=saved.file, added_tokens=saved.added, **(saved.rules | overrides))

    def save_vocabulary(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write ``spiece.model``, or ``vocab.txt``.

        Args:
            save_directory: Where to; made if need be.
            filename_prefix: Put before the file's name, with a hyphen.

        Returns:
            The path written.

        Raises:
            InputError: If it cannot be written.
        """
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        return write_files(save_directory, {f"{prefix}{self.file.filename}": self.file.to_bytes()})

    def save_pretrained(self, save_directory: str | Path) -> tuple[str, ...]:
        """Write the vocabulary, ``tokenizer.json`` and ``tokenizer_config.json``, which transformers 4 and 5 load too.

        Args:
            save_directory: Where to; made if need be, other files there stay.

        Returns:
            The paths written.

        Raises:
            InputError: If they cannot be written.
        """
        return write_files(save_directory, {
            self.file.filename: self.file.to_bytes(),
            "tokenizer.json": to_tokenizer_json(
                self.file, self.added_tokens.by_id, do_lower_case=self.do_lower_case, keep_accents=self.keep_accents,
                frame=((self.cls_token, self.cls_token_id), (self.sep_token, self.sep_token_id)),
            ),
            "tokenizer_config.json": to_config_json(self._config()),
        })  # fmt: skip

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Send the files of :meth:`save_pretrained` to a repository of the hub, in one commit.

        Args:
            repo_id: ``owner/name``, or a name alone for one's own; made if need be.
            commit_message: The commit's first line.
            private: Whether a new repository is seen by its owner alone.
            token: With the right to write; that of ``hf auth login`` when absent.
            revision: Branch to commit to, made if need be; the main one when absent.
            create_pr: Open a pull request instead.

        Returns:
            The URL of the commit, or of the pull request.

        Raises:
            CheckpointError: If the hub refuses or cannot be reached.
            InputError: If both a branch and a pull request are asked for.
        """
        with TemporaryDirectory() as directory:
            self.save_pretrained(directory)
            return hub.upload(
                directory, repo_id, commit_message=commit_message, private=private, token=token, revision=revision,
                create_pr=create_pr,
            )  # fmt: skip

    def _config(self) -> dict[str, Any]:
        decoder = {str(index): token.to_dict() for index, token in sorted(self.added_tokens.by_id.items())}
        names = ("do_lower_case", "remove_space", "keep_accents", "sp_model_kwargs")
        return {
            "model_max_length": self.model_max_length,
            "model_input_names": list(self.model_input_names),
            "clean_up_tokenization_spaces": False,
            "added_tokens_decoder": decoder,
            **describe_rules(self.file, {name: getattr(self, name) for name in names}),
            **self.special_tokens_map,
        }

    # --------------------------------------------------------------- encoding

    def __call__(
        self,
        text: str | Sequence[Any],
        text_pair: str | Sequence[Any] | None = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
    ) -> BatchEncoding:
        """Encode a text, a pair of texts, or a batch of either.

        Args:
            text: A text, a list of texts, or a list of pairs; a text is a string, or a list of words with
                ``is_split_into_words``.
            text_pair: The second text, or a list of them.
            add_special_tokens: ``[CLS] A [SEP]`` or ``[CLS] A [SEP] B [SEP]`` instead of the bare texts.
            padding: ``True`` or ``"longest"``: to the longest row; ``"max_length"``: to ``max_length``.
            truncation: ``True`` or ``"longest_first"``: shorten the longer text of a pair first, then both;
                ``"only_first"``, ``"only_second"``: that text alone. ``max_length`` given alone means ``True``.
            max_length: Tokens of a row, special tokens included; ``model_max_length`` if absent.
            stride: Tokens that an overflowing row repeats from the row before.
            is_split_into_words: Texts are lists of words; offsets then count within the word.
            pad_to_multiple_of: Round padded lengths up to a multiple of this.
            padding_side: ``"right"``, the only side for absolute positions.
            return_tensors: ``"pt"`` or ``"np"`` (int64), ``"jax"`` or ``"tf"`` (int32): ``[B, L]`` instead of lists.
            return_token_type_ids: ``token_type_ids``, 0 for the first text and 1 for the second; on by default.
            return_attention_mask: ``attention_mask``, 0 for padding; on by default.
            return_overflowing_tokens: What truncation cuts off becomes rows too, and ``overflow_to_sample_mapping`` tells
                each row's text.
            return_special_tokens_mask: ``special_tokens_mask``, 1 for special tokens and padding.
            return_offsets_mapping: ``offset_mapping``: characters of the original text per token.
            return_length: ``length``: tokens per row, padding included.

        Returns:
            The columns as lists: one row for a single text, rows for a batch, for overflow and for tensors.

        Raises:
            InputError: If an argument or a text cannot be used, or a text does not fit as asked.
        """
        padding_rules.require_right_side(padding_side)
        alone = max_length is not None and padding in (False, None)
        chosen = {
            "token_type_ids": return_token_type_ids is not False,
            "attention_mask": return_attention_mask is not False,
            "special_tokens_mask": return_special_tokens_mask,
            "offset_mapping": return_offsets_mapping,
            "length": return_length,
        }
        options = CallOptions(
            add_special_tokens=add_special_tokens,
            padding=padding_rules.resolve_padding(padding),
            truncation=resolve_truncation(truncation, only_max_length=alone),
            max_length=self.model_max_length if max_length is None else max_length,
            stride=stride,
            pad_to_multiple_of=pad_to_multiple_of,
            columns=frozenset(name for name, wanted in chosen.items() if wanted),
            overflow=return_overflowing_tokens,
        )
        inputs = Inputs.of(text, text_pair, split=is_split_into_words)
        batcher = Batcher(self._encoder, self.template(add_special_tokens), self.pad_token_id, self.convert_ids_to_tokens)
        encoding = batcher.encode(inputs, options)
        if return_tensors is None and not inputs.batched and not options.overflow:
            encoding.data = {name: rows[0] if name != "length" else rows for name, rows in encoding.data.items()}
        return encoding.convert_to_tensors(return_tensors)

    def encode(
        self,
        text: str | Sequence[Any],
        text_pair: str | Sequence[Any] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        *,
        is_split_into_words: bool = False,
        return_tensors: str | None = None,
    ) -> Any:
        """The ``input_ids`` that :meth:`__call__` gives; its arguments."""
        columns = self(
            text, text_pair, add_special_tokens=add_special_tokens, padding=padding, truncation=truncation, max_length=max_length,
            stride=stride, is_split_into_words=is_split_into_words, return_tensors=return_tensors,
            return_token_type_ids=False, return_attention_mask=False,
        )  # fmt: skip
        return columns["input_ids"]

    def tokenize(self, text: str, text_pair: str | None = None, *, add_special_tokens: bool = False) -> list[str]:
        """The tokens of a text as strings; unknown ones as they stand in the prepared text.

        Args:
            text: A text.
            text_pair: A second text, whose tokens follow.
            add_special_tokens: Put the special tokens around the texts.
        """
        inputs = Inputs.of(text, text_pair, split=False)
        pieces = [self._encoder.pieces(side[0]) for side in inputs.texts]
        if not add_special_tokens:
            return list(chain.from_iterable(pieces))
        return [self.cls_token, *chain.from_iterable([*side, self.sep_token] for side in pieces)]


def _saved(vocab_file: str | Path | None, vocabulary: SentencePieceFile | WordPieceFile | None) -> SavedTokenizer:
    """The vocabulary that the constructor's arguments name."""
    if vocabulary is not None and vocab_file is None:
        return SavedTokenizer(vocabulary, {}, {})
    if vocab_file is None or vocabulary is not None:
        raise InputError("a tokenizer is made from vocab_file or vocabulary", received="both" if vocab_file else "neither")
    return read_vocabulary(vocab_file)


def _checked_sampling_arguments(arguments: Mapping[str, Any] | None) -> dict[str, Any]:
    """``sp_model_kwargs`` as a dictionary.

    Raises:
        InputError: If it holds anything but the three arguments of subword sampling.
    """
    if not isinstance(arguments, Mapping | None):
        raise InputError("sp_model_kwargs is a dictionary", received=repr(arguments))
    settled = dict(arguments or {})
    refuse_unknown(settled, ("enable_sampling", "nbest_size", "alpha"), "sp_model_kwargs may set subword sampling")
    nbest_size, alpha = settled.get("nbest_size", -1), settled.get("alpha", 0.1)
    if not isinstance(nbest_size, int) or not isinstance(alpha, int | float):
        raise InputError("nbest_size is a whole number and alpha a number", received=f"{nbest_size!r} and {alpha!r}")
    return settled


def _sampling(arguments: Mapping[str, Any]) -> Sampling | None:
    """How to sample; ``None`` is the best segmentation, which SentencePiece also takes an nbest_size of 0 or 1 for."""
    nbest_size = arguments.get("nbest_size", -1)
    if not arguments.get("enable_sampling") or nbest_size in (0, 1):
        return None
    return Sampling(nbest_size, float(arguments.get("alpha", 0.1)))
