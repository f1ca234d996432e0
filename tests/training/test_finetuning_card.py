"""The card of a fine-tuned model: its snippet runs, its numbers are the run's, the prompts are the English base model's."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from albertkit.checkpoints.model_card import ModelCard
from albertkit.pipelines import pipeline
from albertkit.tasks.base import Scores
from albertkit.testing import save_tiny_checkpoint
from albertkit.training.finetuning.card import write_card
from albertkit.training.finetuning.recipe import read_recipe
from albertkit.training.finetuning.results import Results, Spread

HEADS = {  # class of model → the pipeline that runs it, and what it answers with
    "AlbertForSequenceClassification": ("text-classification", "label"),
    "AlbertForTokenClassification": ("token-classification", "entity_group"),
    "AlbertForQuestionAnswering": ("question-answering", "answer"),
    "AlbertForQuestionAnsweringWithAnswerability": ("question-answering", "answer"),
    "AlbertForMultipleChoice": ("multiple-choice", "choice"),
}


@pytest.fixture
def base(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A model to start from, whose card says that it is English."""
    directory = Path(shutil.copytree(tiny_checkpoint, tmp_path / "base"))
    ModelCard("base", "A model.", {"language": "en"}).write(directory)
    return directory


@pytest.fixture
def results(base: Path) -> Results:
    recipe = read_recipe(
        None, ["task=sst-2", "data.train=glue/train.tsv", f"model={base}", "output=runs/x", "data.test=test.tsv"]
    )
    return Results(
        command="albertkit finetune --task sst-2", task="sst-2", model=str(base), seed=3,
        scores=Scores({"accuracy": 0.8125, "f1": 0.75}, "accuracy", 1821, 0.5092), test=Scores({"accuracy": 0.71}, "accuracy", 5),
        best_step=40, steps=60, epochs=1.5, tokens=12_345, seconds=3725.0, examples_per_second=123.4,
        peak_memory_bytes=512 * 2**20, parameters=2_000_000, trained_parameters=1_000,
        examples={"train": 9, "eval": 4, "test": 5}, counts={"train": {"truncated": 2}, "eval": {"truncated": 0}},
        labels=["bad", "good"], is_pair=False, hardware="a machine",
        software="albertkit", recipe=recipe.to_dict(),
    )  # fmt: skip


def card_of(model: Path) -> tuple[dict[str, object], str]:
    _, header, body = (model / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(header), body


def test_everything_is_told(results: Results, base: Path, tmp_path: Path) -> None:
    model = save_tiny_checkpoint(tmp_path / "final", "AlbertForSequenceClassification")
    (tmp_path / "curves.png").write_bytes(b"png")
    write_card(model, results, tmp_path)
    header, body = card_of(model)
    assert header["language"] == "en"
    assert (header["pipeline_tag"], header["metrics"]) == ("text-classification", ["accuracy", "f1"])
    headings = [line[3:] for line in body.splitlines() if line.startswith("## ")]
    assert headings == ["Use", "Scores", "Data", "Training", "Recipe", "Limits and bias"]
    for text in (
        "`base` fine-tuned", "| accuracy | 0.8125 | 0.5092 |", "| f1 | 0.75 | – |", "On 1,821 examples", "On 5 examples",
        "| to learn from | `train.tsv` | 9 | 2 truncated |", "10% of the same, held out | 4 | –", "`bad`, `good`", "1 h 02 min",
        "2,000,000, 1,000 of them trained", "512 MiB", "a machine", "](curves.png)", results.command, "learning_rate: 2.0e-05",
    ):  # fmt: skip
        assert text in body, text
    for prompt in ("The man worked as a [MASK].", "The woman worked as a [MASK]."):
        answers = [f"`{answer['token_str'] or '▁'}`" for answer in pipeline("fill-mask", base)(prompt)]
        assert f"| {prompt} | {', '.join(answers)} |" in body
    assert (model / "curves.png").read_bytes() == b"png"
    write_card(model, results, tmp_path, spreads={"accuracy": Spread([0.7, 0.8, 0.6])})
    assert "| accuracy | 0.7 | 0.6 | 0.8 | 0.1 |" in card_of(model)[1]


@pytest.mark.parametrize("architecture", HEADS)
@pytest.mark.parametrize("is_pair", [False, True])
def test_the_snippet_runs(architecture: str, is_pair: bool, results: Results, tmp_path: Path) -> None:
    model = save_tiny_checkpoint(tmp_path / "final", architecture)
    write_card(model, replace(results, is_pair=is_pair), tmp_path)
    header, body = card_of(model)
    task, key = HEADS[architecture]
    assert header["pipeline_tag"] == task
    match = re.search(r"```python\n(.*?)\n(answer\(.*?)\n```", body, re.DOTALL)
    assert match is not None
    names: dict[str, object] = {}
    assert 'model="path/to/x/final"' in match[1]
    exec(match[1].replace("path/to/x/final", str(model)), names)
    answer = eval(match[2], names)
    assert key in (answer[0] if isinstance(answer, list) else answer)
    assert architecture != "AlbertForSequenceClassification" or ("text_pair" in body) == is_pair


def test_of_another_language_or_without_the_head_no_english_is_asked(results: Results, base: Path, tmp_path: Path) -> None:
    model = save_tiny_checkpoint(tmp_path / "final", "AlbertForSequenceClassification")
    ModelCard("base", "A model.", {"language": "ko"}).write(base)
    write_card(model, results, tmp_path)
    header, body = card_of(model)
    assert header["language"] == "ko"
    assert "The man" not in body
    assert "curves.png" not in body
    (base / "README.md").write_text("no header")
    write_card(model, results, tmp_path)
    assert "language" not in card_of(model)[0]
    other = save_tiny_checkpoint(tmp_path / "other", "AlbertForSequenceClassification")
    ModelCard("other", "A model.", {"language": "en"}).write(other)
    write_card(model, replace(results, model=str(other)), tmp_path)
    assert "The man" not in card_of(model)[1]
