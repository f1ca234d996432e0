"""Fine-tuning, whole: every kind of task from a file to a final model, one seed and several, stopped and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from albertkit.checkpoints.storage import read_tensors
from albertkit.errors import AlbertError, ConfigError, DataError, TrainingError
from albertkit.tasks.registry import read_task
from albertkit.testing import save_tiny_checkpoint
from albertkit.training.distributed import Processes
from albertkit.training.finetuning import finetune as page
from albertkit.training.finetuning.batches import make_batches, units_of_step
from albertkit.training.finetuning.examples import read_examples, split
from albertkit.training.finetuning.finetune import finetune
from albertkit.training.finetuning.recipe import FinetuningRecipe, read_recipe
from albertkit.training.finetuning.run import FinetuneRun

MakeRecipe = Callable[..., FinetuningRecipe]
ANIMALS, PLACES = ("cat", "dog", "model"), ("paris", "france", "new york", "the capital")
TEXTS = [f"the {animal} sat in {place}" for animal in ANIMALS for place in PLACES]
LINES: dict[str, list[dict[str, Any]]] = {
    "text-classification": [{"text": text, "label": "yes" if "cat" in text else "no"} for text in TEXTS],
    "text-regression": [{"text": text, "text_pair": "a dog", "label": len(text) / 10} for text in TEXTS],
    "multi-label-classification": [
        {"text": text, "label": [word for word in ("cat", "paris") if word in text]} for text in TEXTS
    ],
    "token-classification": [
        {"words": text.split(), "tags": ["B-X" if word in ANIMALS else "O" for word in text.split()]} for text in TEXTS
    ],
    "multiple-choice": [
        {"context": text, "question": "it was", "choices": ["a cat", "a dog", "it"], "label": number % 3}
        for number, text in enumerate(TEXTS)
    ],
    "question-answering": [
        {"question": "it was in", "context": text, "answers": [text.partition(" in ")[2]]} for text in TEXTS
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def make_recipe(tiny: Path, tmp_path: Path) -> MakeRecipe:
    """A recipe of six steps on a table of twelve rows; changes as ``section__key=value``."""

    def make(task: str = "text-classification", **changes: Any) -> FinetuningRecipe:
        file = tmp_path / f"{task}.jsonl"
        file.write_text("".join(json.dumps({"id": str(n)} | line) + "\n" for n, line in enumerate(LINES[task])))
        values = {
            "task": task, "model": tiny, "output": tmp_path / "run", "data.train": file, "data.eval": file, "data.workers": 1,
            "data.doc_stride": 4, "optimizer.learning_rate": 0.01, "schedule.total_steps": 6, "training.examples_per_batch": 5,
            "training.log_every_steps": 1, "training.keep_checkpoints": 9, "config.hidden_dropout_prob": 0.1,
        }  # fmt: skip
        values |= {name.replace("__", "."): value for name, value in changes.items()}
        return read_recipe(None, [f"{name}={value}" for name, value in values.items()])

    return make


def read_log(output: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def read_model(directory: Path) -> dict[str, np.ndarray]:
    return read_tensors(directory / "model.safetensors").tensors


def load(recipe: FinetuningRecipe, output: Path | None = None) -> FinetuneRun:
    examples = read_examples(recipe, world_size=1, is_main=True)
    return FinetuneRun.load(recipe, examples, 0, output or Path(recipe.output), Processes(), resume=False)


@pytest.mark.slow
@pytest.mark.parametrize("task", [*LINES, "answerability"])
def test_every_kind_of_task_trains(task: str, make_recipe: MakeRecipe) -> None:
    name = "question-answering" if task == "answerability" else task
    outcome = finetune(make_recipe(name, data__answerability=task == "answerability"))
    output = outcome.directory.parent
    losses = [line["loss"] for line in read_log(output, "train")]
    assert len(losses) == 6
    assert np.isfinite(losses).all()
    kept = read_task(outcome.directory)
    assert kept is not None
    assert kept.name == name
    assert outcome.scores is not None
    assert outcome.scores.num_examples >= len(TEXTS)
    assert len((output / "predictions.jsonl").read_text().splitlines()) == len(TEXTS)


@pytest.mark.slow
def test_what_is_learnt_is_known(make_recipe: MakeRecipe) -> None:
    outcome = finetune(make_recipe("token-classification", schedule__total_steps=80, config__hidden_dropout_prob=0.0))
    assert outcome.scores is not None
    assert outcome.scores.values["f1"] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("lora", ["null", "{rank: 2, dropout: 0.1}"])
def test_a_run_that_broke_off_and_resumed_is_the_same_to_the_bit(
    lora: str, make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"lora": lora, "training__evaluate_every_steps": 2, "training__save_every_steps": 3}
    whole = finetune(make_recipe(**changes))
    recipe = make_recipe(output=tmp_path / "broken", **changes)

    class Broken(page.FinetuneRecord):
        def add_step(self, values: Any) -> None:
            super().add_step(values)
            if values["learning_rate"] and self._run.state.step == 5:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(page, "FinetuneRecord", Broken)
        finetune(recipe)
    with pytest.raises(TrainingError, match="go on with --resume"):
        finetune(recipe)
    with pytest.raises(ConfigError, match=r"optimizer.learning_rate of a resumed run"):
        finetune(make_recipe(output=tmp_path / "broken", optimizer__learning_rate=1.0, **changes), resume=True)
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="examples of a resumed run must be as at its start"):
        patch.setitem(LINES, "text-classification", [*LINES["text-classification"][1:], LINES["text-classification"][0]])
        finetune(make_recipe(output=tmp_path / "broken", **changes), resume=True)
    make_recipe()  # the file as it was
    resumed = finetune(recipe, resume=True)
    first, second = (read_model(outcome.directory) for outcome in (whole, resumed))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert whole.scores == resumed.scores
    losses = [[line["loss"] for line in read_log(outcome.directory.parent, "train")] for outcome in (whole, resumed)]
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_several_seeds_make_runs_of_their_own_and_one_final_model(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    outcome = finetune(make_recipe(training__seeds=[3, 7]))
    output = tmp_path / "run"
    assert outcome.directory == output / "final"
    best = read_model(output / f"seed-{outcome.seed}" / "final")
    assert all(np.array_equal(values, best[name]) for name, values in read_model(output / "final").items())
    other = read_model(output / f"seed-{10 - outcome.seed}" / "final")
    assert any(not np.array_equal(values, best[name]) for name, values in other.items())
    alone = finetune(make_recipe(training__seeds=[7], output=tmp_path / "alone"))
    assert all(np.array_equal(v, read_model(output / "seed-7" / "final")[n]) for n, v in read_model(alone.directory).items())
    again = finetune(make_recipe(training__seeds=[3, 7]), resume=True)
    assert again.scores == outcome.scores


def test_parameters_are_counted_once_with_adapters_too(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    plain = load(make_recipe(), tmp_path / "plain").num_parameters
    run = load(make_recipe(lora="{rank: 2}"), tmp_path / "adapted")
    adapters = sum(parameter.numel() for name, parameter in run.model.named_parameters() if "lora_" in name)
    assert run.num_parameters == plain + adapters


@pytest.mark.slow
def test_patience_ends_a_run(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    slow = {"optimizer__learning_rate": 1e-9, "training__evaluate_every_steps": 1, "training__patience": 2}
    outcome = finetune(make_recipe(**slow))
    assert (outcome.state.step, outcome.state.best_step) == (3, 1)


def test_parts_of_a_batch_make_the_update_of_the_whole(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    for task in LINES:
        norms = []
        for tokens in ("null", 12):
            run = load(make_recipe(task, training__micro_batch_tokens=tokens, config__hidden_dropout_prob=0.0))
            with run.batches() as batches:
                batch = next(batches)
                norms.append(run.take_step(batch))
            assert (len(batch.parts) > 1) == (tokens == 12)
        assert norms[0]["loss"] == pytest.approx(norms[1]["loss"], rel=1e-5), task
        assert norms[0]["grad_norm"] == pytest.approx(norms[1]["grad_norm"], rel=1e-4), task


def test_every_epoch_takes_every_unit_once_in_a_new_order() -> None:
    taken = np.concatenate([units_of_step(step, size=5, num_units=12, seed=1) for step in range(12)])
    epochs = taken.reshape(5, 12)
    assert (np.sort(epochs) == np.arange(12)).all()
    assert len({tuple(epoch) for epoch in epochs}) == 5
    other = np.concatenate([units_of_step(step, size=5, num_units=12, seed=2) for step in range(12)])
    assert not np.array_equal(taken, other)


def test_processes_share_each_batch(make_recipe: MakeRecipe) -> None:
    run = load(make_recipe())
    options = {"size": 5, "seed": 0, "micro_batch_tokens": None}
    whole = list(make_batches(run.train, run.model.config, range(3), **options))
    shares = [list(make_batches(run.train, run.model.config, range(3), rank=rank, world_size=2, **options)) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        assert sum(shares[rank][step].tokens for rank in (0, 1)) == batch.tokens
        assert [sum(shares[rank][step].labelled) for rank in (0, 1)] == [3, 2]


def test_a_label_of_held_out_examples_alone_is_known(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(data__eval="null", data__eval_share=0.4)
    held_out = {example.text for example in read_examples(recipe, world_size=1, is_main=True).eval_examples}
    rare = min(held_out)
    lines = [line | ({"label": "rare"} if line["text"] == rare else {}) for line in LINES["text-classification"]]
    Path(recipe.data.train).write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.warns(UserWarning, match="whose examples are all held out: rare"):
        examples = read_examples(recipe, world_size=1, is_main=True)
    assert examples.task.labels == ("no", "rare", "yes")
    assert {example.text for example in examples.eval_examples} == held_out


def test_without_eval_a_share_is_held_out_by_its_text(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(data__eval="null", data__eval_share=0.4)
    examples = read_examples(recipe, world_size=1, is_main=True)
    texts = [{example.text for example in part} for part in (examples.train_examples, examples.eval_examples)]
    assert texts[0] | texts[1] == set(TEXTS)
    assert not texts[0] & texts[1]
    assert len(texts[1]) == 5
    shuffled = split([*examples.eval_examples, *examples.train_examples[::-1]] * 2, 0.4, "train")
    assert [{example.text for example in part} for part in shuffled] == texts
    with pytest.raises(DataError, match="must leave examples on both sides"):
        split(examples.train_examples[:1], 0.1, "train.csv")


def test_data_that_do_not_fit_are_refused(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_position_embeddings; received 44 and 43"):
        load(make_recipe(data__max_seq_length=44))
    (tmp_path / "open.jsonl").write_text('{"text": "a cat"}\n')
    with pytest.raises(AlbertError):
        load(make_recipe(data__eval=tmp_path / "open.jsonl"))
    (tmp_path / "other.jsonl").write_text('{"text": "a cat", "label": "perhaps"}\n')
    with pytest.raises(DataError, match=r"one of no, yes; received 'perhaps' in .*other\.jsonl, line 1"):
        load(make_recipe(data__test=tmp_path / "other.jsonl"))


def test_a_loss_that_is_not_finite_is_not_applied(make_recipe: MakeRecipe) -> None:
    run = load(make_recipe())
    with torch.no_grad():
        run.model.get_parameter("classifier.weight").fill_(torch.nan)
    before = run.model.albert.pooler.weight.detach().clone()
    with run.batches() as batches, pytest.raises(TrainingError, match=r"lower optimizer.learning_rate.*no checkpoint yet"):
        run.take_step(next(batches))
    assert torch.equal(before, run.model.albert.pooler.weight)
