"""A tokenizer's files on disk: which vocabulary a checkpoint has, and what its JSON files say about the tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albertkit.errors import InputError, VocabularyError
from albertkit.files import new_file
from albertkit.tokenization import wire
from albertkit.tokenization.sentencepiece_file import PieceType, SentencePieceFile, read_vocab
from albertkit.tokenization.special_tokens import SPECIAL_TOKENS, AddedToken
from albertkit.tokenization.tokenizer_json import LARGEST_FILE_BYTES, read_json, read_tokenizer_json

__all__ = [
    "SavedTokenizer",
    "candidate_files",
    "find_vocabulary",
    "read_settings",
    "read_vocabulary",
    "to_config_json",
    "write_files",
]

_VOCABULARIES = ("spiece.model", "tokenizer.json", "30k-clean.model", "30k-clean.vocab")
_SETTING_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_WORDPIECE = "vocab.txt"

_MODEL_TYPE = 3  # field of sentencepiece_model.proto's TrainerSpec
_MODEL_TYPES = {1: "UNIGRAM", 2: "BPE", 3: "WORD", 4: "CHAR"}

_LONGEST = 1_000_000
"""A larger model_max_length is transformers' way to say that none was given."""

_SETTINGS = ("do_lower_case", "remove_space", "keep_accents", "model_max_length", "sp_model_kwargs", *SPECIAL_TOKENS)


@dataclass(frozen=True)
class SavedTokenizer:
    """A vocabulary read from a file, and what that file says beyond it.

    Attributes:
        file: The vocabulary.
        added: Added tokens by id, where the file lists them.
        rules: ``do_lower_case`` and ``keep_accents``, where the file tells.
    """

    file: SentencePieceFile
    added: dict[int, AddedToken]
    rules: dict[str, bool]


def candidate_files(name: str | Path) -> tuple[str, ...]:
    """Names of the files that a checkpoint's tokenizer may consist of, the vocabularies first, in order of preference.

    Args:
        name: The checkpoint; if it is a directory, its other ``*.model`` and ``*.vocab`` files count too.
    """
    others = sorted(path.name for pattern in ("*.model", "*.vocab") for path in Path(name).glob(pattern))
    return tuple(dict.fromkeys([*_VOCABULARIES, *others, _WORDPIECE, *_SETTING_FILES]))


def find_vocabulary(found: Mapping[str, Path]) -> Path:
    """The vocabulary to read among a checkpoint's files.

    Args:
        found: File name → path, in order of preference.

    Raises:
        VocabularyError: If there is none, or several of no known name.
    """
    vocabularies = [path for name, path in found.items() if name not in _SETTING_FILES]
    if not vocabularies or (len(vocabularies) > 1 and vocabularies[0].name not in _VOCABULARIES):
        raise VocabularyError(
            f"an ALBERT checkpoint holds one of {', '.join(_VOCABULARIES)}",
            received=", ".join(found),
            fix="give the vocabulary one of these names",
        )
    return vocabularies[0]


def read_vocabulary(path: str | Path) -> SavedTokenizer:
    """Read a vocabulary: ``tokenizer.json``, a ``.vocab`` of pieces and scores, or else a SentencePiece model.

    Raises:
        VocabularyError: If the file is missing, damaged, too large or of another kind.
    """
    path = Path(path)
    if path.suffix == ".json":
        read = read_tokenizer_json(path)
        return SavedTokenizer(read.file, read.added, {"do_lower_case": read.do_lower_case, "keep_accents": read.keep_accents})
    if path.is_file():
        _refuse_other_kinds(path)
    if path.suffix == ".vocab":
        return SavedTokenizer(read_vocab(path), {}, {})
    file = SentencePieceFile.read(path)
    kind = _model_type(file)
    if kind != "UNIGRAM":
        raise VocabularyError("an ALBERT vocabulary is a SentencePiece Unigram model", received=f"{path}, a {kind} model")
    return SavedTokenizer(file, {}, {})


def _model_type(file: SentencePieceFile) -> str:
    """SentencePiece's name for the kind of model, from the trainer's settings; Unigram is the default."""
    for number, _kind, _begin, value, _stop in wire.fields(file.trainer, 0, len(file.trainer)):
        if number == _MODEL_TYPE:
            return _MODEL_TYPES.get(wire.integer(file.trainer, value), "unknown")
    return "UNIGRAM"


def _refuse_other_kinds(path: Path) -> None:
    """Name the file that cannot be a SentencePiece vocabulary, by its size and first bytes."""
    size = path.stat().st_size
    if size == 0:
        raise VocabularyError("a vocabulary file is not empty", received=str(path), fix="fetch it again")
    if size > LARGEST_FILE_BYTES:
        raise VocabularyError(f"a vocabulary file has at most {LARGEST_FILE_BYTES:,} bytes", received=f"{path}: {size:,}")
    with path.open("rb") as stream:
        start = stream.read(4096)
    if path.suffix == ".txt" or b"[PAD]\n" in start or b"[unused1]\n" in start:
        raise VocabularyError(
            "an ALBERT vocabulary is a SentencePiece model",
            received=f"{path}, a WordPiece vocabulary",
            fix="Chinese ALBERT's WordPiece vocabulary needs the wordpiece support that is not in this version",
        )


def read_settings(found: Mapping[str, Path], file: SentencePieceFile) -> tuple[dict[str, Any], dict[int, AddedToken]]:
    """What ``tokenizer_config.json``, ``special_tokens_map.json`` and ``added_tokens.json`` say.

    Args:
        found: File name → path.
        file: The vocabulary.

    Returns:
        Constructor arguments, and added tokens by id.

    Raises:
        VocabularyError: If a file is damaged.
    """
    config, named, added = (read_json(found[name]) if name in found else {} for name in _SETTING_FILES)
    if config.get("tokenizer_class") in ("BertTokenizer", "BertTokenizerFast"):
        raise VocabularyError(
            "an ALBERT tokenizer runs on SentencePiece", received=f"tokenizer_class {config['tokenizer_class']}"
        )
    values = {name: value for name, value in (named | config).items() if name in _SETTINGS and value is not None}
    if not isinstance(values.get("model_max_length", 1), int | float) or values.get("model_max_length", 1) > _LONGEST:
        values.pop("model_max_length")
    try:
        tokens = {int(index): token for token, index in added.items()}
        by_id = {index: AddedToken.of(token, special=False) for index, token in tokens.items()}
        decoder = config.get("added_tokens_decoder") or {}
        by_id |= {int(index): AddedToken.of(entry, special=bool(entry["special"])) for index, entry in decoder.items()}
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise VocabularyError("added tokens are listed by id with their content", received=f"{error!r:.120}") from None
    _apply_extra(by_id, config, named)
    return values, _without_symbols(by_id, file)


def _apply_extra(by_id: dict[int, AddedToken], config: Mapping[str, Any], named: Mapping[str, Any]) -> None:
    """Mark as special what the files list as additional (version 4) or extra (version 5) special tokens."""
    listed = [config.get("extra_special_tokens"), config.get("additional_special_tokens"), named.get("additional_special_tokens")]
    extra = [entry for entries in listed if entries for entry in (entries.values() if isinstance(entries, dict) else entries)]
    special = {AddedToken.of(entry, special=True).content for entry in extra}
    for index, token in by_id.items():
        if token.content in special:
            by_id[index] = AddedToken.of(token, special=True)


def _without_symbols(added: dict[int, AddedToken], file: SentencePieceFile) -> dict[int, AddedToken]:
    """Leave out the user-defined symbols that transformers lists: as added tokens they would cut the words they stand in."""
    symbols = {index for index, kind in enumerate(file.types.tolist()) if kind == PieceType.USER_DEFINED}
    return {index: token for index, token in added.items() if index not in symbols}


def write_files(directory: str | Path, files: Mapping[str, str | bytes]) -> tuple[str, ...]:
    """Write files, each whole or not at all.

    Args:
        directory: Where to; made if need be, other files there stay.
        files: File name → content.

    Returns:
        The paths written.

    Raises:
        InputError: If the directory cannot be written to.
    """
    for name, content in files.items():
        try:
            with new_file(Path(directory) / name) as temporary:
                temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        except OSError as error:
            raise InputError("a tokenizer is saved where it can be written", received=f"{directory} ({error.strerror})") from None
    return tuple(str(Path(directory) / name) for name in files)


def to_config_json(values: Mapping[str, Any]) -> str:
    """A ``tokenizer_config.json``."""
    return json.dumps(values, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
