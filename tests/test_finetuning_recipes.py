"""The shipped recipes of fine-tuning: every key explained with its default, the paper's numbers, Google's corrections."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from albertkit.training.finetuning.recipe import list_keys, read_recipe

FOLDER = Path(__file__).parents[1] / "recipes" / "finetune"
RECIPES = sorted(FOLDER.glob("*.yaml"))
all_recipes = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)

PAPER = {  # arXiv:1909.11942, Table 14: rate, batch, dropout, classifier dropout, steps, warm-up, longest row
    "cola": (1e-5, 16, 0.0, 0.1, 5336, 320, 512), "sts-b": (2e-5, 16, 0.0, 0.1, 3598, 214, 512),
    "sst-2": (1e-5, 32, 0.0, 0.1, 20935, 1256, 512), "mnli": (3e-5, 128, 0.0, 0.1, 10000, 1000, 512),
    "qnli": (1e-5, 32, 0.0, 0.1, 33112, 1986, 512), "qqp": (5e-5, 128, 0.1, 0.1, 14000, 1000, 512),
    "rte": (3e-5, 32, 0.1, 0.1, 800, 200, 512), "mrpc": (2e-5, 32, 0.0, 0.1, 800, 200, 512),
    "wnli": (2e-5, 16, 0.1, 0.1, 2000, 250, 512), "squad": (5e-5, 48, 0.0, 0.1, 3649, 365, 384),
    "squad-v2": (3e-5, 48, 0.0, 0.1, 8144, 814, 512), "race": (2e-5, 32, 0.1, 0.1, 12000, 1000, 512),
    "race-v2": (1e-5, 32, 0.0, 0.1, 12000, 1000, 512),  # README of google-research/albert: another rate, and no dropout
}  # fmt: skip


@all_recipes
def test_every_line_is_explained_and_the_commands_name_their_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for line in text.splitlines():
        assert " # " in line or not re.match(r" +\w+:", line), f"no comment on {line!r}"
    assert set(re.findall(r"recipes/finetune/([\w-]+)\.yaml", text)) == {path.stem}
    recipe = read_recipe(path)
    assert recipe.output == f"runs/{path.stem}"
    assert recipe.task == yaml.safe_load(text)["task"]
    assert [later for later in re.findall(r"--model (\S+?)/final", text) if later not in (recipe.output, "runs/mnli")] == []


@pytest.mark.parametrize("name", PAPER)
def test_the_settings_of_the_paper(name: str) -> None:
    recipe = read_recipe(FOLDER / f"{name}.yaml")
    assert recipe.task == name.removesuffix("-v2") if name == "race-v2" else recipe.task == name
    config, schedule, optimizer = recipe.config, recipe.schedule, recipe.optimizer
    assert config.hidden_dropout_prob == config.attention_probs_dropout_prob
    found = (
        optimizer.learning_rate, recipe.training.examples_per_batch, config.hidden_dropout_prob, config.classifier_dropout_prob,
        schedule.total_steps, schedule.warmup_steps, recipe.data.max_seq_length,
    )  # fmt: skip
    assert found == PAPER[name]
    assert (optimizer.name, optimizer.weight_decay, optimizer.epsilon, optimizer.clip_norm) == ("adamw", 0.01, 1e-6, 1.0)
    assert (schedule.decay, recipe.model) == ("linear", "albert-base-v1" if name == "race" else "albert-base-v2")
    assert recipe.data.answerability == (name == "squad-v2")


def test_the_settings_of_googles_readme_for_squad() -> None:
    recipe = read_recipe(FOLDER / "squad-readme.yaml")
    schedule, data = recipe.schedule, recipe.data
    assert (recipe.task, recipe.optimizer.learning_rate, recipe.training.examples_per_batch) == ("squad", 5e-5, 48)
    assert (schedule.epochs, schedule.warmup_share, data.max_seq_length, data.doc_stride) == (2, 0.1, 384, 128)


def test_the_table_of_ones_own_shows_every_key() -> None:
    content = yaml.safe_load((FOLDER / "own-table.yaml").read_text(encoding="utf-8"))
    shown = {f"{section}.{key}" for section, keys in content.items() if isinstance(keys, dict) for key in keys}
    shown |= {key for key in content if not isinstance(content[key], dict)}
    assert shown == {re.sub(r"^(data\.columns|lora)\..*", r"\1", key) for key in list_keys()}


@all_recipes
def test_the_defaults_are_as_stated(path: Path) -> None:
    plain = read_recipe(None, ["task=sst-2", "data.train=x"]).to_dict()
    section = None
    for line in path.read_text(encoding="utf-8").splitlines():
        name = re.match(r"( *)(\w+):", line)
        if name and not name[1]:
            section = name[2]
        stated = re.search(r"# .*default (.+?)(?: \([^()]*(?:\([^()]*\))?[^()]*\))?(?::|$)", line)
        if name and stated and name[2] != "output":
            default = plain[section][name[2]] if name[1] == "  " else plain[name[2]]
            given = yaml.safe_load(stated[1])
            assert str(given) == str(list(default) if isinstance(default, tuple) else default) or float(given) == default, line
