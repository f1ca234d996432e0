"""A whole run on the tiny model: it learns, resumes to the bit, and survives what can go wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from albertkit.checkpoints.storage import read_tensors
from albertkit.cli.main import main
from albertkit.errors import CheckpointError, ConfigError, DataError, TrainingError
from albertkit.models.torch import AlbertForMaskedLM
from albertkit.models.torch.encoder import AlbertLayerGroup
from albertkit.training import state
from albertkit.training.distributed import Processes
from albertkit.training.loop import made_ahead
from albertkit.training.pretraining import pretrain
from albertkit.training.recipe import Recipe
from albertkit.training.run import Run

pytestmark = pytest.mark.slow

MakeRecipe = Callable[..., Recipe]
THREE_STEPS = {"total_steps": 3, "warmup_steps": 0}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def read_log(recipe: Recipe, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (Path(recipe.output) / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def read_weights(directory: Path) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in read_tensors(directory / "model.safetensors").tensors.items()}


def assert_same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def test_a_run_leaves_a_log_checkpoints_and_a_model(make_recipe: MakeRecipe, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = make_recipe()
    outcome = pretrain(recipe)
    lines = read_log(recipe, "train")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert all(line["loss"] == pytest.approx(line["mlm_loss"] + line["sop_loss"], rel=1e-6) for line in lines)
    assert [line["learning_rate"] for line in lines] == pytest.approx([0, *(0.003 * (1 - s / 6) for s in range(1, 6))])
    assert lines[-1]["tokens"] == outcome.state.tokens > 0
    assert all(line["tflops"] > 0 and line["mfu"] > 0 for line in lines)
    assert [path.name for path in state.list_checkpoints(Path(recipe.output))] == [f"checkpoint-{s:08d}" for s in (2, 4, 6)]
    assert read_log(recipe, "evaluation")[-1]["sequences"] == 6
    model = AlbertForMaskedLM.from_pretrained(outcome.directory)
    assert model.config.vocab_size == 101
    assert (outcome.directory / "spiece.model").is_file()
    assert "held out: masked LM accuracy" in capsys.readouterr().err


@pytest.mark.parametrize(("optimizer", "rate", "reached"), [("adamw", 0.02, 0.3), ("lamb", 0.006, 2.2), ("muon", 0.006, 1.0)])
def test_one_batch_is_learnt_by_heart(make_recipe: MakeRecipe, optimizer: str, rate: float, reached: float) -> None:
    recipe = make_recipe(
        model={"hidden_dropout_prob": 0.0, "num_hidden_layers": 2, "initializer_range": 0.2},
        optimizer={"name": optimizer, "learning_rate": rate},
        schedule={"total_steps": 240, "warmup_steps": 5},
        training={"examples_per_batch": 8},
    )
    run = Run.load(recipe, Processes(), resume=False)
    with run.batches as batches:
        batch = next(batches)
    losses = [run.take_step(batch) for _ in range(120)]
    assert losses[0]["mlm_loss"] == pytest.approx(np.log(101), rel=0.1)
    assert losses[0]["sop_loss"] == pytest.approx(np.log(2), rel=0.2)
    assert losses[-1]["mlm_loss"] < reached
    assert losses[-1]["sop_loss"] < 0.3


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_stopped_run_resumes_to_the_bit(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    whole = pretrain(make_recipe(optimizer={"name": optimizer}))
    recipe = make_recipe(optimizer={"name": optimizer})
    object.__setattr__(recipe, "output", str(tmp_path / "stopped"))
    take_step = Run.take_step

    def stop_after_three(run: Any, batch: Any) -> dict[str, float]:
        values = take_step(run, batch)
        if run.state.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return values

    monkeypatch.setattr(Run, "take_step", stop_after_three)
    stopped = pretrain(recipe)
    assert (stopped.stopped_by, stopped.state.step) == (signal.SIGTERM, 3)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    monkeypatch.undo()
    resumed = pretrain(recipe, resume=True)
    assert_same(read_weights(whole.directory), read_weights(resumed.directory))
    assert resumed.scores == whole.scores
    assert [line["step"] for line in read_log(recipe, "train")] == [1, 2, 3, 4, 5, 6]
    assert "batches" not in [thread.name for thread in threading.enumerate()]


def test_a_killed_run_resumes_to_the_bit(make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pretrain(make_recipe(optimizer={"name": "lamb"}))
    recipe = make_recipe(optimizer={"name": "lamb"})
    object.__setattr__(recipe, "output", str(tmp_path / "killed"))
    take_step = Run.take_step

    def die_in_step_six(run: Any, batch: Any) -> dict[str, float]:
        if run.state.step == 5:
            raise RuntimeError("power cut")
        return take_step(run, batch)

    monkeypatch.setattr(Run, "take_step", die_in_step_six)
    with pytest.raises(RuntimeError, match="power cut"):
        pretrain(recipe)
    monkeypatch.undo()
    unfinished = Path(recipe.output) / ".checkpoint-00000006.0a1b2c3d"
    unfinished.mkdir()
    resumed = pretrain(recipe, resume=True)  # from step 4, whose successor is made again
    assert_same(read_weights(whole.directory), read_weights(resumed.directory))
    assert [line["step"] for line in read_log(recipe, "train")] == [1, 2, 3, 4, 5, 6]
    assert not unfinished.exists()


def test_a_damaged_checkpoint_is_named_and_the_one_before_used(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe()
    whole = read_weights(pretrain(recipe).directory)
    shutil.rmtree(Path(recipe.output) / "final")
    newest = Path(recipe.output) / "checkpoint-00000006"
    content = bytearray((newest / "optimizer.safetensors").read_bytes())
    content[-1] ^= 1
    (newest / "optimizer.safetensors").write_bytes(content)
    (Path(recipe.output) / "checkpoint-00000004" / "trainer.json").unlink()
    with pytest.warns(UserWarning, match="must be as it was written") as caught:
        resumed = pretrain(recipe, resume=True)
    messages = [str(warning.message) for warning in caught]
    assert "checkpoint-00000006 (optimizer.safetensors was changed since)" in messages[0]
    assert "checkpoint-00000004 (" in messages[1]
    assert_same(whole, read_weights(resumed.directory))


def test_only_damaged_checkpoints_are_an_error(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    (Path(recipe.output) / "checkpoint-00000001").mkdir(parents=True)
    with pytest.warns(UserWarning, match="checkpoint-00000001"), pytest.raises(CheckpointError, match="must be whole"):
        pretrain(recipe, resume=True)


def test_what_is_not_finite_stops_before_the_update(make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make_recipe(training={"micro_batch_tokens": 60})
    losses = Run._losses
    seen = {}

    def spoil(run: Any, *arguments: Any) -> Any:
        for number, (mlm_loss, sop_loss) in enumerate(losses(run, *arguments)):
            if run.state.step == 4 and number == 1:  # the second part alone
                seen["before"] = {name: tensor.detach().clone() for name, tensor in run.model.state_dict().items()}
                seen["model"] = run.model
                yield mlm_loss * torch.nan, sop_loss
            else:
                yield mlm_loss, sop_loss

    monkeypatch.setattr(Run, "_losses", spoil)
    with pytest.raises(TrainingError) as caught:
        pretrain(recipe)
    message = str(caught.value)
    assert "must stay finite; received loss nan" in message
    assert "at step 5, which was not applied" in message
    assert "The last checkpoint is" in message
    assert "checkpoint-00000004" in message
    assert all(torch.equal(tensor, seen["before"][name]) for name, tensor in seen["model"].state_dict().items())
    monkeypatch.undo()
    assert pretrain(recipe, resume=True).state.step == 6


def test_a_full_disk_keeps_what_is_there(make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make_recipe()
    write = state.write_tensors

    def fill_up(path: Path, *arguments: Any, **options: Any) -> None:
        if "00000004" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, *arguments, **options)

    monkeypatch.setattr(state, "write_tensors", fill_up)
    with pytest.raises(CheckpointError, match=r"checkpoint-00000004 \(No space left on device\)"):
        pretrain(recipe)
    names = sorted(path.name for path in Path(recipe.output).iterdir())
    assert names == ["checkpoint-00000002", "log.jsonl"]  # nothing hidden, nothing half-written
    monkeypatch.undo()
    assert pretrain(recipe, resume=True).state.step == 6


def test_parts_of_a_batch_give_the_same_update(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    changes = {"model": {"hidden_dropout_prob": 0.0}, "schedule": {"total_steps": 10, "warmup_steps": 0}}
    whole = make_recipe(training={"examples_per_batch": 8}, **changes)
    parts = make_recipe(training={"examples_per_batch": 8, "micro_batch_tokens": 60}, **changes)
    object.__setattr__(parts, "output", str(tmp_path / "parts"))
    pretrain(whole)
    pretrain(parts)
    for first, second in zip(read_log(whole, "train"), read_log(parts, "train"), strict=True):
        assert first["tokens"] == second["tokens"]
        for name in ("loss", "mlm_loss", "sop_loss", "grad_norm"):
            assert first[name] == pytest.approx(second[name], rel=1e-5), name


def test_bfloat16_and_a_token_budget(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(training={"examples_per_batch": None, "tokens_per_batch": 96, "dtype": "bfloat16"}, schedule=THREE_STEPS)
    outcome = pretrain(recipe)
    assert 0 < outcome.state.tokens <= 3 * 96
    assert read_tensors(outcome.directory / "model.safetensors").dtype == "float32"


def test_the_compiler_gets_every_group_of_layers(make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(AlbertLayerGroup, "compile", lambda group, **options: compiled.append(options))
    Run.load(make_recipe(), Processes(), resume=False)
    assert not compiled
    Run.load(make_recipe(training={"compile": True}), Processes(), resume=False)
    assert compiled == [{"dynamic": True}] * 2


def test_only_the_newest_checkpoints_are_kept(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(training={"keep_checkpoints": 1})
    pretrain(recipe)
    assert [path.name for path in state.list_checkpoints(Path(recipe.output))] == ["checkpoint-00000006"]


def test_a_trapezoid_falls_in_time(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(
        schedule={"total_steps": 10_000, "warmup_steps": 1, "decay": "trapezoid", "decay_steps": 5},
        training={"max_hours": 1e-9, "save_every_steps": 1000},
    )
    outcome = pretrain(recipe)
    rates = [line["learning_rate"] for line in read_log(recipe, "train")]
    assert outcome.state.step == outcome.state.total_steps < 20
    assert rates[-5:] == pytest.approx([0.003 * left / 5 for left in (5, 4, 3, 2, 1)])


def test_a_run_is_not_mixed_with_another(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(schedule=THREE_STEPS)
    pretrain(recipe)
    with pytest.raises(TrainingError, match="go on with --resume"):
        pretrain(recipe)
    with pytest.raises(ConfigError, match=r"training\.seed of a resumed run must be as at its start"):
        pretrain(make_recipe(schedule=THREE_STEPS, training={"seed": 1}), resume=True)


def test_model_and_data_must_fit(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"received 102, and .* was prepared with 101; write vocab_size: 101"):
        pretrain(make_recipe(model={"vocab_size": 102}))
    with pytest.raises(DataError):
        pretrain(make_recipe(data={"output": str(tmp_path / "absent")}))
    with pytest.raises(TrainingError, match="device must be one that PyTorch can use here; received abacus"):
        pretrain(make_recipe(training={"device": "abacus"}))
    assert not (tmp_path / "run").exists()


def test_the_command_trains_and_tells_where(write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = write_recipe()
    assert main(["pretrain", str(path), "--schedule.total_steps", "2", "--training.seed", "7"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("trained 2 steps")
    assert "Traceback" not in captured.err
    assert main(["pretrain", str(path)]) == 1
    assert "choose another output" in capsys.readouterr().err


def test_errors_of_the_thread_reach_the_loop() -> None:
    def items() -> Any:
        yield 1
        raise DataError("a shard must be whole")

    with made_ahead(items()) as ahead:
        assert next(ahead) == 1
        with pytest.raises(DataError, match="must be whole"):
            next(ahead)
