"""The fixed test on held-out documents: pinned by a digest, and the same from a run and from the command."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from albertkit.cli.main import main
from albertkit.data.batches import PretrainingData
from albertkit.data.examples import PretrainingBatch
from albertkit.errors import DataError
from albertkit.training.evaluation import Scores, digest_of, held_out_batches
from albertkit.training.pretraining import pretrain
from albertkit.training.recipe import EvaluationRecipe, Recipe

MakeRecipe = Callable[..., Recipe]
WriteRecipe = Callable[..., Path]


def make_batches(prepared: Path, recipe: EvaluationRecipe) -> list[PretrainingBatch]:
    folder = prepared / "prepared"
    return held_out_batches(PretrainingData(folder, split="held_out", options=recipe.examples, seed=recipe.seed), recipe)


def test_the_digest_names_the_examples_and_nothing_else(prepared: Path) -> None:
    recipe = EvaluationRecipe(num_examples=6, max_seq_length=32)
    batches = make_batches(prepared, recipe)
    digest = digest_of(batches)
    assert digest == digest_of(make_batches(prepared, replace(recipe, tokens_per_batch=40)))
    assert digest != digest_of(make_batches(prepared, replace(recipe, seed=1)))
    assert digest != digest_of(make_batches(prepared, replace(recipe, num_examples=5)))
    for name in ("input_ids", "token_type_ids", "labels", "sentence_order_label"):
        changed = getattr(batches[0], name).copy()
        changed[-1] += 1
        assert digest != digest_of([replace(batches[0], **{name: changed}), *batches[1:]]), name


def test_other_examples_than_the_recipe_pins_are_refused(prepared: Path) -> None:
    recipe = EvaluationRecipe(num_examples=6, max_seq_length=32)
    pinned = replace(recipe, digest=digest_of(make_batches(prepared, recipe)))
    make_batches(prepared, pinned)
    with pytest.raises(DataError, match=r"must be those of evaluation\.digest"):
        make_batches(prepared, replace(pinned, seed=1))


def test_standard_errors_are_said() -> None:
    scores = Scores(
        masked_lm_accuracy=0.2, majority_accuracy=0.05, masked_lm_loss=5.0, sentence_order_accuracy=0.5,
        sentence_order_loss=0.7, predicted_tokens=10_000, sequences=512, digest="",
    )  # fmt: skip
    assert scores.sentence_order_error == pytest.approx(0.5 / math.sqrt(512))
    assert "20.00% ± 0.40%" in str(scores)
    assert "50.0% ± 2.2%" in str(scores)


@pytest.mark.slow
def test_the_command_gives_the_scores_of_the_run(write_recipe: WriteRecipe, make_recipe: MakeRecipe, capsys) -> None:
    recipe = make_recipe()
    scores = pretrain(recipe).scores
    assert scores is not None
    log = [json.loads(line) for line in (Path(recipe.output) / "log.jsonl").read_text().splitlines()]
    assert [line["digest"] for line in log if line["event"] == "evaluation"][-1] == scores.digest
    path = str(write_recipe())
    capsys.readouterr()
    assert main(["evaluate", path, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["held_out"].pop("masked_lm_loss") == pytest.approx(scores.masked_lm_loss, rel=1e-5)
    assert report["held_out"].pop("sentence_order_loss") == pytest.approx(scores.sentence_order_loss, rel=1e-5)
    assert report["held_out"].items() <= scores.to_dict().items()
    assert "cloze" not in report
    assert main(["evaluate", path, "--data.language", "en"]) == 0
    page = capsys.readouterr().out
    assert scores.digest in page
    assert "not scorable" in page


def test_a_model_of_another_vocabulary_is_refused(write_recipe: WriteRecipe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(write_recipe()), "--model", "albert-mini-en"]) == 1
    assert "prepared with the checkpoint's tokenizer" in capsys.readouterr().err
