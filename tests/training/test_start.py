"""Starting from the weights of another model."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from albertkit.cli.main import main
from albertkit.errors import CheckpointError, ConfigError
from albertkit.models.torch import AlbertForMaskedLM, AlbertForPreTraining
from albertkit.testing.vocabulary import tiny_vocabulary
from albertkit.tokenization.tokenizer import AlbertTokenizer
from albertkit.training.distributed import Processes
from albertkit.training.pretraining import pretrain
from albertkit.training.recipe import Recipe, read_recipe
from albertkit.training.run import Run

Make = Callable[..., Recipe]


def load(write_recipe: Callable[..., Path], name: Path | str, **changes: object) -> Run:
    return Run.load(read_recipe(write_recipe(**changes), [f"init_from={name}"]), Processes(), resume=False)


def weights_of(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


def test_all_weights_are_taken_and_nothing_else(write_recipe: Callable[..., Path], tiny_checkpoint: Path) -> None:
    run = load(write_recipe, tiny_checkpoint)
    theirs = weights_of(AlbertForPreTraining.from_pretrained(tiny_checkpoint))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in weights_of(run.model).items())
    assert (run.state.step, run.origin) == (0, f"weights of {tiny_checkpoint}; at random start none")
    assert not run.optimizer.state


def test_a_head_that_is_lacking_starts_at_random_and_is_named(
    write_recipe: Callable[..., Path], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    AlbertForMaskedLM.from_pretrained(tiny_checkpoint).save_pretrained(tmp_path / "headless")
    run = load(write_recipe, tmp_path / "headless")
    assert run.origin.endswith("at random start the pooler, the sentence-order head")
    fresh = Run.load(read_recipe(write_recipe()), Processes(), resume=False)
    theirs, drawn = weights_of(AlbertForPreTraining.from_pretrained(tiny_checkpoint)), weights_of(fresh.model)
    for name, tensor in weights_of(run.model).items():
        is_lacking = name.startswith(("albert.pooler.", "sop_classifier."))
        assert torch.equal(tensor, (drawn if is_lacking else theirs)[name]), name


def test_more_positions_and_more_layers_are_allowed(write_recipe: Callable[..., Path], tiny_checkpoint: Path) -> None:
    run = load(write_recipe, tiny_checkpoint, model={"max_position_embeddings": 50, "num_hidden_layers": 12})
    theirs = AlbertForPreTraining.from_pretrained(tiny_checkpoint)
    assert run.origin == f"weights of {tiny_checkpoint} in 6 layers; at random start positions 43 to 49"
    ours = run.model.albert.embeddings.position_embeddings.weight
    assert torch.equal(ours[:43], theirs.albert.embeddings.position_embeddings.weight)
    assert 0 < ours[43:].abs().max() < 0.1


def test_other_sizes_and_vocabularies_are_refused_in_one_sentence(
    write_recipe: Callable[..., Path], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    message = f"model.intermediate_size must be that of the checkpoint to start from; received 7, and {tiny_checkpoint} has"
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(write_recipe, tiny_checkpoint, model={"intermediate_size": 7})
    vocabulary = tiny_vocabulary()
    *others, last_but_one, last = vocabulary.pieces
    changed = dataclasses.replace(vocabulary, pieces=(*others, last, last_but_one))
    AlbertForMaskedLM.from_pretrained(tiny_checkpoint).save_pretrained(tmp_path / "other")
    AlbertTokenizer(vocabulary=changed).save_pretrained(tmp_path / "other")
    with pytest.raises(ConfigError, match="whose pieces are not those of"):
        load(write_recipe, tmp_path / "other")
    with pytest.raises(CheckpointError):
        load(write_recipe, tmp_path / "absent")


@pytest.mark.slow
def test_the_command_starts_from_weights_and_resuming_does_not(
    write_recipe: Callable[..., Path], tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_recipe(schedule={"total_steps": 2})
    assert main(["pretrain", str(path), "--init-from", str(tiny_checkpoint)]) == 0
    assert f"weights of {tiny_checkpoint}; at random start none" in capsys.readouterr().err
    recipe = read_recipe(path, ["init_from=absent", "schedule.total_steps=3"])
    assert pretrain(recipe, resume=True).state.step == 3
