"""Several seeds: a run each, median and spread of all, and the best one's model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from albertkit.training.finetuning import record
from albertkit.training.finetuning.finetune import finetune
from albertkit.training.finetuning.recipe import read_recipe
from albertkit.training.finetuning.results import Results, Spread


def test_spread_is_that_of_the_textbook() -> None:
    values = [0.5, 0.9, 0.6, 0.8]
    spread = Spread(values)
    assert (spread.median, spread.deviation) == pytest.approx((np.median(values), np.std(values, ddof=1)))
    assert Spread([0.5]).to_dict() == {"median": 0.5, "min": 0.5, "max": 0.5, "standard_deviation": 0.0, "values": [0.5]}


def test_the_best_seed_is_the_final_one(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "is_installed", lambda _: False)  # pictures take longer than the runs
    monkeypatch.setattr("albertkit.optional.is_installed", lambda _: False)
    rows = [f"the {animal} sat in {place},{animal}" for place in ("paris", "france", "new york") for animal in ("cat", "dog")]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    seeds = [3, 4, 5]
    recipe = read_recipe(None, [
        "task=text-classification", f"model={tiny_checkpoint}", f"output={tmp_path / 'runs'}", f"data.train={tmp_path / 't.csv'}",
        f"data.eval={tmp_path / 't.csv'}", "data.workers=1", "schedule.total_steps=4", "optimizer.learning_rate=0.003",
        "training.examples_per_batch=4", f"training.seeds={seeds}", "training.device=cpu",
    ])  # fmt: skip
    outcome = finetune(recipe)
    output = tmp_path / "runs"
    assert outcome.directory == output / "final"
    found = [Results.read(output / f"seed-{seed}") for seed in seeds]
    scores = [one.scores.main for one in found]
    content = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert content["best_seed"] == outcome.seed == seeds[int(np.argmax(scores))]
    assert content["scores"]["accuracy"] == Spread(scores).to_dict()
    assert list(content["seeds"]) == [str(seed) for seed in seeds]
    best = output / f"seed-{outcome.seed}" / "final"
    assert (outcome.directory / "model.safetensors").read_bytes() == (best / "model.safetensors").read_bytes()
    card = (outcome.directory / "README.md").read_text(encoding="utf-8")
    assert f"| accuracy | {np.median(scores):.4g} | {min(scores):.4g} | {max(scores):.4g} |" in card
    assert f"number {outcome.seed}" in card
    shown = capsys.readouterr().err
    assert f"3 seeds, of which {outcome.seed} is the best:" in shown
    assert "no picture of the curves" in shown
    assert "--training.seeds '[3, 4, 5]'" in shown
