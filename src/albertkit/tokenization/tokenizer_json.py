"""Reading and writing ``tokenizer.json``, the file of the ``tokenizers`` package, without that package.

Files of transformers 4 and 5 differ from a SentencePiece vocabulary in three ways that are undone here: version 4 takes 100
off the score of every piece that ends in a digit and a comma (its way to ALBERT's digit-comma rule); both list the
user-defined symbols among the added tokens, where they would cut words; and piece types are left out.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from albertkit.errors import VocabularyError
from albertkit.tokenization.sentencepiece_file import NormalizerSpec, PieceType, SentencePieceFile, albert_trainer_spec
from albertkit.tokenization.special_tokens import SPECIAL_TOKENS, AddedToken
from albertkit.tokenization.wordpiece_file import WordPieceFile

__all__ = ["LARGEST_FILE_BYTES", "TokenizerJson", "ends_in_digit_comma", "read_json", "read_tokenizer_json", "to_tokenizer_json"]

LARGEST_FILE_BYTES = 32 << 20
"""A larger file is refused unread; ALBERT's takes 2 MB."""

_DIGIT_COMMA_PENALTY = 100.0


@dataclass(frozen=True)
class TokenizerJson:
    """What a ``tokenizer.json`` says.

    Attributes:
        file: Its vocabulary.
        added: Added tokens by id, user-defined symbols left out.
        do_lower_case: Whether its normaliser lower-cases.
        keep_accents: Whether its normaliser leaves accents alone; ``None``: BERT's rule, if it does not lower-case.
    """

    file: SentencePieceFile | WordPieceFile
    added: dict[int, AddedToken]
    do_lower_case: bool
    keep_accents: bool | None


def ends_in_digit_comma(piece: str) -> bool:
    """Whether ALBERT re-splits this piece: several characters, the last a comma after a digit."""
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        VocabularyError: If the file is missing, too large, or no JSON object.
    """
    try:
        size = Path(path).stat().st_size
        if size > LARGEST_FILE_BYTES:
            raise VocabularyError(f"a tokenizer's file has at most {LARGEST_FILE_BYTES:,} bytes", received=f"{path}: {size:,}")
        values = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise VocabularyError("a tokenizer's file must be readable", received=f"{path} ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise VocabularyError("a tokenizer's JSON file must be valid JSON", received=f"{path} ({error})") from None
    if not isinstance(values, dict):
        raise VocabularyError("a tokenizer's JSON file must hold one object", received=f"{path}: a {type(values).__name__}")
    return values


def read_tokenizer_json(path: str | Path) -> TokenizerJson:
    """Read the ``tokenizer.json`` of an ALBERT tokenizer, of transformers 4 or 5 or our own.

    Raises:
        VocabularyError: If the file is missing or damaged, or its model is neither Unigram nor WordPiece.
    """
    values = read_json(path)
    model = values.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if not isinstance(model, dict) or kind not in ("Unigram", "WordPiece"):
        raise VocabularyError(
            "an ALBERT vocabulary is WordPiece or a SentencePiece Unigram model",
            received=f"{path} with a model of type {kind!r}",
        )
    try:
        return _parse(values, model) if kind == "Unigram" else _parse_wordpiece(values, model)
    except VocabularyError as error:
        raise VocabularyError(f"{path} cannot be read: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise VocabularyError(
            "a tokenizer.json must have the fields of the tokenizers package", received=f"{path} ({error!r:.120})"
        ) from None


def _parse(values: Mapping[str, Any], model: Mapping[str, Any]) -> TokenizerJson:
    pieces = tuple(str(piece) for piece, _score in model["vocab"])
    scores = _without_penalty(pieces, [float(score) for _piece, score in model["vocab"]])
    listed = [(int(entry["id"]), AddedToken.of(entry, special=bool(entry["special"]))) for entry in values["added_tokens"]]
    control = {token.content for _index, token in listed if token.special} | set(SPECIAL_TOKENS.values())
    types = _piece_types(pieces, scores, int(model["unk_id"]), control)
    user_defined = {index for index, kind in enumerate(types) if kind == PieceType.USER_DEFINED}
    steps = _steps(values.get("normalizer"))
    charsmap = next((step["precompiled_charsmap"] for step in steps if step["type"] == "Precompiled"), "")
    normalizer = NormalizerSpec("nmt_nfkc", base64.b64decode(charsmap or "", validate=True))
    with np.errstate(over="ignore"):  # the vocabulary refuses what becomes infinite
        narrow = np.array(scores, np.float32)
    file = SentencePieceFile(pieces, narrow, np.array(types, np.uint8), normalizer, albert_trainer_spec(len(pieces)))
    kinds = {step["type"] for step in steps}
    return TokenizerJson(
        file,
        {index: token for index, token in listed if index not in user_defined},
        do_lower_case="Lowercase" in kinds,
        keep_accents="StripAccents" not in kinds,
    )


def _parse_wordpiece(values: Mapping[str, Any], model: Mapping[str, Any]) -> TokenizerJson:
    normalizer = values["normalizer"]
    strip_accents = normalizer["strip_accents"]
    return TokenizerJson(
        WordPieceFile.from_json(model, normalizer),
        {int(entry["id"]): AddedToken.of(entry, special=bool(entry["special"])) for entry in values["added_tokens"]},
        do_lower_case=bool(normalizer["lowercase"]),
        keep_accents=None if strip_accents is None else not strip_accents,
    )


def _steps(normalizer: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The normaliser's steps, nested sequences flattened."""
    if normalizer is None:
        return []
    if normalizer["type"] == "Sequence":
        return [step for inner in normalizer["normalizers"] for step in _steps(inner)]
    return [normalizer]


def _without_penalty(pieces: Sequence[str], scores: list[float]) -> list[float]:
    """Give digit-comma pieces their scores back, if they were lowered: they all lie far below every other piece then."""
    digit_comma = [index for index, piece in enumerate(pieces) if ends_in_digit_comma(piece)]
    inside = set(digit_comma)
    lowest = min((score for index, score in enumerate(scores) if index not in inside), default=0.0)
    if not digit_comma or max(scores[index] for index in digit_comma) > lowest - _DIGIT_COMMA_PENALTY / 2:
        return scores
    return [score + _DIGIT_COMMA_PENALTY if index in inside else score for index, score in enumerate(scores)]


def _piece_types(pieces: Sequence[str], scores: Sequence[float], unk_id: int, control: set[str]) -> list[int]:
    """Piece types, which the file leaves out.

    Trained pieces have scores (log probabilities) below 0: those of exactly 0 are control pieces, where special, or
    user-defined symbols.
    """
    types = [int(PieceType.USER_DEFINED if score == 0.0 else PieceType.NORMAL) for score in scores]
    for index, piece in enumerate(pieces):
        if piece in control:
            types[index] = int(PieceType.CONTROL)
    if unk_id < 0:
        raise ValueError(f"unk_id {unk_id}")
    types[unk_id] = int(PieceType.UNKNOWN)
    return types


def to_tokenizer_json(
    file: SentencePieceFile | WordPieceFile,
    added: Mapping[int, AddedToken],
    *,
    do_lower_case: bool,
    keep_accents: bool,
    frame: tuple[tuple[str, int], tuple[str, int]],
) -> str:
    """Write a vocabulary as a ``tokenizer.json`` that transformers 4 and 5 load.

    Args:
        file: The vocabulary.
        added: Added tokens by id.
        do_lower_case: As the tokenizer's.
        keep_accents: As the tokenizer's.
        frame: Token and id of ``[CLS]`` and of ``[SEP]``.
    """
    if isinstance(file, WordPieceFile):
        parts = file.to_json(do_lower_case=do_lower_case, keep_accents=keep_accents)
    else:
        parts = _unigram_parts(file, do_lower_case, keep_accents)
    values = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index} | token.to_dict() for index, token in sorted(added.items())],
        "post_processor": _template(*frame),
    }
    return json.dumps(values | parts, ensure_ascii=False, indent=None) + "\n"


def _unigram_parts(file: SentencePieceFile, do_lower_case: bool, keep_accents: bool) -> dict[str, Any]:
    """The fields that say how text is cut and joined.

    Words are split at white space, which takes the extra ``▁`` of transformers 4 off trailing space; digit-comma pieces get
    the lowered scores that these versions rely on.
    """
    vocab = [
        [piece, score - _DIGIT_COMMA_PENALTY if ends_in_digit_comma(piece) else score]
        for piece, score in zip(file.pieces, file.scores.tolist(), strict=True)
    ]
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "normalizer": {"type": "Sequence", "normalizers": _normalizer_steps(file, do_lower_case, keep_accents)},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        "decoder": metaspace,
        "model": {
            "type": "Unigram",
            "unk_id": int(np.flatnonzero(file.types == PieceType.UNKNOWN)[0]),
            "vocab": vocab,
            "byte_fallback": False,
        },
    }


def _normalizer_steps(file: SentencePieceFile, do_lower_case: bool, keep_accents: bool) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
        {"type": "Replace", "pattern": {"String": "''"}, "content": '"'},
    ]
    if not keep_accents:
        steps += [{"type": "NFKD"}, {"type": "StripAccents"}]
    if do_lower_case:
        steps.append({"type": "Lowercase"})
    if file.normalizer.precompiled_charsmap:
        charsmap = base64.b64encode(file.normalizer.precompiled_charsmap).decode("ascii")
        steps.append({"type": "Precompiled", "precompiled_charsmap": charsmap})
    return [*steps, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]


def _template(cls: tuple[str, int], sep: tuple[str, int]) -> dict[str, Any]:
    """``[CLS] A [SEP]`` and ``[CLS] A [SEP] B [SEP]``, as the tokenizers package describes them."""

    def special(token: str, type_id: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": token, "type_id": type_id}}

    single = [special(cls[0], 0), {"Sequence": {"id": "A", "type_id": 0}}, special(sep[0], 0)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}, special(sep[0], 1)],
        "special_tokens": {token: {"id": token, "ids": [index], "tokens": [token]} for token, index in (cls, sep)},
    }
