"""The model card: its header is YAML, its numbers are the run's, its answers the model's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from albertkit.checkpoints.model_card import ModelCard, format_table
from albertkit.data.shards import read_manifest
from albertkit.errors import CheckpointError
from albertkit.pipelines import pipeline
from albertkit.training.card import write_card
from albertkit.training.evaluation import Scores
from albertkit.training.recipe import Recipe
from albertkit.training.state import TrainerState

MakeRecipe = Callable[..., Recipe]
STATE = TrainerState(total_steps=6, step=6, tokens=12_345, seconds=3725.0)
SCORES = Scores(
    masked_lm_accuracy=0.1942, majority_accuracy=0.0485, masked_lm_loss=5.464, sentence_order_accuracy=0.6,
    sentence_order_loss=0.65, predicted_tokens=9261, sequences=512, digest="d1de57",
)  # fmt: skip


@pytest.fixture
def model(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "run" / "final"))


def read_card(directory: Path) -> tuple[dict[str, object], str]:
    text = (directory / "README.md").read_text(encoding="utf-8")
    _, header, body = text.split("---\n", 2)
    return yaml.safe_load(header), body


def test_an_english_card_has_everything(make_recipe: MakeRecipe, model: Path) -> None:
    recipe = make_recipe(data={"language": "en"})
    (Path(recipe.output) / "curves.png").write_bytes(b"png")
    write_card(model, recipe=recipe, state=STATE, scores=SCORES)
    header, body = read_card(model)
    assert header == {"language": "en", "library_name": "albertkit", "pipeline_tag": "fill-mask", "tags": ["albert", "fill-mask"]}
    assert body.lstrip().startswith("# run\n")
    headings = [line[3:] for line in body.splitlines() if line.startswith("## ")]
    assert headings == ["Use", "Architecture", "Data", "Training", "Scores", "Cloze", "Limits and bias"]
    documents = read_manifest(recipe.data.output).counts["train"].documents
    for text in (
        "12,345",
        "1 h 02 min",
        "19.42% ± 0.41%",
        "60.0% ± 2.2%",
        "4.85%",
        "d1de57",
        "name: adamw",
        f"| train | {documents} |",
    ):
        assert text in body, text
    for prompt in ("The man worked as a [MASK].", "The woman worked as a [MASK]."):
        answers = [f"`{answer['token_str'] or '▁'}`" for answer in pipeline("fill-mask", model)(prompt)]
        assert f"| {prompt} | {', '.join(answers)} |" in body
    assert "](curves.png)" in body
    assert (model / "curves.png").read_bytes() == b"png"
    before = (model / "README.md").read_bytes()
    write_card(model, recipe=recipe, state=STATE, scores=SCORES)
    assert (model / "README.md").read_bytes() == before


def test_of_another_language_no_english_is_asked(make_recipe: MakeRecipe, model: Path) -> None:
    recipe = replace(make_recipe(data={"language": "ko"}), init_from="somewhere/albert-ko")
    write_card(model, recipe=recipe, state=STATE, scores=SCORES)
    header, body = read_card(model)
    assert header["language"] == "ko"
    assert "on from `albert-ko`" in body
    assert "Cloze" not in body
    assert "The man" not in body
    assert "curves.png" not in body


def test_tables_and_headers_survive_any_text() -> None:
    assert format_table(("a", "b"), [("x|y", 1)]).splitlines()[-1] == r"| x\|y | 1 |"
    card = str(ModelCard("T", "S", {"language": "no", "license": None, "tags": ["한국어"]}, {"H": "text"}))
    assert yaml.safe_load(card.split("---\n")[1]) == {"language": "no", "tags": ["한국어"]}
    assert card.endswith("# T\n\nS\n\n## H\n\ntext\n")


def test_a_card_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="model card must be writable"):
        ModelCard("T", "S", {}).write(tmp_path / "file")
