"""What fine-tuning starts from: the checkpoint's head or a new one, what is trained, and what a recipe may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.checkpoints.storage import read_tensors, write_tensors
from albertkit.errors import CheckpointError, ConfigError
from albertkit.models.torch import AlbertForSequenceClassification
from albertkit.tasks.base import Scores
from albertkit.tasks.features import lay_out
from albertkit.tasks.text import TextTask
from albertkit.testing import random_parameters, save_tiny_checkpoint, tiny_config
from albertkit.training.finetuning.guards import Guards, describe_counts
from albertkit.training.finetuning.recipe import FinetuningRecipe, LoraRecipe, read_recipe
from albertkit.training.finetuning.start import add_adapters, freeze, make_model

TASK = TextTask(name="text-classification", labels=("bad", "good"))
SEQUENCES = "AlbertForSequenceClassification"


def recipe_of(directory: Path, *overrides: str) -> FinetuningRecipe:
    return read_recipe(None, ["task=text-classification", "data.train=x.csv", f"model={directory}", *overrides])


def save(directory: Path, architecture: str, **overrides: Any) -> Path:
    return save_tiny_checkpoint(directory, architecture, tiny_config(**overrides))


def test_a_head_is_kept_where_its_labels_are_the_tasks(tmp_path: Path) -> None:
    for labels, order in (({0: "bad", 1: "good"}, [0, 1]), ({0: "good", 1: "bad"}, [1, 0]), (None, [0, 1])):
        directory = save(tmp_path / str(order), SEQUENCES, id2label=labels)
        model, origin = make_model(recipe_of(directory), TASK, 0)
        theirs = AlbertForSequenceClassification.from_pretrained(directory).classifier
        assert torch.equal(model.classifier.weight, theirs.weight[order])
        assert torch.equal(model.classifier.bias, theirs.bias[order])
        assert model.config.id2label == {0: "bad", 1: "good"}
        assert origin.endswith("head of the checkpoint")


@pytest.mark.parametrize(
    ("architecture", "overrides", "said"),
    [
        (SEQUENCES, {"id2label": {0: "x", 1: "y"}}, "head at random start, since the checkpoint's has other labels (x, y)"),
        (SEQUENCES, {"num_labels": 3}, "other labels (LABEL_0, LABEL_1, LABEL_2)"),
        ("AlbertForPreTraining", {}, "head at random start"),
        ("AlbertForMaskedLM", {}, "pooler at random start, head at random start"),
        ("AlbertForTokenClassification", {}, "pooler at random start, head at random start"),
    ],
)
def test_another_head_starts_at_random_and_says_so(architecture: str, overrides: dict, said: str, tmp_path: Path) -> None:
    directory = save(tmp_path, architecture, **overrides)
    model, origin = make_model(recipe_of(directory), TASK, 0)
    assert said in origin
    assert model.classifier.weight.abs().max() <= 0.04 + 1e-6  # drawn, within two deviations
    again, other = make_model(recipe_of(directory), TASK, 0)[0], make_model(recipe_of(directory), TASK, 1)[0]
    assert torch.equal(model.classifier.weight, again.classifier.weight)
    assert not torch.equal(model.classifier.weight, other.classifier.weight)
    kept = "albert.encoder.albert_layer_groups.0.albert_layers.1.ffn.weight"
    assert torch.equal(model.get_parameter(kept), other.get_parameter(kept))


def test_an_encoder_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    parameters = random_parameters(tiny_config())
    save_checkpoint(tmp_path, tiny_config(), parameters)
    tensors = dict(read_tensors(tmp_path / "model.safetensors").tensors)
    del tensors["albert.encoder.albert_layer_groups.1.albert_layers.0.ffn.weight"]
    write_tensors(tmp_path / "model.safetensors", tensors)
    with pytest.raises(CheckpointError, match=r"whole encoder; received .*model.safetensors"):
        make_model(recipe_of(tmp_path), TASK, 0)


def test_dropouts_and_labels_are_the_recipes(tmp_path: Path) -> None:
    directory = save(tmp_path, "AlbertForPreTraining")
    model, _ = make_model(recipe_of(directory, "config.hidden_dropout_prob=0.25"), TASK, 0)
    assert (model.config.hidden_dropout_prob, model.config.classifier_dropout_prob) == (0.25, 0.0)
    number, _ = make_model(recipe_of(directory), TextTask(name="text-regression", problem="regression"), 0)
    assert (number.config.num_labels, number.config.problem_type) == (1, "regression")


def test_what_is_frozen_stays(tmp_path: Path) -> None:
    model, _ = make_model(recipe_of(save(tmp_path, "AlbertForPreTraining")), TASK, 0)
    for what, prefix in (("embeddings", "albert.embeddings."), ("encoder", ("albert.embeddings.", "albert.encoder."))):
        freeze(model, what)
        frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        assert frozen == {name for name, _ in model.named_parameters() if name.startswith(prefix)}
    freeze(model, "none")
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_adapters_stand_in_every_layer_and_train_with_pooler_and_head(tmp_path: Path) -> None:
    model, _ = make_model(recipe_of(save(tmp_path, "AlbertForPreTraining")), TASK, 0)
    adapted = add_adapters(model, LoraRecipe(rank=2, targets=["value", "dense", "ffn_output"]))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    adapters = {name for name in trained if "lora" in name}
    assert len(adapters) == 2 * 3 * 4  # two matrices in each of three layers of four inner layers
    assert all("pooler" in name or "classifier" in name for name in trained - adapters)
    assert adapted.base_model.model is model
    tokens, _ = make_model(recipe_of(tmp_path), TextTask(name="text-classification", labels=("a", "b", "c")), 0)
    assert tokens.config.num_labels == 3


def test_recipes_are_checked() -> None:
    base = ["task=sst-2", "data.train=x"]
    assert read_recipe(None, base).output == "runs/sst-2"
    assert read_recipe(None, [*base, "data.columns.text=review"]).data.columns == {"text": "review"}
    for name in ("0", "#1 String", "yes", "a: b", "x=y"):
        assert read_recipe(None, [*base, f"data.columns.label={name}"]).data.columns == {"label": name}
    several = read_recipe(None, [*base, "data.columns={choice0: first, answer_start: begin}", "data.columns.context=c"])
    assert several.data.columns == {"choice0": "first", "answer_start": "begin", "context": "c"}
    assert read_recipe(None, [*base, "lora.rank=4"]).lora == LoraRecipe(rank=4)
    for override, message in (
        ("training.sead=3", "did you mean seeds?"),
        ("data.columns.txet=x", "did you mean text?"),
        ("data.columns.choicest=x", "did you mean choices?"),
        ("data.columns={text: 0}", "columns must be a mapping of text to text; received {'text': 0}"),
        ("schedule={epochs: 2, total_steps: 9}", "one of epochs and total_steps may be given"),
        ("training.seeds=[1, 1]", "seeds must be one or more, each once"),
        ("training.examples_per_batch=0", "examples_per_batch must be at least 1"),
        ("optimizer.layer_decay=1.5", "layer_decay must be above 0 and at most 1"),
        ("lora.targets=[querry]", "did you mean query?"),
        ("training.freeze=all", "must be one of none, embeddings, encoder"),
    ):
        with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
            read_recipe(None, [*base, override])
    with pytest.raises(ConfigError, match=r"the command must give data\.train"):
        read_recipe(None, ["task=sst-2"])
    with pytest.raises(ConfigError, match="freeze must be none beside lora"):
        read_recipe(None, [*base, "lora.rank=4", "training.freeze=encoder"])


def test_steps_of_a_schedule() -> None:
    schedule = read_recipe(None, ["task=sst-2", "data.train=x"]).schedule
    assert schedule.count_steps(1000, 32) == (94, 9)
    fixed = read_recipe(None, ["task=sst-2", "data.train=x", "schedule={total_steps: 800, warmup_steps: 200}"]).schedule
    assert fixed.count_steps(5, 32) == (800, 200)
    short = read_recipe(None, ["task=sst-2", "data.train=x", "schedule.warmup_steps=200"]).schedule
    with pytest.raises(ConfigError, match="must be below the number of steps; received 200 and 94"):
        short.count_steps(1000, 32)


def scores(baseline: float | None = 0.5) -> Scores:
    return Scores(values={"accuracy": 0.5}, primary="accuracy", num_examples=2, baseline=baseline)


def test_answers_that_are_all_alike_are_told_once() -> None:
    guards = Guards(warmup_steps=10)
    alike = [{"label": "good"}, {"label": "good"}]
    assert guards.after_evaluation(10, scores(), alike) is None
    assert guards.after_evaluation(11, scores(), [{"label": "good"}, {"label": "bad"}]) is None
    assert guards.after_evaluation(11, scores(1.0), alike) is None  # and rightly so
    assert "all 2 answers are good" in (guards.after_evaluation(11, scores(), alike) or "")
    assert guards.after_evaluation(12, scores(), alike) is None
    tags = [{"tags": ["O", "O"]}, {"tags": ["O"]}]
    assert "are O" in (Guards(warmup_steps=0).after_evaluation(1, scores(None), tags) or "")
    numbers = [{"score": 2.0}, {"score": 2.00001}]
    assert "about 2.000" in (Guards(warmup_steps=0, is_regression=True).after_evaluation(1, scores(None), numbers) or "")
    numbers[1] = {"score": 2.5}
    assert Guards(warmup_steps=0, is_regression=True).after_evaluation(1, scores(None), numbers) is None


def test_a_loss_that_leaves_where_it_was_is_told_once() -> None:
    noise = np.random.default_rng(0).uniform(0.8, 1.2, 300)
    falling = [*(np.linspace(0.7, 0.05, 200) * noise[:200]), *(0.05 * noise[200:])]
    guards = Guards(warmup_steps=20)
    assert not any(guards.after_step(step, loss) for step, loss in enumerate(falling, 1))
    told = [guards.after_step(301 + step, 0.7) for step in range(40)]
    (warning,) = filter(None, told)
    assert "from 0.051 to 0.376 at step 305" in warning
    assert "lower optimizer.learning_rate" in warning


def test_what_was_cut_is_counted_and_longer_rows_are_advised_where_they_help() -> None:
    counts = {"truncated": 1, "questions truncated": 2, "answers cut off": 0}
    features = lay_out([[2, 3]] * 4, [[0, 0]] * 4, counts=counts)
    assert describe_counts("train", features) == [
        "train: 1 of 4 (25.0%) truncated; raise data.max_seq_length if they matter",
        "train: 2 of 4 (50.0%) questions truncated",
    ]
