"""A prepared corpus of the tiny vocabulary, and recipes over it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from albertkit.data.options import DataRecipe
from albertkit.data.prepare import prepare
from albertkit.testing import tiny_config
from albertkit.testing.vocabulary import tiny_vocabulary
from albertkit.tokenization.tokenizer import AlbertTokenizer
from albertkit.training.recipe import Recipe, read_recipe

MODEL_KEYS = (
    "vocab_size", "embedding_size", "hidden_size", "num_attention_heads", "intermediate_size", "num_hidden_layers",
    "num_hidden_groups", "inner_group_num", "max_position_embeddings",
)  # fmt: skip
WriteRecipe = Callable[..., Path]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder made from a few hundred small sentences."""
    folder = tmp_path_factory.mktemp("corpus")
    animals, places = ("cat", "dog", "model"), ("paris", "france", "new york", "the capital")
    sentences = [f"The {a} sat in {p}. It was that {b} by {p}." for a, p, b in product(animals, places, animals)]
    documents = [" ".join(sentences[number % 36 : number % 36 + 5]) for number in range(60)]
    (folder / "text.txt").write_text("\n\n".join(documents), encoding="utf-8")
    AlbertTokenizer(vocabulary=tiny_vocabulary()).save_pretrained(folder / "tokenizer")
    prepare(
        DataRecipe(
            sources=[str(folder / "text.txt")], tokenizer=str(folder / "tokenizer"), output=str(folder / "prepared"), held_out=6
        )
    )
    return folder


@pytest.fixture
def write_recipe(prepared: Path, tmp_path: Path) -> WriteRecipe:
    """A function that writes a recipe for the tiny model: sections as keywords, whose keys are added to the usual ones."""

    def write(**changes: dict[str, Any]) -> Path:
        content: dict[str, Any] = {
            "data": {
                "sources": [str(prepared / "text.txt")],
                "tokenizer": str(prepared / "tokenizer"),
                "output": str(prepared / "prepared"),
            },
            "examples": {"max_seq_length": 32},
            "output": str(tmp_path / "run"),
            "model": {name: getattr(tiny_config(), name) for name in MODEL_KEYS} | {"hidden_dropout_prob": 0.1},
            "optimizer": {"name": "adamw", "learning_rate": 0.003},
            "schedule": {"total_steps": 6, "warmup_steps": 1},
            "training": {"examples_per_batch": 4, "save_every_steps": 2, "log_every_steps": 1, "keep_checkpoints": 9},
            "evaluation": {"num_examples": 6, "max_seq_length": 32},
        }
        for section, keys in changes.items():
            content[section] |= keys
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    return write


@pytest.fixture
def make_recipe(write_recipe: WriteRecipe) -> Callable[..., Recipe]:
    """As ``write_recipe``, and read."""
    return lambda **changes: read_recipe(write_recipe(**changes))
