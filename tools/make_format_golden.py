"""Write the golden files of other tools' checkpoint formats: tiny models of theirs with random weights, and what they compute.

One archive for each library, which may be run in an environment of its own, from the root of the repository:

    python -m venv golden && golden/bin/pip install transformers==4.57.6 tensorflow-cpu tf-keras jax flax sentencepiece
    PYTHONPATH=src golden/bin/python tools/make_format_golden.py flax --output tests/golden
    PYTHONPATH=src golden/bin/python tools/make_format_golden.py tensorflow --output tests/golden
    pip install keras-hub tensorflow-cpu && python tools/make_format_golden.py keras_hub --output tests/golden

``theirs/CASE`` is a checkpoint that the library saved, with its outputs for ``INPUTS``. ``ours/CLASS`` is what the library
computed after opening one that albertkit wrote from ``albertkit.testing.random_parameters``; one of them is kept. The manifest
states the versions, and what the libraries said of weights that were missing or not used: nothing.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

SIZES = {
    "vocab_size": 23, "embedding_size": 5, "hidden_size": 6, "num_attention_heads": 2, "intermediate_size": 7,
    "num_hidden_layers": 6, "num_hidden_groups": 2, "inner_group_num": 2, "max_position_embeddings": 11, "num_labels": 3,
    "classifier_dropout_prob": 0.0,
}  # fmt: skip

CLASSES = {
    "AlbertModel": 2, "AlbertForPreTraining": 2, "AlbertForMaskedLM": 2, "AlbertForSequenceClassification": 3,
    "AlbertForMultipleChoice": 2, "AlbertForTokenClassification": 3, "AlbertForQuestionAnswering": 2,
}  # fmt: skip
"""Class → num_labels: that of question answering is the number of its outputs."""

LIBRARIES = {
    "flax": ("transformers", "flax", "jax", "numpy", "msgpack"),
    "tensorflow": ("transformers", "tf_keras", "numpy", "h5py"),
    "keras_hub": ("keras_hub", "keras", "numpy", "h5py"),
}
"""Library → the distributions whose versions count."""

INPUTS = {
    "input_ids": [[2, 7, 22, 5, 9, 14, 3], [2, 17, 4, 11, 3, 0, 0]],
    "attention_mask": [[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0]],
    "token_type_ids": [[0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0]],
}

Outputs = dict[str, np.ndarray]


def inputs_of(name: str) -> dict[str, np.ndarray]:
    """The inputs of a class: for multiple choice the two rows are choices of one question."""
    arrays = {key: np.array(rows, np.int32) for key, rows in INPUTS.items()}
    return {key: array[None] for key, array in arrays.items()} if name == "AlbertForMultipleChoice" else arrays


def draw(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Random weights of few digits, which pack well."""
    return (np.round(generator.normal(0.0, 0.5, shape) * 32) / 32).astype(np.float32)


def write_ours(directory: Path, name: str, write: Callable[..., None], filename: str) -> None:
    """A checkpoint of random parameters in the library's format, written by albertkit."""
    from albertkit.checkpoints.parameters import HEADS_OF_CLASS
    from albertkit.config import AlbertConfig
    from albertkit.testing import random_parameters

    config = AlbertConfig(**(SIZES | {"num_labels": CLASSES[name]}))
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(config.to_json_string(), encoding="utf-8")
    write(directory / filename, random_parameters(config, HEADS_OF_CLASS[name]))


def run_transformers(folder: Path, library: str) -> Iterator[tuple[str, Outputs]]:
    """Every class of transformers' Flax or TensorFlow: saved by it with random weights, and opened from ours."""
    import transformers

    from albertkit.checkpoints.flax_msgpack import write_flax
    from albertkit.checkpoints.keras_h5 import write_keras_h5

    generator = np.random.default_rng(0)
    prefix, write, filename, randomize = {
        "flax": ("Flax", write_flax, "flax_model.msgpack", randomize_flax),
        "tensorflow": ("TF", write_keras_h5, "tf_model.h5", randomize_tensorflow),
    }[library]
    for name, labels in CLASSES.items():
        kind = getattr(transformers, prefix + name)
        model = kind(transformers.AlbertConfig(**(SIZES | {"num_labels": labels})))
        randomize(model, generator)
        outputs = {key: np.asarray(value) for key, value in model(**inputs_of(name)).items()}
        cases: dict[str, dict[str, Any]] = {name: {}}
        if name == "AlbertForPreTraining":
            cases |= {"sharded": {"max_shard_size": "2KB"}, "safetensors": {"safe_serialization": True}}
        for case, options in cases.items():
            model.save_pretrained(folder / "theirs" / case, **({"safe_serialization": False} | options))
            yield f"theirs/{case}", outputs
        write_ours(folder / "ours" / name, name, write, filename)
        opened = kind.from_pretrained(folder / "ours" / name)
        if name != "AlbertForPreTraining":  # as the same parameters give it again
            (folder / "ours" / name / filename).unlink()
        yield f"ours/{name}", {key: np.asarray(value) for key, value in opened(**inputs_of(name)).items()}


def randomize_flax(model: Any, generator: np.random.Generator) -> None:
    """Give a Flax model random weights."""
    import jax

    model.params = jax.tree.map(lambda array: draw(array.shape, generator), model.params)


def randomize_tensorflow(model: Any, generator: np.random.Generator) -> None:
    """Give a TensorFlow model random weights."""
    model(**inputs_of("AlbertForMultipleChoice" if "MultipleChoice" in type(model).__name__ else ""))  # makes them
    for variable in model.weights:
        variable.assign(draw(tuple(variable.shape), generator))


def run_keras_hub(folder: Path) -> Iterator[tuple[str, Outputs]]:
    """KerasHub's backbone with random weights, as it saves a preset, in two types."""
    import keras_hub

    keys = {
        "vocabulary_size": "vocab_size", "embedding_dim": "embedding_size", "hidden_dim": "hidden_size",
        "num_heads": "num_attention_heads", "intermediate_dim": "intermediate_size", "num_layers": "num_hidden_layers",
        "num_groups": "num_hidden_groups", "num_inner_repetitions": "inner_group_num",
        "max_sequence_length": "max_position_embeddings",
    }  # fmt: skip
    generator = np.random.default_rng(0)
    inputs = inputs_of("AlbertModel")
    names = {"token_ids": "input_ids", "padding_mask": "attention_mask", "segment_ids": "token_type_ids"}
    for dtype in ("float32", "bfloat16"):
        sizes = {theirs: SIZES[ours] for theirs, ours in keys.items()}
        model = keras_hub.models.AlbertBackbone(**sizes, dropout=0.1, dtype=dtype)
        for variable in model.weights:
            variable.assign(draw(variable.shape, generator))
        model.save_to_preset(str(folder / "theirs" / dtype))
        found = model.predict({theirs: inputs[ours] for theirs, ours in names.items()}, verbose=0)
        outputs = {"last_hidden_state": found["sequence_output"], "pooler_output": found["pooled_output"]}
        yield f"theirs/{dtype}", {key: np.asarray(value, np.float32) for key, value in outputs.items()}


class Complaints(logging.Handler):
    """Keeps what the library says of weights that were missing or not used."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        text = record.getMessage()
        if "were not used" in text or "newly initialized" in text:
            self.found.append(text.partition("\n")[0])


def main() -> None:
    """Run one library and write its archive."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", choices=tuple(LIBRARIES))
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
    complaints = Complaints()
    logging.getLogger("transformers").addHandler(complaints)
    manifest: dict[str, Any] = {
        "made_by": "tools/make_format_golden.py",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {name: metadata.version(name) for name in LIBRARIES[arguments.library]},
        "inputs": INPUTS,
        "sizes": SIZES,
        "labels": CLASSES,
        "complaints": complaints.found,
    }
    target = arguments.output / f"formats_{arguments.library}.zip"
    with TemporaryDirectory() as name, zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as archive:
        folder = Path(name)
        run = run_keras_hub(folder) if arguments.library == "keras_hub" else run_transformers(folder, arguments.library)
        for case, outputs in run:
            np.savez(folder / case / "outputs.npz", **outputs)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes(), zipfile.ZIP_LZMA)
        archive.writestr(zipfile.ZipInfo("manifest.json"), json.dumps(manifest, indent=1))
    print(f"{target}: {target.stat().st_size:,} bytes; complaints: {complaints.found}")


if __name__ == "__main__":
    main()
