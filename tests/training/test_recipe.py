"""Recipes: values and overrides, and one sentence for every mistake. The shipped ones: tests/test_recipes.py."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from albertkit.cli.main import main
from albertkit.data.options import ExampleOptions
from albertkit.errors import ConfigError
from albertkit.training.recipe import list_keys, read_recipe


def test_overrides_take_the_place_of_the_file(write_recipe: Callable[..., Path]) -> None:
    path = write_recipe()
    recipe = read_recipe(
        path, ["training.seed=3", "optimizer.learning_rate=1e-3", "optimizer.betas=[0.8, 0.9]", "output=elsewhere"]
    )
    assert (recipe.training.seed, recipe.optimizer.learning_rate, recipe.output) == (3, 0.001, "elsewhere")
    assert recipe.optimizer.betas == (0.8, 0.9)
    same = read_recipe(path)
    assert dataclasses.replace(recipe, training=same.training, optimizer=same.optimizer, output=same.output) == same


def test_a_published_size_may_be_changed(write_recipe: Callable[..., Path]) -> None:
    path = write_recipe()
    content = yaml.safe_load(path.read_text())
    content["model"] = {"published": "albert-large-v1", "vocab_size": 101}
    path.write_text(yaml.safe_dump(content))
    model = read_recipe(path).model
    assert (model.hidden_size, model.hidden_dropout_prob, model.vocab_size) == (1024, 0.1, 101)


@pytest.mark.parametrize(
    ("section", "keys", "message"),
    [
        ("training", {"sead": 3}, "section training must hold known keys only; received sead; did you mean seed?"),
        ("model", {"hiden_size": 3}, "section model must hold known keys only; received hiden_size; did you mean hidden_size?"),
        ("training", {"seed": "many"}, "section training, seed must be a whole number; received 'many'"),
        ("optimizer", {"name": "sgd"}, "section optimizer, name must be one of lamb, adamw, muon; received 'sgd'"),
        ("optimizer", {"betas": [0.9]}, "section optimizer, betas must be a list of 2; received [0.9]"),
        ("training", {"tokens_per_batch": 64}, "one of examples_per_batch and tokens_per_batch must be given"),
        ("schedule", {"warmup_steps": 6}, "warmup_steps must be below total_steps; received 6"),
        ("schedule", {"decay": "trapezoid"}, "decay_steps must be above 0 for trapezoid"),
        ("model", {"hidden_size": 16}, "section model: hidden_size must be"),
        ("examples", {"max_seq_length": 99}, "must fit into the model's max_position_embeddings; received 99 and 43"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_and_key(
    write_recipe: Callable[..., Path], section: str, keys: dict[str, Any], message: str
) -> None:
    path = write_recipe(**{section: keys})
    with pytest.raises(ConfigError) as caught:
        read_recipe(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "must be valid YAML; received {path}, line 2"),
        ("- 1", "must be a mapping of sections; received {path} holds list"),
        ("optimiser: {}", "must hold known keys only; received optimiser; did you mean optimizer?"),
        ("output: x", "must give data; received nothing"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text + "\n")
    with pytest.raises(ConfigError, match=re.escape(message.format(path=path))):
        read_recipe(path)
    with pytest.raises(ConfigError, match="readable file"):
        read_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("override", "message"),
    [("seed", "section.key=value"), ("training.seed=[", "valid YAML"), ("output.seed=1", "output must be a section")],
)
def test_an_override_of_another_form_is_refused(write_recipe: Callable[..., Path], override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_recipe(write_recipe(), [override])


def test_every_key_is_explained_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert all(meaning for meaning in list_keys().values())
    assert main(["pretrain", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"--{key} VALUE" in shown for key in list_keys())


def test_the_command_says_what_to_do(
    write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = write_recipe(training={"sead": 3})
    assert main(["pretrain", str(path)]) == 1
    assert "did you mean seed?" in capsys.readouterr().err
    path = write_recipe()
    assert main(["pretrain", str(path), "--data.output", str(tmp_path / "absent")]) == 1
    assert f"run: albertkit prepare {path}" in capsys.readouterr().err
    assert main(["pretrain", str(path), "--training.sead", "3"]) == 2


def test_a_preset_gives_the_defaults_of_examples(write_recipe: Callable[..., Path]) -> None:
    examples = read_recipe(write_recipe(examples={"preset": "google", "max_seq_length": 24})).examples
    assert examples == ExampleOptions.google(max_seq_length=24)
    assert read_recipe(write_recipe(examples={"preset": "paper", "ngram": 2, "max_seq_length": 24})).examples.ngram == 2
    assert read_recipe(write_recipe(), ["examples.preset=google"]).examples == ExampleOptions.google(max_seq_length=32)
    with pytest.raises(ConfigError, match="preset must be one of paper, google; received 'goggle'"):
        read_recipe(write_recipe(examples={"preset": "goggle"}))
