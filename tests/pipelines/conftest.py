"""Small random models for every task, and transformers' own pipelines beside them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.testing import random_parameters, save_tiny_checkpoint, tiny_config
from albertkit.tokenization import AlbertTokenizer

SaveModel = Callable[..., Path]


@pytest.fixture(scope="session")
def save_tiny(tmp_path_factory) -> SaveModel:
    """Saves a tiny model of a class with random weights and its tokenizer; configuration fields by name."""

    def save(architecture: str, **overrides: Any) -> Path:
        return save_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), architecture, tiny_config(**overrides))

    return save


@pytest.fixture(scope="session")
def save_english(shared_data, tmp_path_factory) -> SaveModel:
    """The same with the published English vocabulary, and weights whose answers vary from text to text.

    ``change`` edits the parameters before they are saved.
    """
    tokenizer = AlbertTokenizer.from_pretrained(shared_data / "albert-vocab/30k-clean.rebuilt.model")

    def save(architecture: str, change: Callable[[dict[str, Any]], None] | None = None, **overrides: Any) -> Path:
        directory = tmp_path_factory.mktemp("english")
        sizes = {"vocab_size": 30000, "embedding_size": 32, "hidden_size": 64, "num_attention_heads": 4,
                 "intermediate_size": 96, "num_hidden_layers": 3, "num_hidden_groups": 1, "inner_group_num": 1,
                 "max_position_embeddings": 512}  # fmt: skip
        config = tiny_config(**sizes | overrides)
        parameters = random_parameters(config, HEADS_OF_CLASS[architecture])
        for name in parameters:  # what tokens have in common makes their answers alike
            parameters[name] *= 0.1 if name.endswith("bias") else 4.0 if "word_embeddings" in name else 1.0
        if change is not None:
            change(parameters)
        save_checkpoint(directory, config, parameters, architecture=architecture)
        tokenizer.save_pretrained(directory)
        return directory

    return save


@pytest.fixture(scope="session")
def peer_pipeline() -> Callable[..., Callable[..., Any]]:
    """Makes transformers' pipeline for a task; what it warns of when made or called is not ours to answer for."""
    import transformers

    def make(task: str, directory: Path, **options: Any) -> Callable[..., Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = transformers.pipeline(task, model=str(directory), **options)

        def call(*arguments: Any, **options: Any) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return peer(*arguments, **options)

        call.tokenizer = peer.tokenizer
        return call

    return make
