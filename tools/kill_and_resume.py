"""Kill a small pre-training run with SIGKILL at random moments, resume it each time, and compare it with one left in peace.

    python tools/kill_and_resume.py --kills 50

Two kills of five wait for a checkpoint or a model that is just being written, two for a step, one comes while the run starts.
Weights, moments and scores must be the same to the last bit. The exit status is 1 if they are not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import yaml

from albertkit.data.options import DataRecipe
from albertkit.data.prepare import prepare
from albertkit.testing import tiny_config
from albertkit.testing.vocabulary import tiny_vocabulary
from albertkit.tokenization.tokenizer import AlbertTokenizer

STEPS_A_KILL = 8
SAVE_EVERY_STEPS = 3
ANIMALS, PLACES = ("cat", "dog", "model"), ("paris", "france")
COMPARED = ("final/model.safetensors", "best/model.safetensors", "best/scores.json")
NUMBERS = ("vocab_size", "embedding_size", "hidden_size", "num_attention_heads", "intermediate_size", "num_hidden_layers",
           "num_hidden_groups", "inner_group_num", "max_position_embeddings")  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="how often to kill (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return compare(Path(folder), options.kills, random.Random(options.seed))


def compare(folder: Path, kills: int, chance: random.Random) -> int:
    """Make both runs in ``folder``, print a table, and return the exit status."""
    recipe = write_recipe(folder, total_steps=STEPS_A_KILL * (kills + 1))
    if start(recipe, folder / "whole").wait() != 0:
        raise SystemExit(f"the run left in peace failed:\n{errors_of(folder / 'whole').read_text()}")
    print(f"{'kill':>5} {'step':>6} {'newest checkpoint':>20}  killed while")
    output = folder / "killed"
    for number, target in enumerate(sorted(chance.sample(range(1, STEPS_A_KILL * kills), kills)), 1):
        moment = kill(recipe, output, target, chance)
        newest = max((path.name for path in output.glob("checkpoint-*")), default="none")
        print(f"{number:5} {last_step(output):6} {newest:>20}  {moment}", flush=True)
    if start(recipe, output).wait() != 0:
        raise SystemExit(f"the killed run did not resume:\n{errors_of(output).read_text()}")
    differences = [name for name, is_same in compare_files(folder / "whole", output) if not is_same]
    print(f"{kills} kills: {'DIFFERENT: ' + ', '.join(differences) if differences else 'the same to the last bit'}")
    return 1 if differences else 0


def kill(recipe: Path, output: Path, target: int, chance: random.Random) -> str:
    """Start or resume the run, kill it while it starts, at step ``target`` or when it saves next, and say which it was."""
    wanted = chance.choice(["starting", "training", "training", "saving", "saving"])
    left_before, log_before = set(output.glob(".*")), find_inode(output / "log.jsonl")
    process = start(recipe, output)

    def has_begun() -> bool:  # resuming writes the log anew
        return find_inode(output / "log.jsonl") not in (None, log_before)

    def is_saving() -> bool:
        return bool(set(output.glob(".*")) - left_before)

    if wanted == "starting":
        time.sleep(chance.random() * 2)
    else:
        wait_for(process, lambda: has_begun() and last_step(output) >= target)
        if wanted == "saving":
            wait_for(process, is_saving)
        time.sleep(chance.random() * 0.02)
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        said = errors_of(output).read_text()
        raise SystemExit(f"the run ended by itself with status {process.returncode}, before its kill at {target}:\n{said}")
    return "saving" if is_saving() else "training" if has_begun() else "starting"


def start(recipe: Path, output: Path) -> subprocess.Popen[bytes]:
    """The run as a process, which resumes where there is something to resume."""
    command = [sys.executable, "-m", "albertkit", "pretrain", str(recipe), "--output", str(output), "--resume"]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"OMP_NUM_THREADS": "1", **os.environ}
    )


def wait_for(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    while not condition() and process.poll() is None:
        time.sleep(0.001)


def last_step(output: Path) -> int:
    """The step of the log's last whole line on training; 0 if there is none."""
    log = output / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
    steps = [json.loads(line)["step"] for line in lines if line.endswith("\n")]
    return max(steps, default=0)


def find_inode(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def compare_files(first: Path, second: Path) -> list[tuple[str, bool]]:
    """For each file that must be the same, whether it is."""
    newest = max(path.name for path in first.glob("checkpoint-*"))
    names = [*COMPARED, f"{newest}/model.safetensors", f"{newest}/optimizer.safetensors"]
    return [(name, (first / name).read_bytes() == (second / name).read_bytes()) for name in names]


def write_recipe(folder: Path, total_steps: int) -> Path:
    """A corpus of small sentences, prepared, and a recipe for the tiny model with dropout and two stages."""
    sentences = [f"The {a} sat in {p}. It was that {b} by {p}." for a, p, b in product(ANIMALS, PLACES, ANIMALS)]
    documents = [" ".join(sentences[number % 18 : number % 18 + 4]) for number in range(60)]
    (folder / "text.txt").write_text("\n\n".join(documents), encoding="utf-8")
    AlbertTokenizer(vocabulary=tiny_vocabulary()).save_pretrained(folder / "tokenizer")
    data = {"sources": [str(folder / "text.txt")], "tokenizer": str(folder / "tokenizer"), "output": str(folder / "prepared")}
    prepare(DataRecipe(**data, held_out=6))
    content = {
        "data": {**data, "held_out": 6},
        "output": str(folder / "run"),
        "examples": {"max_seq_length": 24},
        "model": {name: getattr(tiny_config(), name) for name in NUMBERS} | {"hidden_dropout_prob": 0.1},
        "optimizer": {"name": "lamb", "learning_rate": 0.003},
        "schedule": {"total_steps": total_steps, "warmup_steps": 2,
                     "stages": [{"from_step": total_steps // 2, "max_seq_length": 40}]},
        "training": {"examples_per_batch": 4, "micro_batch_tokens": 60, "log_every_steps": 1, "evaluate_every_steps": 4,
                     "save_every_steps": SAVE_EVERY_STEPS, "keep_checkpoints": 2},
        "evaluation": {"num_examples": 6, "max_seq_length": 32},
    }  # fmt: skip
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
