"""The log of a run, and what TensorBoard sees of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from albertkit.errors import TrainingError
from albertkit.optional import MissingExtraError
from albertkit.training import monitoring
from albertkit.training.monitoring import Log, Progress, Window
from albertkit.training.state import TrainerState


def read_events(folder: Path, tag: str) -> list[tuple[int, float]]:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return [(event.step, pytest.approx(event.value)) for event in accumulator.Scalars(tag)]


def write_steps(log: Log, steps: range, scale: float) -> None:
    for step in steps:
        log.write("train", {"step": step, "loss": scale * step})


def test_a_resumed_log_has_every_step_once_in_both_forms(tmp_path: Path) -> None:
    path, events = tmp_path / "log.jsonl", tmp_path / "tensorboard"
    killed = Log(path, after_step=0, tensorboard=events)  # never closed, as after SIGKILL
    write_steps(killed, range(1, 6), 1.0)
    killed.write("evaluation", {"step": 5, "masked_lm_accuracy": 0.25, "digest": "ab"})
    assert read_events(events, "train/loss") == [(step, float(step)) for step in range(1, 6)]
    assert read_events(events, "evaluation/masked_lm_accuracy") == [(5, 0.25)]
    with path.open("a") as file:
        file.write('{"event": "train", "st')
    with Log(path, after_step=3, tensorboard=events) as resumed:
        write_steps(resumed, range(4, 7), 10.0)
    wanted = [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0), (5, 50.0), (6, 60.0)]
    assert read_events(events, "train/loss") == wanted
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == wanted
    killed._events.close()
    killed._file.close()


def test_only_finite_numbers_of_training_and_evaluation_are_drawn(tmp_path: Path) -> None:
    with Log(tmp_path / "log.jsonl", after_step=0, tensorboard=tmp_path / "tensorboard") as log:
        log.write("train", {"step": 1, "loss": math.nan, "grad_norm": 2.0})
        log.write("checkpoint", {"step": 1, "directory": "checkpoint-00000001", "bytes": 7})
    accumulator = EventAccumulator(str(tmp_path / "tensorboard"))
    accumulator.Reload()
    assert accumulator.Tags()["scalars"] == ["train/grad_norm"]
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])["loss"] is None


def test_without_tensorboard_nothing_of_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str, purpose: str | None = None) -> Any:
        raise MissingExtraError(f"{purpose} needs {module}")

    monkeypatch.setattr(monitoring.optional, "require", missing)
    with Log(tmp_path / "log.jsonl", after_step=0) as log:
        write_steps(log, range(1, 3), 1.0)
    with pytest.raises(MissingExtraError, match="tensorboard"):
        Log(tmp_path / "log.jsonl", after_step=2, tensorboard=tmp_path / "events")
    assert not (tmp_path / "events").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="the log must be writable"):
        Log(tmp_path / "file" / "log.jsonl", after_step=0)
    with pytest.raises(TrainingError, match="the log must be writable"):
        Log(tmp_path / "log.jsonl", after_step=0, tensorboard=tmp_path / "file" / "events")


def test_rates_are_those_since_the_last_line() -> None:
    state = TrainerState(total_steps=9, tokens=1000, flops=10**15, seconds=50.0)  # of a resumed run
    window = Window(state, matrix_rate=4e12)
    for loss in (3.0, 1.0):
        state.step, state.tokens = state.step + 1, state.tokens + 300
        state.flops, state.seconds = state.flops + 10**12, state.seconds + 1
        window.add({"loss": loss, "learning_rate": 0.5})
    line = window.close()
    assert (line["step"], line["loss"], line["tokens"]) == (2, 2.0, 1600)
    assert (line["tokens_per_second"], line["tflops"], line["mfu"]) == (300.0, 1.0, 0.25)
    state.step, state.flops, state.seconds = 3, state.flops + 8 * 10**12, state.seconds + 4
    window.add({"loss": 1.0, "learning_rate": 0.5})
    assert window.close()["mfu"] == window.mfu == 0.5


def test_the_line_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(2000)
    for step in (500, 501):  # the second too soon
        progress.show(step, "loss 2.500", "lr 1.00e-03", seconds_left=3900.0)
    shown = "step 500/2,000 (25.0%)  loss 2.500  lr 1.00e-03  1 h 05 min left\n"
    assert capsys.readouterr().err == shown
