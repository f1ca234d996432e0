"""Any number of processes writes the same folder; one that dies, or Ctrl-C, leaves nothing half-written and nobody behind."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from albertkit.data import blocks
from albertkit.data.options import DataRecipe
from albertkit.data.prepare import Progress, prepare
from albertkit.data.workers import count_cores, map_in_order
from albertkit.errors import DataError

pytestmark = pytest.mark.slow

WORDS = ["the", "river", "old", "man", "ran", "to", "of", "and", "was", "very", "small", "green", "far", "home", "書"]


def make_slow_square(seconds: float) -> Callable[[int], tuple[int, int]]:
    return partial(_square, seconds)


def _square(seconds: float, number: int) -> tuple[int, int]:
    if number == -1:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == -2:
        raise DataError("a number must be a number")
    time.sleep(seconds * (number % 3))  # later items are done before earlier ones
    return os.getpid(), number * number


@pytest.fixture
def recipe(tmp_path: Path) -> DataRecipe:
    """About 60 blocks, once their size is made smaller."""
    generator = random.Random(0)
    documents = [
        "\n".join(
            " ".join(generator.choices(WORDS, k=generator.randrange(1, 30))).capitalize() + "." for _ in range(number % 9 + 1)
        )
        for number in range(1200)
    ]
    (tmp_path / "a.txt").write_text("\n\n".join(documents), encoding="utf-8")
    source, output = str(tmp_path / "a.txt"), str(tmp_path / "out")
    return DataRecipe(sources=[source], tokenizer="albert-mini-en", output=output, held_out=25, exclude=["headers"])


def read_hashes(directory: str) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(directory).rglob("*")
        if path.is_file()
    }


def find_children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_results_come_in_order_from_all_workers_and_no_more_is_taken_than_needed() -> None:
    taken = 0

    def count() -> Iterator[int]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield number

    results = map_in_order(partial(make_slow_square, 0.01), count(), 3)
    pids = set()
    for number, (pid, square) in enumerate(results):
        assert square == number * number
        assert taken <= number + 7
        pids.add(pid)
    assert taken == 40
    assert 2 <= len(pids) <= 3
    assert os.getpid() not in pids


def test_one_worker_or_one_item_starts_no_process() -> None:
    own = os.getpid()
    assert list(map_in_order(partial(make_slow_square, 0), [1, 2], 1)) == [(own, 1), (own, 4)]
    assert list(map_in_order(partial(make_slow_square, 0), [3], 8)) == [(own, 9)]
    assert list(map_in_order(partial(make_slow_square, 0), [], 8)) == []
    assert 1 <= count_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(("item", "message"), [(-1, "must stay alive.*fewer workers"), (-2, "must be a number")])
def test_a_worker_that_dies_or_fails_ends_it_in_one_sentence(item: int, message: str) -> None:
    with pytest.raises(DataError, match=message) as failure:
        list(map_in_order(partial(make_slow_square, 0), [1, 2, 3, item, *range(20)], 2))
    assert "\n" not in str(failure.value)


def test_any_number_of_workers_writes_the_same_bytes(recipe: DataRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_BLOCK_CHARACTERS", 10_000)
    written = {}
    for workers in (1, 2, 4):
        seen: list[Progress] = []
        prepare(replace(recipe, workers=workers), progress=seen.append)
        written[workers] = read_hashes(recipe.output)
        assert len(seen) > 50
        assert seen[-1].bytes_read == seen[-1].bytes_total
    assert written[1] == written[2] == written[4]
    assert {"manifest.json", "report.json", "train-00000.tokens.npy", "held_out-00000.tokens.npy"} < set(written[1])


def test_a_killed_worker_leaves_the_old_folder_and_nothing_else(recipe: DataRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(recipe)
    before = read_hashes(recipe.output)
    monkeypatch.setattr(blocks, "_BLOCK_CHARACTERS", 10_000)
    calls = 0

    def kill_one(progress: Progress) -> None:
        nonlocal calls
        calls += progress.counts.documents > 0
        if calls == 3:
            os.kill(find_children(os.getpid())[-1], signal.SIGKILL)

    with pytest.raises(DataError, match="worker processes must stay alive"):
        prepare(replace(recipe, workers=2), progress=kill_one)
    assert read_hashes(recipe.output) == before
    assert sorted(path.name for path in Path(recipe.output).parent.iterdir()) == ["a.txt", "out"]


SCRIPT = """
import signal
import sys
from albertkit.cli.main import main
from albertkit.data import blocks
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, and all under them, ignore it
    blocks._BLOCK_CHARACTERS = 2000
    sys.exit(main(["prepare", *sys.argv[1:]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "delay", "status"), [(signal.SIGINT, 0, 130), (signal.SIGINT, 0.3, 130), (signal.SIGKILL, 0.3, -signal.SIGKILL)]
)
def test_ctrl_c_is_one_line_and_no_worker_stays_behind(
    recipe: DataRecipe, tmp_path: Path, stop: int, delay: float, status: int
) -> None:
    (tmp_path / "a.txt").write_text((tmp_path / "a.txt").read_text() * 20)
    (tmp_path / "run.py").write_text(SCRIPT)
    (tmp_path / "recipe.yaml").write_text(
        f"data: {{sources: [{recipe.sources[0]}], tokenizer: albert-mini-en, output: {recipe.output}, workers: 2}}\n"
        "output: run\nmodel: {}\nschedule: {total_steps: 1}\ntraining: {tokens_per_batch: 100}\n"
    )
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "recipe.yaml")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    children: list[int] = []
    while len(children) < 3:  # two workers and Python's own tracker of resources
        time.sleep(0.02)
        children = find_children(process.pid)
    time.sleep(delay)
    # As a terminal does, to all of them, while the workers start or work; a kill is for the main process alone.
    (os.killpg if stop == signal.SIGINT else os.kill)(process.pid, stop)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == status
    if stop == signal.SIGINT:
        lines = [line for line in errors.splitlines() if "documents" not in line]
        assert lines == ["albertkit: stopped."]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "recipe.yaml", "run.py"]
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
