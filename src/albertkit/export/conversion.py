"""A checkpoint in another format: read, written, read again, and compared by its arrays and by its scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from albertkit.checkpoints.describe import Description, describe_weights, read_config
from albertkit.checkpoints.flax_msgpack import write_flax
from albertkit.checkpoints.google_names import write_google
from albertkit.checkpoints.huggingface import CONFIG_FILE, heads_on_disk, load_parameters, save_checkpoint, select_parameters
from albertkit.checkpoints.keras_h5 import write_keras_h5
from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.checkpoints.storage import to_stored, unwritable, widen
from albertkit.checkpoints.weight_files import WEIGHTS_FILE, read_weights
from albertkit.config import AlbertConfig
from albertkit.errors import CheckpointError, InputError, VocabularyError, suggest
from albertkit.files import new_directory
from albertkit.hub import Name
from albertkit.inference import TokenBatch
from albertkit.inference.numpy_engine import NumPyEngine
from albertkit.tasks.registry import read_task, write_task
from albertkit.tokenization import AlbertTokenizer
from albertkit.tokenization.sentencepiece_file import SentencePieceFile

__all__ = ["FORMATS", "Conversion", "convert_checkpoint"]

FORMATS = {
    "safetensors": WEIGHTS_FILE, "flax": "flax_model.msgpack", "tensorflow": "tf_model.h5", "google": "model.ckpt-best",
}  # fmt: skip
"""Format that can be written → its file, or how its files begin; where several lie side by side, the first is read."""

_GOOGLE_CONFIG = "albert_config.json"
_GOOGLE_VOCABULARY = "30k-clean.model"


@dataclass(frozen=True)
class Conversion:
    """What became of a checkpoint.

    Attributes:
        source: What it was.
        files: Names of the files written.
        tokens: Entries of the tokenizer that came along; ``None``: there was none.
        left_out: Names in the source that no model of ours has a place for.
        scores: How many scores and hidden states of source and copy were compared.
        largest_difference: The largest difference between two of them.
    """

    source: Description
    files: tuple[str, ...]
    tokens: int | None
    left_out: tuple[str, ...]
    scores: int
    largest_difference: float


def convert_checkpoint(
    name: Name, directory: str | Path, formats: Sequence[str] = ("safetensors",), *, architecture: str | None = None
) -> Conversion:
    """Write a checkpoint of any known format in others, with configuration, tokenizer and task.

    Every array is read back and must be the same to the bit; then both checkpoints read a few tokens, by NumPy.

    Args:
        name: A directory, a file of weights in it (of a TensorFlow checkpoint the prefix will do), an embedded model, a published
            name, a hub id, or a source.
        directory: Where to; it must be new or empty, and appears whole or not at all.
        formats: Keys of :data:`FORMATS`; several lie side by side.
        architecture: The class of the model, a key of :data:`~albertkit.checkpoints.parameters.HEADS_OF_CLASS`, where the source
            does not say it: Google's files do not tell what a classifier is for.

    Raises:
        InputError: If a format is unknown or the directory holds something.
        CheckpointError: If the source cannot be read, the format has no place for a part of it, or nothing can be written.
        ConfigError: If Google's code has no such activation.
        MissingExtraError: If a format's library is not installed.
    """
    _check(directory, formats)
    config = read_config(name)
    stored = read_weights(name)
    source = describe_weights(stored, config)
    config = _settle_config(config, stored.tensors, architecture)
    loaded = select_parameters(stored, config)
    tokenizer, task = _read_tokenizer(name), read_task(name)
    scores, difference = _score(config, loaded.parameters), 0.0
    try:
        with new_directory(directory) as temporary:
            for kind in reversed([kind for kind in FORMATS if kind in formats]):  # so that the newest is the one that is read
                _write_weights(kind, temporary, config, loaded.parameters, loaded.dtype)
                if tokenizer is not None:
                    _write_tokenizer(kind, temporary, tokenizer)
                again, copy = _read_copy(temporary, config, loaded.parameters)
                difference = max(difference, _largest_difference(scores, _score(again, copy)))
            if task is not None:
                write_task(task, temporary)
            files = tuple(sorted(path.name for path in temporary.iterdir()))
    except OSError as error:
        raise unwritable(directory, error) from None
    return Conversion(source, files, None if tokenizer is None else len(tokenizer), loaded.unexpected, scores.size, difference)


def _check(directory: str | Path, formats: Sequence[str]) -> None:
    unknown = next((kind for kind in formats if kind not in FORMATS), None)
    if unknown is not None or not formats:
        rule, fix = f"a format must be one of {', '.join(FORMATS)}", unknown and suggest(unknown, FORMATS)
        raise InputError(rule, received=repr(unknown) if unknown else "none", fix=fix)
    target = Path(directory)
    try:
        if target.is_dir() and any(target.iterdir()):
            raise InputError("the destination must be new or empty", received=f"{target}, which holds files", fix="name another")
        if target.exists() and not target.is_dir():
            raise InputError("the destination must be a directory", received=f"{target}, which is a file", fix="name another")
    except OSError as error:
        raise unwritable(target, error) from None


def _settle_config(config: AlbertConfig, tensors: Mapping[str, np.ndarray], architecture: str | None) -> AlbertConfig:
    """The configuration with the class that has the checkpoint's heads, the one it names or else the one with most of them, and
    with as many labels as the weights have where it is silent, as Google's is.
    """
    classifier = tensors.get("classifier.weight")
    if not config.architectures and classifier is not None and len(classifier) != config.num_labels:
        config = config.replace(num_labels=len(classifier))
    classes = HEADS_OF_CLASS.items()
    fitting = [name for name, heads in classes if set(heads) <= set(heads_on_disk(tensors, [name]))] or ["AlbertModel"]
    if architecture is None:
        named = [name for name in config.architectures if name in fitting]
        architecture = named[0] if named else max(fitting, key=lambda name: len(HEADS_OF_CLASS[name]))
    elif architecture not in fitting:
        raise InputError(f"architecture must be a class whose heads are there: {', '.join(fitting)}", received=architecture)
    return config.replace(extra={**config.extra, "architectures": [architecture]})


def _read_tokenizer(name: Name) -> AlbertTokenizer | None:
    """The tokenizer, if there is one: weights are worth converting without."""
    try:
        return AlbertTokenizer.from_pretrained(name)
    except VocabularyError:
        raise
    except CheckpointError:
        return None


def _write_weights(kind: str, directory: Path, config: AlbertConfig, parameters: Mapping[str, np.ndarray], dtype: str) -> None:
    """The weights with their configuration, in a file that gives the same numbers back."""
    if kind == "safetensors":
        with np.errstate(over="ignore"):  # of several types dtype is the narrowest
            exact = all(_is_same(array, widen(to_stored(array, dtype)[1], dtype)) for array in parameters.values())
        save_checkpoint(directory, config, parameters, dtype=dtype if exact else "float32")
    elif kind == "google":
        (directory / _GOOGLE_CONFIG).write_text(json.dumps(config.to_google_dict(), indent=2) + "\n", encoding="utf-8")
        write_google(directory / FORMATS[kind], parameters)
    else:
        (directory / CONFIG_FILE).write_text(config.to_json_string(), encoding="utf-8")
        write = write_flax if kind == "flax" else write_keras_h5
        write(directory / FORMATS[kind], parameters)


def _write_tokenizer(kind: str, directory: Path, tokenizer: AlbertTokenizer) -> None:
    if kind != "google":
        tokenizer.save_pretrained(directory)
    elif isinstance(tokenizer.file, SentencePieceFile):
        (directory / _GOOGLE_VOCABULARY).write_bytes(tokenizer.file.to_bytes())
    else:
        tokenizer.save_vocabulary(directory)


def _is_same(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two float32 arrays are the same to the bit, numbers or not."""
    return np.array_equal(first.view(np.uint32), second.view(np.uint32))


def _read_copy(
    directory: Path, config: AlbertConfig, parameters: Mapping[str, np.ndarray]
) -> tuple[AlbertConfig, dict[str, np.ndarray]]:
    """Configuration and parameters as the files give them, but with the classes of the original: Google's do not tell them.

    Raises:
        CheckpointError: If an array differs from the original.
    """
    again = AlbertConfig.from_pretrained(directory).replace(id2label=config.id2label, extra=config.extra)
    copy = load_parameters(directory, again).parameters
    for key, array in parameters.items():
        if key not in copy or not _is_same(array, copy[key]):
            raise CheckpointError("a converted checkpoint must hold the same numbers", received=f"another {key} in the copy")
    return again, copy


def _score(config: AlbertConfig, parameters: dict[str, np.ndarray]) -> np.ndarray:
    """Hidden states and every head's scores of a few tokens, end to end; answerability has no scores without a question."""
    batch, found = _make_batch(config), heads_on_disk(parameters, config.architectures)
    engine = NumPyEngine(config, parameters, found)
    places = np.arange(len(batch.input_ids))
    heads = [head for head in found if head not in ("pooler", "answerability")]
    arrays = [engine.logits(head, batch, places if head == "masked_lm" else None) for head in heads]
    return np.concatenate([array.ravel() for array in (engine.hidden_states(batch), *arrays)])


def _largest_difference(first: np.ndarray, second: np.ndarray) -> float:
    if np.array_equal(first, second, equal_nan=True):  # the model may be broken, and its copy right
        return 0.0
    return float(np.abs(first - second).max())


def _make_batch(config: AlbertConfig) -> TokenBatch:
    """Two sequences of tokens from all over the vocabulary, of every token type."""
    lengths = [min(length, config.max_position_embeddings) for length in (5, 16)]
    rows = [np.linspace(0, config.vocab_size - 1, length, dtype=np.int64).tolist() for length in lengths]
    types = [[min(place // 3, config.type_vocab_size - 1) for place in range(length)] for length in lengths]
    return TokenBatch.from_sequences(rows, types)
