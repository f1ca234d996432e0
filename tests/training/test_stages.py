"""Stages: other examples from some step on, every example of them at its own place however often the run was resumed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from albertkit.cli.main import main
from albertkit.data.examples import PretrainingBatch
from albertkit.errors import ConfigError
from albertkit.training.distributed import Processes
from albertkit.training.pretraining import pretrain
from albertkit.training.recipe import Recipe, read_recipe
from albertkit.training.stages import StagedBatches
from albertkit.training.state import TrainerState

pytestmark = pytest.mark.slow

LONGER = [{"from_step": 3, "max_seq_length": 40}, {"from_step": -2, "masked_lm_prob": 0.4, "ngram": 1}]
LAST_TWO = {"from_step": -2, "max_seq_length": 16}


def walk(recipe: Recipe, state: TrainerState, until: int) -> list[PretrainingBatch]:
    """The batches up to a step, the state kept as a run keeps it."""
    batches = []
    with StagedBatches(recipe, state, Processes()) as stream:
        while state.step < until:
            batches.append(next(stream))
            state.step, state.next_example = state.step + 1, batches[-1].next_example
    return batches


def test_each_stage_has_its_lengths_and_masks(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe(schedule={"total_steps": 9, "stages": LONGER}, training={"examples_per_batch": 20})
    assert [recipe.schedule.stage_at(step, 9) for step in range(9)] == [0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert recipe.examples_of_stage(2).max_seq_length == 32  # a stage changes the recipe's options, not those of the stage before
    batches = walk(recipe, TrainerState(total_steps=9), 9)
    longest = [int(np.diff(batch.cu_seqlens).max()) for batch in batches]
    assert longest == [32] * 3 + [40] * 4 + [32] * 2
    shares = [(batch.labels >= 0).mean() for batch in batches]
    assert max(shares[:7]) < 0.25 < min(shares[7:])


def test_a_stage_begins_with_other_examples_and_resumes_in_place(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe(schedule={"total_steps": 9, "stages": [{"from_step": 3, "ngram": 3}]})
    whole = walk(recipe, TrainerState(total_steps=9), 9)
    for first, second in zip(whole[:3], whole[3:6], strict=True):
        assert first.next_example == second.next_example
        assert first.input_ids.tolist() != second.input_ids.tolist()
    state = TrainerState(total_steps=9)
    walk(recipe, state, 5)
    assert (state.stage, state.next_example) == (1, 8)
    rest = walk(recipe, TrainerState(total_steps=9, step=5, stage=1, next_example=8), 9)
    for batch, resumed in zip(whole[5:], rest, strict=True):
        np.testing.assert_array_equal(batch.input_ids, resumed.input_ids)
        np.testing.assert_array_equal(batch.labels, resumed.labels)


def test_a_stage_counted_from_the_end_follows_the_clock(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe(
        schedule={"total_steps": 10_000, "decay": "trapezoid", "decay_steps": 3, "stages": [LAST_TWO]},
        training={"max_hours": 1e-9},
    )
    outcome = pretrain(recipe)
    assert outcome.state.step < 20
    assert (outcome.state.stage, outcome.state.next_example) == (1, 8)


def test_stages_that_have_begun_may_not_change_and_later_ones_may(make_recipe: Callable[..., Recipe]) -> None:
    first = {"from_step": 2, "max_seq_length": 16}
    pretrain(make_recipe(schedule={"stages": [first]}))
    longer = {"total_steps": 8}
    assert pretrain(make_recipe(schedule=longer | {"stages": [first, LAST_TWO | {"ngram": 2}]}), resume=True).state.step == 8
    with pytest.raises(ConfigError, match=r"schedule\.stages of a resumed run must be as at its start"):
        pretrain(make_recipe(schedule=longer | {"stages": [first | {"ngram": 1}]}), resume=True)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("[{from_step: 3}, {from_step: 3}]", "stages must begin one after the other within total_steps; received [3, 3]"),
        ("[{from_step: -4}, {from_step: 1}]", "received [-4, 1]"),
        ("[{from_step: 6}]", "received [6]"),
        ("[{from_step: -7}]", "received [-7]"),
        ("[{from_step: 0, max_seq_length: 44}]", "max_position_embeddings; received 44 and 43"),
        ("[{from_step: 0, max_seq_length: 4}]", "max_seq_length must be at least 5"),
        ("[{from_step: 0, length: 4}]", "section schedule, stages, entry 1 must hold known keys only; received length"),
        ("[{ngram: 4}]", "stages, entry 1 must give from_step"),
        ("3", "section schedule, stages must be a list"),
    ],
)
def test_impossible_stages_are_refused_in_one_sentence(write_recipe: Callable[..., Path], stages: str, message: str) -> None:
    path = write_recipe()
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        read_recipe(path, [f"schedule.stages={stages}"])
    assert str(caught.value).startswith(str(path))


def test_stages_come_from_the_command_line(write_recipe: Callable[..., Path]) -> None:
    path = write_recipe(schedule={"total_steps": 2})
    assert main(["pretrain", str(path), "--schedule.stages", "[{from_step: 1, max_seq_length: 16}]"]) == 0
    state = (path.parent / "run" / "checkpoint-00000002" / "trainer.json").read_text()
    assert '"stage": 1' in state
