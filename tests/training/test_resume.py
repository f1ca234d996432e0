"""Runs killed without warning, a full disk, and the best model."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from albertkit.checkpoints.storage import read_tensors
from albertkit.errors import TrainingError
from albertkit.training import monitoring, record
from albertkit.training.pretraining import pretrain
from albertkit.training.recipe import Recipe
from albertkit.training.state import remove_unfinished

pytestmark = pytest.mark.slow

MakeRecipe = Callable[..., Recipe]
TOOL = Path(__file__).parents[2] / "tools" / "kill_and_resume.py"


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kill_and_resume", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_run_killed_twice_is_the_same_to_the_bit(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(["--kills", "2"]) == 0
    assert "2 kills: the same to the last bit" in capsys.readouterr().out


def test_what_was_cut_off_is_removed_or_put_back(tmp_path: Path) -> None:
    for name in (".checkpoint-00000006.0a1b2c3d", ".best.old.0a1b2c3d", ".best.11111111", ".final.old.0a1b2c3d", "final"):
        (tmp_path / name).mkdir()
    (tmp_path / ".best.old.0a1b2c3d" / "config.json").touch()
    for name in (".log.jsonl.0a1b2c3d", ".notes", "log.jsonl"):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".notes", "best", "final", "log.jsonl"]
    assert (tmp_path / "best" / "config.json").is_file()  # the old one, for the new one was not yet whole


def test_a_log_on_a_full_disk_loses_nothing(make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pretrain(make_recipe())
    recipe = make_recipe()
    object.__setattr__(recipe, "output", str(tmp_path / "full"))
    dumps = json.dumps

    def fill_up(values: Any, **options: Any) -> str:
        if isinstance(values, dict) and values.get("event") == "train" and values["step"] == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return dumps(values, **options)

    monkeypatch.setattr(monitoring.json, "dumps", fill_up)
    with pytest.raises(TrainingError, match=r"the log must be writable; .*log.jsonl \(No space left on device\)"):
        pretrain(recipe)
    monkeypatch.undo()
    resumed = pretrain(recipe, resume=True)
    first, second = (read_tensors(outcome.directory / "model.safetensors").tensors for outcome in (whole, resumed))
    assert all((first[name] == second[name]).all() for name in first)
    steps = [json.loads(line)["step"] for line in (tmp_path / "full" / "log.jsonl").read_text().splitlines()]
    assert sorted(set(steps)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("keep_best", [True, False])
def test_the_best_model_is_kept(make_recipe: MakeRecipe, keep_best: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make_recipe(
        training={"evaluate_every_steps": 1, "save_every_steps": 1, "keep_checkpoints": 99, "keep_best": keep_best}
    )
    evaluate, losses = record.evaluate, iter([4.0, 3.0, 5.0, 3.5, 3.0, 3.1])
    monkeypatch.setattr(record, "evaluate", lambda *a, **k: replace(evaluate(*a, **k), masked_lm_loss=next(losses)))
    output = Path(recipe.output)
    assert pretrain(recipe).state.best_loss == 3.0
    assert (output / "best").exists() == keep_best
    if keep_best:
        scores = json.loads((output / "best" / "scores.json").read_text())
        assert (scores["step"], scores["masked_lm_loss"]) == (2, 3.0)
        kept = (output / "best" / "model.safetensors").read_bytes()
        assert kept == (output / "checkpoint-00000002" / "model.safetensors").read_bytes()
        assert (output / "best" / "spiece.model").is_file()
