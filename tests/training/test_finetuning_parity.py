"""Fine-tuning makes the updates that transformers' model makes of the same batches, padded, under PyTorch's AdamW."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from albertkit.optim import learning_rate_at
from albertkit.training.distributed import Processes
from albertkit.training.finetuning.batches import units_of_step
from albertkit.training.finetuning.examples import read_examples
from albertkit.training.finetuning.recipe import read_recipe
from albertkit.training.finetuning.run import FinetuneRun

STEPS, SIZE, RATE = 8, 4, 2e-4
TEXTS = ("The dog barked.", "She opened the door and went in.", "It rained.", "He sat down by the fire and said nothing at all.")


def pad(rows: list[np.ndarray]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row.astype(np.int64)) for row in rows], batch_first=True)


@pytest.mark.slow
def test_losses_and_norms_are_those_of_transformers(tmp_path: Path) -> None:
    table = "".join(f"{text}\t{number % 2}\n" for number, text in enumerate(TEXTS * 3))
    (tmp_path / "train.tsv").write_text(f"sentence\tlabel\n{table}")
    recipe = read_recipe(None, [
        "task=sst-2", f"data.train={tmp_path / 'train.tsv'}", f"data.eval={tmp_path / 'train.tsv'}", f"output={tmp_path / 'run'}",
        f"schedule.total_steps={STEPS}", f"training.examples_per_batch={SIZE}", f"optimizer.learning_rate={RATE}",
        "data.workers=1", "config.classifier_dropout_prob=0",
    ])  # fmt: skip
    examples = read_examples(recipe, world_size=1, is_main=False)
    run = FinetuneRun.load(recipe, examples, 0, tmp_path / "run", Processes(), resume=False)
    run.model.save_pretrained(tmp_path / "start")
    model = transformers.AlbertForSequenceClassification.from_pretrained(tmp_path / "start").train()
    plain = [weight for name, weight in model.named_parameters() if name.endswith("bias") or "norm" in name.lower()]
    numbers = set(map(id, plain))
    decayed = [weight for weight in model.parameters() if id(weight) not in numbers]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=recipe.optimizer.betas, eps=recipe.optimizer.epsilon)
    features = examples.train
    rows = [features.input_ids[slice(*features.boundaries[row : row + 2])] for row in range(features.num_units)]
    with run.batches() as batches:
        for step in range(STEPS):
            values = run.take_step(next(batches))
            units = units_of_step(step, size=SIZE, num_units=features.num_units, seed=0)
            chosen = [rows[unit] for unit in units]
            labels = torch.from_numpy(features.targets["labels"][units]).long()
            mask = pad([np.ones_like(row) for row in chosen])
            loss = model(input_ids=pad(chosen), attention_mask=mask, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            rate = learning_rate_at(step, peak=RATE, warmup_steps=run.warmup_steps, total_steps=STEPS)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            assert values["loss"] == pytest.approx(loss.item(), abs=1e-5)
            assert values["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)
            assert values["learning_rate"] == rate
