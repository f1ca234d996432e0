"""Small models and tokenizers for tests, ours and our users': sharing, inner repetition and every parameter always exercised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS, PRETRAINING_HEADS, Head, list_parameters
from albertkit.config import AlbertConfig
from albertkit.testing.tokenizer import tiny_tokenizer

__all__ = ["random_parameters", "save_tiny_checkpoint", "tiny_config", "tiny_tokenizer"]


def tiny_config(**overrides: Any) -> AlbertConfig:
    """A model of distinct prime sizes, so that no transposition hides: 6 layers over 2 groups of 2 inner layers.

    Args:
        overrides: Fields of :class:`~albertkit.config.AlbertConfig` that take the place of the tiny ones.
    """
    sizes: dict[str, Any] = {
        "vocab_size": 101, "embedding_size": 7, "hidden_size": 3 * 5, "num_attention_heads": 3, "intermediate_size": 31,
        "num_hidden_layers": 6, "num_hidden_groups": 2, "inner_group_num": 2, "max_position_embeddings": 43,
        "classifier_dropout_prob": 0.0,
    }  # fmt: skip
    return AlbertConfig(**(sizes | overrides))


def random_parameters(
    config: AlbertConfig, heads: tuple[Head, ...] = PRETRAINING_HEADS, *, seed: int = 0
) -> dict[str, np.ndarray]:
    """Random float32 values for every parameter of the contract, biases and scales included (no value is left at 0 or 1).

    Args:
        config: Sizes.
        heads: Which heads to give parameters to.
        seed: Of the generator.
    """
    generator = np.random.default_rng(seed)
    parameters = {}
    for parameter in list_parameters(config, heads):
        values = generator.normal(0.0, 0.2, parameter.shape).astype(np.float32)
        parameters[parameter.name] = values + 1.0 if parameter.kind == "scale" else values
    return parameters


def save_tiny_checkpoint(
    directory: str | Path, architecture: str = "AlbertForPreTraining", config: AlbertConfig | None = None, *, seed: int = 0
) -> Path:
    """Write a checkpoint with random weights and the tiny tokenizer, as ``save_pretrained`` would.

    Args:
        directory: Where to; made if need be.
        architecture: Class of the model, a key of :data:`~albertkit.checkpoints.parameters.HEADS_OF_CLASS`.
        config: The tiny one when absent.
        seed: Of the weights.

    Returns:
        The directory.
    """
    chosen = tiny_config() if config is None else config
    parameters = random_parameters(chosen, HEADS_OF_CLASS[architecture], seed=seed)
    save_checkpoint(directory, chosen, parameters, architecture=architecture)
    tiny_tokenizer().save_pretrained(directory)
    return Path(directory)
