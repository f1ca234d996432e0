"""Two processes fine-tune as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from albertkit.testing import save_tiny_checkpoint
from albertkit.training.finetuning.finetune import finetune
from albertkit.training.finetuning.recipe import read_recipe

pytestmark = pytest.mark.slow


def read_log(output: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def test_torchrun_gives_the_loss_of_one_process(tmp_path: Path) -> None:
    model = save_tiny_checkpoint(tmp_path / "tiny")
    animals, places = ("cat", "dog", "model"), ("paris", "france", "new york")
    words = [f"the {animal} sat in {place}".split() for animal in animals for place in places]
    rows = [{"words": text, "tags": ["B-X" if word in animals else "O" for word in text]} for text in words]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {
        "task": "token-classification", "model": model, "data.train": tmp_path / "rows.jsonl",
        "data.eval": tmp_path / "rows.jsonl", "data.workers": 1, "optimizer.learning_rate": 0.001, "schedule.total_steps": 10,
        # Two or three sentences of unequal lengths for one process, one or two for the other, each a part of its own.
        "training.examples_per_batch": 3, "training.micro_batch_tokens": 8, "training.log_every_steps": 1,
        "training.patience": 99,
    }  # fmt: skip
    finetune(read_recipe(None, [f"{key}={value}" for key, value in {**values, "output": tmp_path / "one"}.items()]))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "albertkit"]
    flags = [word for key, value in {**values, "output": tmp_path / "two"}.items() for word in (f"--{key}", str(value))]
    done = subprocess.run(
        [*command, "finetune", *flags],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the model is in") == 1
    one, two = (read_log(tmp_path / name, "train") for name in ("one", "two"))
    assert [line["step"] for line in one] == [line["step"] for line in two] == list(range(1, 11))
    for first, second in zip(one, two, strict=True):
        assert first["tokens"] == second["tokens"]
        for name in ("loss", "grad_norm"):
            assert first[name] == pytest.approx(second[name], rel=1e-5), (name, first["step"])
    scores = [[line["accuracy"] for line in read_log(tmp_path / name, "evaluation")] for name in ("one", "two")]
    assert scores[0] == scores[1]
