"""Stand-ins for models of the hub that documentation names: random weights, with the right classes, labels and kinds of files.

``serve`` adds them to the local stub. All have the tokenizer of the embedded model, whose 8,192 pieces come first.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterable
from pathlib import Path

from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.config import PUBLISHED, AlbertConfig
from albertkit.hub import EMBEDDED
from albertkit.testing import random_parameters

from .hub_stub import HubStub

SMALL = {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 24, "vocab_size": 8192}
ENTITIES = ("O", "B-MISC", "I-MISC", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")

MODELS: dict[str, tuple[str, dict[str, object]]] = {
    "albert/albert-base-v1": ("AlbertForMaskedLM", PUBLISHED["albert-base-v1"]),
    "albert/albert-base-v2": ("AlbertForMaskedLM", PUBLISHED["albert-base-v2"]),
    "textattack/albert-base-v2-imdb": ("AlbertForSequenceClassification", SMALL),
    "textattack/albert-base-v2-MRPC": ("AlbertForSequenceClassification", SMALL),
    "ynie/albert-xxlarge-v2-snli_mnli_fever_anli_R1_R2_R3-nli": (
        "AlbertForSequenceClassification",
        SMALL | {"id2label": {0: "entailment", 1: "neutral", 2: "contradiction"}},
    ),
    "Jorgeutd/albert-base-v2-finetuned-ner": ("AlbertForTokenClassification", SMALL | {"id2label": dict(enumerate(ENTITIES))}),
    "twmkn9/albert-base-v2-squad2": ("AlbertForQuestionAnswering", SMALL),
    "sentence-transformers/paraphrase-albert-small-v2": ("AlbertModel", SMALL | {"num_hidden_layers": 6, "hidden_size": 768}),
    "albert-race": ("AlbertForMultipleChoice", SMALL),
}
"""Name → class and configuration; one without an owner is a directory that a page's reader has made."""

PICKLED = {"textattack/albert-base-v2-imdb", "textattack/albert-base-v2-MRPC"}  # as older repositories are


@functools.cache
def files_of(name: str) -> dict[str, bytes]:
    """The files of one model."""
    architecture, sizes = MODELS[name]
    config = AlbertConfig(**sizes)
    heads = dict.fromkeys(
        (*HEADS_OF_CLASS[architecture], *(("pooler",) if "albert/" in name else ()))
    )  # as published: with a pooler
    # Small weights: a sum over 768 inputs stays small too, so that half precision does not overflow.
    parameters = {key: value * 0.2 for key, value in random_parameters(config, tuple(heads)).items()}
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(folder, config, parameters, architecture=architecture)
        if name in PICKLED:
            write_pickle(Path(folder))
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    tokenizer = EMBEDDED / "albert-mini-en"
    return files | {path.name: path.read_bytes() for path in (*tokenizer.glob("*tokenizer*.json"), tokenizer / "spiece.model")}


def write_pickle(folder: Path) -> None:
    """Turn the safetensors file of a folder into what transformers wrote before there was one."""
    import torch
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()


def serve(stub: HubStub, names: Iterable[str]) -> None:
    """Add some of them to the stub."""
    for name in names:
        stub.add(name, files_of(name))


def write(name: str, folder: Path) -> None:
    """Make the directory of one model."""
    folder.mkdir(parents=True)
    for filename, content in files_of(name).items():
        (folder / filename).write_bytes(content)
