"""A tokenizer's files on disk: which vocabulary a checkpoint has, and what its JSON files say about the tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from albertkit import wire
from albertkit.errors import InputError, VocabularyError
from albertkit.files import new_file
from albertkit.tokenization.sentencepiece_file import PieceType, SentencePieceFile, read_vocab, refuse_damage
from albertkit.tokenization.special_tokens import SPECIAL_TOKENS, AddedToken
from albertkit.tokenization.tokenizer_json import LARGEST_FILE_BYTES, read_json, read_tokenizer_json
from albertkit.tokenization.wordpiece_file import WordPieceFile, find_strip_accents

__all__ = [
    "SavedTokenizer",
    "candidate_files",
    "describe_rules",
    "read_saved",
    "read_vocabulary",
    "to_config_json",
    "write_files",
]

_VOCABULARIES = (
    "spiece.model", "assets/tokenizer/vocabulary.spm", "tokenizer.json", "30k-clean.model", "30k-clean.vocab",
    "assets/30k-clean.model", "assets/30k-clean.vocab",
)  # fmt: skip
"""Hugging Face's, KerasHub's (whose own tokenizer.json holds none), Google's, and those of a TensorFlow Hub module."""
_WORDPIECE = ("vocab.txt", "vocab_chinese.txt")  # the second in Google's archives
_SETTING_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_MODEL_CONFIGS = ("config.json", "albert_config.json")

_MODEL_TYPE = 3  # field of sentencepiece_model.proto's TrainerSpec
_MODEL_TYPES = {1: "UNIGRAM", 2: "BPE", 3: "WORD", 4: "CHAR"}

_LONGEST = 1_000_000
"""A larger model_max_length is transformers' way to say that none was given."""

_BERT_CLASSES = ("BertTokenizer", "BertTokenizerFast")
_SETTINGS = ("do_lower_case", "remove_space", "keep_accents", "model_max_length", "sp_model_kwargs", *SPECIAL_TOKENS)


@dataclass(frozen=True)
class SavedTokenizer:
    """A vocabulary read from a file, and what that file, or those beside it, say beyond it.

    Attributes:
        file: The vocabulary.
        added: Added tokens by id, where a file lists them.
        rules: Constructor arguments, as far as a file tells.
    """

    file: SentencePieceFile | WordPieceFile
    added: dict[int, AddedToken]
    rules: dict[str, Any]


def candidate_files(name: str | Path) -> tuple[str, ...]:
    """Names of the files that a checkpoint's tokenizer may consist of, the vocabularies first, in order of preference.

    Args:
        name: The checkpoint; if it is a directory, its other ``*.model`` and ``*.vocab`` files count too.
    """
    others = sorted(path.name for pattern in ("*.model", "*.vocab") for path in Path(name).glob(pattern))
    return tuple(dict.fromkeys([*_VOCABULARIES, *others, *_WORDPIECE, *_SETTING_FILES]))


def read_saved(found: Mapping[str, Path]) -> SavedTokenizer:
    """Read the tokenizer that a checkpoint's files make.

    Args:
        found: File name → path, in order of preference.

    Raises:
        VocabularyError: If there is no vocabulary, or several of no known name; if a file is damaged; or if the vocabulary is
            too large for the model beside it.
    """
    path = _find_vocabulary(found)
    saved = read_vocabulary(path)
    config, named, added = (read_json(found[name]) if name in found else {} for name in _SETTING_FILES)
    file = saved.file
    if isinstance(file, WordPieceFile):
        if isinstance(config.get("tokenize_chinese_chars"), bool):
            file = replace(file, tokenize_chinese_chars=config["tokenize_chinese_chars"])
    elif config.get("tokenizer_class") in _BERT_CLASSES:
        raise VocabularyError(
            "a BERT tokenizer has a WordPiece vocabulary",
            received=f"tokenizer_class {config['tokenizer_class']} with the SentencePiece vocabulary {path}",
        )
    _check_size(path, file)
    tokens = _read_added(config, named, added)
    return SavedTokenizer(file, saved.added | _without_symbols(tokens, file), saved.rules | _read_rules(config, named))


def _check_size(path: Path, file: SentencePieceFile | WordPieceFile) -> None:
    """Refuse a vocabulary that has more pieces than the model whose configuration stands beside it."""
    beside = next((path.with_name(name) for name in _MODEL_CONFIGS if path.with_name(name).is_file()), None)
    size = None if beside is None else read_json(beside).get("vocab_size")
    if isinstance(size, int) and len(file.pieces) > size:
        kind = "WordPiece" if isinstance(file, WordPieceFile) else "SentencePiece"
        raise VocabularyError(
            "a vocabulary must not have more pieces than its model has embeddings",
            received=f"the {len(file.pieces):,} {kind} pieces of {path} and vocab_size={size:,} beside them",
            fix="take the vocabulary that the model was trained with",
        )


def _find_vocabulary(found: Mapping[str, Path]) -> Path:
    """The vocabulary to read among a checkpoint's files."""
    vocabularies = [name for name in found if name not in _SETTING_FILES]
    if not vocabularies or (len(vocabularies) > 1 and vocabularies[0] not in _VOCABULARIES):
        raise VocabularyError(
            f"an ALBERT checkpoint holds one of {', '.join((*_VOCABULARIES, *_WORDPIECE))}",
            received=", ".join(found),
            fix="give the vocabulary one of these names",
        )
    return found[vocabularies[0]]


def read_vocabulary(path: str | Path) -> SavedTokenizer:
    """Read a vocabulary: ``tokenizer.json``, a ``.vocab`` of pieces and scores, a ``.txt`` of WordPieces, or else a
    SentencePiece model.

    Raises:
        VocabularyError: If the file is missing, damaged, too large or of another kind.
    """
    path = Path(path)
    if path.suffix == ".json":
        read = read_tokenizer_json(path)
        rules = {"do_lower_case": read.do_lower_case, "keep_accents": read.keep_accents}
        return SavedTokenizer(read.file, read.added, {name: rule for name, rule in rules.items() if rule is not None})
    if path.is_file():
        _refuse_other_kinds(path)
    if path.suffix == ".txt":
        return SavedTokenizer(WordPieceFile.read(path), {}, {})
    if path.suffix == ".vocab":
        return SavedTokenizer(read_vocab(path), {}, {})
    file = SentencePieceFile.read(path)
    kind = _model_type(file)
    if kind != "UNIGRAM":
        raise VocabularyError("an ALBERT vocabulary is a SentencePiece Unigram model", received=f"{path}, a {kind} model")
    return SavedTokenizer(file, {}, {})


@refuse_damage()
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
    if path.suffix != ".txt" and (b"[PAD]\n" in start or b"[unused1]\n" in start):
        raise VocabularyError(
            "a SentencePiece vocabulary is a model that SentencePiece wrote",
            received=f"{path}, a WordPiece vocabulary, as Chinese ALBERT has",
            fix="give it the name vocab.txt",
        )


def _read_rules(config: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments from ``tokenizer_config.json`` and ``special_tokens_map.json``."""
    values = {name: value for name, value in {**named, **config}.items() if name in _SETTINGS and value is not None}
    if not isinstance(values.get("model_max_length", 1), int | float) or values.get("model_max_length", 1) > _LONGEST:
        values.pop("model_max_length")
    if isinstance(config.get("strip_accents"), bool):
        values["keep_accents"] = not config["strip_accents"]
    return values


def _read_added(config: Mapping[str, Any], named: Mapping[str, Any], added: Mapping[str, Any]) -> dict[int, AddedToken]:
    """Added tokens by id from ``tokenizer_config.json``, ``special_tokens_map.json`` and ``added_tokens.json``."""
    try:
        tokens = {int(index): token for token, index in added.items()}
        by_id = {index: AddedToken.of(token, special=False) for index, token in tokens.items()}
        decoder = config.get("added_tokens_decoder") or {}
        by_id |= {int(index): AddedToken.of(entry, special=bool(entry["special"])) for index, entry in decoder.items()}
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise VocabularyError("added tokens are listed by id with their content", received=f"{error!r:.120}") from None
    _apply_extra(by_id, config, named)
    return by_id


def _apply_extra(by_id: dict[int, AddedToken], config: Mapping[str, Any], named: Mapping[str, Any]) -> None:
    """Mark as special what the files list as additional (version 4) or extra (version 5) special tokens."""
    listed = [config.get("extra_special_tokens"), config.get("additional_special_tokens"), named.get("additional_special_tokens")]
    extra = [entry for entries in listed if entries for entry in (entries.values() if isinstance(entries, dict) else entries)]
    special = {AddedToken.of(entry, special=True).content for entry in extra}
    for index, token in by_id.items():
        if token.content in special:
            by_id[index] = AddedToken.of(token, special=True)


def _without_symbols(added: dict[int, AddedToken], file: SentencePieceFile | WordPieceFile) -> dict[int, AddedToken]:
    """Leave out the user-defined symbols that transformers lists: as added tokens they would cut the words they stand in."""
    if isinstance(file, WordPieceFile):
        return added
    symbols = {index for index, kind in enumerate(file.types.tolist()) if kind == PieceType.USER_DEFINED}
    return {index: token for index, token in added.items() if index not in symbols}


def describe_rules(file: SentencePieceFile | WordPieceFile, rules: Mapping[str, Any]) -> dict[str, Any]:
    """What a ``tokenizer_config.json`` says of the class that transformers is to load, and of its rules.

    Args:
        file: The vocabulary.
        rules: The tokenizer's arguments that concern text.
    """
    if not isinstance(file, WordPieceFile):
        return {"tokenizer_class": "AlbertTokenizer", **rules}
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": rules["do_lower_case"],
        "strip_accents": find_strip_accents(rules["do_lower_case"], rules["keep_accents"]),
        "tokenize_chinese_chars": file.tokenize_chinese_chars,
    }


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
