"""Several processes make one run: the loss of one process, one voice, and one end."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from albertkit.training.pretraining import pretrain
from albertkit.training.recipe import read_recipe

pytestmark = pytest.mark.slow

WriteRecipe = Callable[..., Path]
SECONDS = 300  # a process that hangs is a failure, a busy machine is none


@pytest.fixture
def start_two() -> Iterator[Callable[..., list[subprocess.Popen[str]]]]:
    """A function that starts a command as two processes; none of them is left behind."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> list[subprocess.Popen[str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
        command = [sys.executable, "-m", "albertkit", "pretrain", *words]
        for rank in ("0", "1"):
            environment = os.environ | place | {"RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"}
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            started.append(subprocess.Popen(command, env=environment, text=True, **pipes))
        return started

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_log(output: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def torchrun(*words: str | Path, limit: str = "unlimited", **environment: str) -> subprocess.CompletedProcess[str]:
    """Two processes; no file they write may have more blocks than the limit."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        ["sh", "-c", f'ulimit -f {limit}; exec "$@"', "sh", *command, "-m", "albertkit", "pretrain", *map(str, words)],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_torchrun_gives_the_loss_of_one_process(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    path = write_recipe(
        model={"hidden_dropout_prob": 0.0},
        schedule={"total_steps": 10},
        # One or two sequences a batch, each a part of its own: shares are unequal, or empty.
        training={"examples_per_batch": None, "tokens_per_batch": 40, "micro_batch_tokens": 20, "save_every_steps": 4},
    )
    alone = read_recipe(path)
    whole = pretrain(alone)
    done = torchrun(path, "--output", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained 10 steps") == 1
    two = read_log(tmp_path / "two", "train")
    assert_same_losses(read_log(whole.directory.parent, "train"), two)
    held_out = [read_log(output, "evaluation")[-1] for output in (whole.directory.parent, tmp_path / "two")]
    assert held_out[0]["masked_lm_loss"] == pytest.approx(held_out[1]["masked_lm_loss"], rel=1e-5)

    # From the middle of the run of one process, two go on.
    resumed = tmp_path / "resumed"
    resumed.mkdir()
    shutil.copy(whole.directory.parent / "log.jsonl", resumed)
    shutil.copytree(whole.directory.parent / "checkpoint-00000004", resumed / "checkpoint-00000004")
    done = torchrun(path, "--output", resumed, "--resume")
    assert done.returncode == 0, done.stderr
    assert_same_losses(two, read_log(resumed, "train"))


def assert_same_losses(first: list[dict[str, float]], second: list[dict[str, float]]) -> None:
    assert [line["step"] for line in first] == [line["step"] for line in second] == list(range(1, 11))
    for one, other in zip(first, second, strict=True):
        assert one["tokens"] == other["tokens"]
        for name in ("loss", "mlm_loss", "sop_loss", "grad_norm"):
            assert one[name] == pytest.approx(other[name], rel=1e-5), (name, one["step"])


def test_a_full_disk_ends_all_with_one_sentence(write_recipe: WriteRecipe) -> None:
    path = write_recipe()
    done = torchrun(path, limit="20")  # at most 20 KiB, and the weights have 38
    assert done.returncode == 1
    assert re.findall("albertkit: error: .*", done.stderr) == re.findall(".* a checkpoint must be written whole.*", done.stderr)
    assert done.stderr.count("albertkit: error:") == 1
    assert not list((path.parent / "run").glob(".*"))


def test_a_mistake_in_the_recipe_is_told_once(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    # torchrun ends all processes with the first; the one that speaks is heard though it starts late.
    late = "import os, time\nif os.environ.get('LOCAL_RANK') == '0':\n    time.sleep(2)\n"
    (tmp_path / "sitecustomize.py").write_text(late)
    for changes, message in (({"device": "abacus"}, "device must be one"), ({"sead": 3}, "did you mean seed?")):
        done = torchrun(write_recipe(training=changes), PYTHONPATH=str(tmp_path))
        assert done.returncode == 1
        assert done.stderr.count("albertkit: error:") == done.stderr.count(message) == 1


def test_a_signal_to_one_process_stops_all(write_recipe: WriteRecipe, start_two: Callable) -> None:
    path = write_recipe(schedule={"total_steps": 1_000_000}, training={"save_every_steps": 1_000_000})
    both = start_two(str(path))
    log = path.parent / "run" / "log.jsonl"
    deadline = time.monotonic() + SECONDS
    while not (log.exists() and log.read_text().count("\n") > 2) and time.monotonic() < deadline:
        time.sleep(0.01)
    both[1].send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=SECONDS) for process in both]
    assert [process.returncode for process in both] == [128 + signal.SIGTERM] * 2
    assert "stopped by SIGTERM after step" in outputs[0][1]
    assert outputs[1] == ("", "")
    (checkpoint,) = (path.parent / "run").glob("checkpoint-*")
    state = json.loads((checkpoint / "trainer.json").read_text())["state"]
    assert checkpoint.name == f"checkpoint-{state['step']:08d}"
