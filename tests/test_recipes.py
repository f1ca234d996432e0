"""The shipped recipes: every key explained, the published sizes and the paper's settings, and a few updates with each."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from albertkit.checkpoints.parameters import PRETRAINING_HEADS, list_parameters
from albertkit.checkpoints.storage import read_tensors
from albertkit.config import PUBLISHED, AlbertConfig
from albertkit.data.options import DataRecipe
from albertkit.data.prepare import prepare
from albertkit.testing import tiny_tokenizer
from albertkit.training.pretraining import pretrain
from albertkit.training.recipe import Recipe, read_recipe

FOLDER = Path(__file__).parents[1] / "recipes"
RECIPES = sorted(FOLDER.glob("*.yaml"))
all_recipes = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
STEPS = {  # version 1: the flag's default and the paper's comparisons; the others: README of google-research/albert
    "albert-base-v1": 125_000, "albert-large-v1": 125_000, "albert-xlarge-v1": 125_000, "albert-xxlarge-v1": 1_500_000,
    "albert-base-v2": 10_000_000, "albert-large-v2": 3_000_000, "albert-xlarge-v2": 3_000_000, "albert-xxlarge-v2": 3_000_000,
}  # fmt: skip
ENCODER_PARAMETERS = {"base": 11_683_584, "large": 17_683_968, "xlarge": 58_724_864, "xxlarge": 222_595_584}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder of the tiny vocabulary whose documents fill 512 tokens."""
    folder = tmp_path_factory.mktemp("recipes")
    sentences = [f"The {a} sat in {b} by the capital of France." for a in ("cat", "dog", "model") for b in ("Paris", "New York")]
    documents = [" ".join(sentences[number % 6 :] * 30) for number in range(12)]
    (folder / "text.txt").write_text("\n\n".join(documents), encoding="utf-8")
    tiny_tokenizer().save_pretrained(folder / "tokenizer")
    output = folder / "prepared"
    sources, tokenizer = [str(folder / "text.txt")], str(folder / "tokenizer")
    prepare(DataRecipe(sources=sources, tokenizer=tokenizer, output=str(output), held_out=2, workers=1))
    return output


@all_recipes
def test_every_line_is_explained_and_the_commands_name_their_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for before, line in pairwise(text.splitlines()):
        is_explained = " # " in line or before.lstrip().startswith("#")
        assert is_explained or not re.match(r" +\w+:", line), f"no comment on {line!r}"
    assert set(re.findall(r"recipes/([\w-]+)\.yaml", text)) == {path.stem}
    assert read_recipe(path).output.endswith(path.stem)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_and_the_settings_of_the_paper(name: str) -> None:
    recipe = read_recipe(FOLDER / f"{name}.yaml")
    assert recipe.model == AlbertConfig.published(name).replace(hidden_act="gelu_new")  # what Google's "gelu" was
    encoder = list_parameters(recipe.model, ("pooler",))
    assert sum(math.prod(entry.shape) for entry in encoder) == ENCODER_PARAMETERS[name.split("-")[1]]
    optimizer, schedule = recipe.optimizer, recipe.schedule
    assert (optimizer.name, optimizer.learning_rate, optimizer.clip_norm, optimizer.weight_decay) == ("lamb", 0.00176, 1.0, 0.01)
    assert (optimizer.betas, optimizer.epsilon) == ((0.9, 0.999), 1e-6)
    assert (schedule.total_steps, schedule.warmup_steps, schedule.decay) == (STEPS[name], 3125, "linear")
    assert (recipe.training.examples_per_batch, recipe.examples.max_seq_length, recipe.examples.ngram) == (4096, 512, 3)


def test_base_has_the_parameters_of_the_reference_with_its_heads() -> None:
    model = read_recipe(FOLDER / "albert-base-v2.yaml").model
    assert sum(math.prod(entry.shape) for entry in list_parameters(model, PRETRAINING_HEADS)) == 11_813_810


@pytest.mark.slow
@all_recipes
def test_every_recipe_trains(path: Path, prepared: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = _shrink(read_recipe(path), prepared, tmp_path / "run")
    outcome = pretrain(recipe)
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = [line for line in log if line["event"] == "train"]
    assert max(line["learning_rate"] for line in lines) > recipe.optimizer.learning_rate / 2
    assert all(math.isfinite(line["loss"]) and line["grad_norm"] > 0 for line in lines)
    # The first update has rate 0, so that the first checkpoint is the start.
    start, end = (
        read_tensors(path / "model.safetensors").tensors for path in (tmp_path / "run" / "checkpoint-00000001", outcome.directory)
    )
    assert [name for name in end if name.endswith("weight") and np.array_equal(start[name], end[name])] == []


def _shrink(recipe: Recipe, prepared: Path, output: Path) -> Recipe:
    """The recipe with all its choices, but narrow, shallow, on little text, and over after three updates."""
    schedule, training = recipe.schedule, recipe.training
    model = recipe.model.replace(
        vocab_size=101, embedding_size=8, hidden_size=16, num_attention_heads=2, intermediate_size=32, num_hidden_layers=2
    )
    has_examples = training.examples_per_batch is not None
    return dataclasses.replace(
        recipe,
        data=dataclasses.replace(recipe.data, output=str(prepared)),
        output=str(output),
        model=model,
        schedule=dataclasses.replace(
            schedule,
            total_steps=3,
            warmup_steps=min(schedule.warmup_steps, 1),
            decay_steps=min(schedule.decay_steps, 1),
            stages=[dataclasses.replace(stage, from_step=-1) for stage in schedule.stages[-1:]],
        ),
        training=dataclasses.replace(
            training,
            examples_per_batch=3 if has_examples else None,
            tokens_per_batch=None if has_examples else 1024,
            micro_batch_tokens=512 if training.micro_batch_tokens else None,
            device="cpu",
            log_every_steps=1,
            save_every_steps=1,
            keep_checkpoints=3,
        ),
        evaluation=dataclasses.replace(recipe.evaluation, num_examples=2, digest=None),
    )
