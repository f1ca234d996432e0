"""What a fine-tuning run holds, and how it makes a step."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from albertkit.errors import TrainingError
from albertkit.models.torch import AlbertPreTrainedModel
from albertkit.optim import build_optimizer, decay_by_layer, learning_rate_at
from albertkit.tasks.base import Example, Features, Task
from albertkit.tasks.features import rows_per_unit
from albertkit.tokenization import AlbertTokenizer
from albertkit.training.distributed import Processes
from albertkit.training.finetuning.batches import Batch, make_batches, to_padded, to_tensors
from albertkit.training.finetuning.examples import Examples
from albertkit.training.finetuning.recipe import FinetuningRecipe
from albertkit.training.finetuning.start import add_adapters, check_same, freeze, make_model
from albertkit.training.fused import fuse
from albertkit.training.loop import choose_device, made_ahead, mix_seed, update
from albertkit.training.monitoring import Clock
from albertkit.training.state import RunState, find_newest, list_checkpoints, remove_unfinished

__all__ = ["FinetuneRun", "FinetuneState"]


@dataclass
class FinetuneState(RunState):
    """Where a fine-tuning run stands."""

    best_score: float | None = None
    """Best primary score of the evaluations so far; known to the main process alone."""
    best_step: int = 0
    """Its step."""
    evaluations_since_best: int = 0
    """Evaluations since then."""
    train_digest: str = ""
    """SHA-256 of the tokens to learn from, by which a resumed run knows its data."""


@dataclass
class FinetuneRun:
    """One process's part of a run with one seed.

    Attributes:
        recipe: What to do.
        seed: One of the recipe's.
        output: Directory of the run.
        processes: This process and the others.
        task: With its labels.
        tokenizer: Folder of the tokenizer's files, which stand with every checkpoint; the main process's alone.
        model: In training mode.
        optimizer: Over what is trained.
        state: Where the run stands, the same on every process but for seconds and scores.
        warmup_steps: Over which the learning rate rises.
        train: Features to learn from.
        eval_examples: To choose the best model by.
        eval: Their features.
        test_examples: To score at the end; may be none.
        test: Their features, if there are any.
        clock: Seconds of training.
        origin: Where the weights came from, in a few words.
        adapters: The ``peft`` model around ``model``, if there is one.
    """

    recipe: FinetuningRecipe
    seed: int
    output: Path
    processes: Processes
    task: Task[Any]
    tokenizer: Path
    model: AlbertPreTrainedModel
    optimizer: Optimizer
    state: FinetuneState
    warmup_steps: int
    train: Features
    eval_examples: list[Example]
    eval: Features
    test_examples: list[Example]
    test: Features | None
    clock: Clock
    origin: str
    adapters: nn.Module | None = None

    # ------------------------------------------------------------------ load

    @classmethod
    def load(
        cls, recipe: FinetuningRecipe, examples: Examples, seed: int, output: Path, processes: Processes, *, resume: bool
    ) -> FinetuneRun:
        """Make or restore everything; the main process does it for all.

        Args:
            recipe: What to do.
            examples: Of all seeds.
            seed: Of this run.
            output: Of this run.
            processes: This process and the others.
            resume: Go on from the newest whole checkpoint, if there is one.

        Raises:
            AlbertError: See :func:`albertkit.training.finetuning.finetune.finetune`.
        """
        settings = recipe.training
        device = choose_device(settings.device, processes.local_rank if processes.is_joined else None)
        model, origin = make_model(recipe, examples.task, seed)
        freeze(model, settings.freeze)
        adapters = None if recipe.lora is None else add_adapters(model, recipe.lora)
        model.to(device).train()
        fuse(model, torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32)
        optimizer = _make_optimizer(recipe, model)
        total_steps, warmup_steps = recipe.schedule.count_steps(examples.train.num_units, settings.examples_per_batch)
        state = FinetuneState(total_steps, train_digest=_digest(examples.train) if processes.is_main else "")
        if processes.is_main:
            remove_unfinished(output)
            AlbertTokenizer.from_pretrained(recipe.model).save_pretrained(output / "tokenizer")
            if resume and (checkpoint := find_newest(output, FinetuneState)) is not None:
                check_same(recipe, checkpoint.recipe, checkpoint.directory)
                checkpoint.restore(model, optimizer)
                if checkpoint.state.train_digest != state.train_digest:
                    raise TrainingError(
                        "the examples of a resumed run must be as at its start",
                        received=f"other tokens or labels than {checkpoint.directory} was trained on",
                        fix="take the change of the data back, or start a new run in another output",
                    )
                state, origin = checkpoint.state, f"resumed after step {checkpoint.state.step:,}"
        processes.share_start(model, optimizer, state)
        return cls(
            recipe, seed, output, processes, examples.task, output / "tokenizer", model, optimizer, state, warmup_steps,
            examples.train, examples.eval_examples, examples.eval, examples.test_examples, examples.test, Clock(state.seconds),
            origin, adapters,
        )  # fmt: skip

    @property
    def features(self) -> dict[str, Features]:
        """Of ``train``, ``eval`` and, if there are such examples, ``test``."""
        return {"train": self.train, "eval": self.eval} | ({} if self.test is None else {"test": self.test})

    def describe(self) -> str:
        """The run in one line."""
        world, model = self.processes.world_size, self.model
        total, trained = self.num_parameters, model.num_parameters(only_trainable=True)
        some = "" if trained == total else f" ({trained:,} trained)"
        return (
            f"{self.output}: {self.task.name}, {total:,} parameters{some} on {model.device}"
            f"{f' and {world - 1} more' if world > 1 else ''}, {self.recipe.training.dtype}, seed {self.seed},"
            f" {int(self.train.owners[-1]) + 1:,} examples to learn from, {len(self.eval_examples):,} to choose by, {self.origin}"
        )

    @property
    def num_parameters(self) -> int:
        """All parameters of the model, adapters included, without the copies that ``peft`` keeps of the heads it trains."""
        named = self.model.named_parameters()
        return sum(parameter.numel() for name, parameter in named if ".original_module." not in name)

    def plain_model(self) -> AlbertPreTrainedModel:
        """The model itself, or a copy with the adapters merged into its weights."""
        if self.adapters is None:
            return self.model
        merged: AlbertPreTrainedModel = copy.deepcopy(self.adapters).merge_and_unload()  # type: ignore[operator]
        return merged

    # ------------------------------------------------------------------ step

    def batches(self) -> AbstractContextManager[Iterator[Batch]]:
        """Give this process its share of each batch that is still to come, made ahead in a thread."""
        settings, features = self.recipe.training, self.train
        if self.task.head == "answerability":  # whose loss asks where answers may be
            barred = {"p_mask": ~features.places["allowed"].astype(bool)}
            features = dataclasses.replace(features, targets=features.targets | barred)
        return made_ahead(
            make_batches(
                features,
                self.model.config,
                range(self.state.step, self.state.total_steps),
                size=settings.examples_per_batch,
                seed=self.seed,
                micro_batch_tokens=settings.micro_batch_tokens,
                rank=self.processes.rank,
                world_size=self.processes.world_size,
            )
        )

    def take_step(self, batch: Batch) -> dict[str, float]:
        """Make one update.

        Args:
            batch: This process's share of the batch.

        Returns:
            What the log says of it: ``loss``, ``learning_rate``, ``grad_norm``, of the whole batch.

        Raises:
            TrainingError: If the loss is not finite, or another process has ended. Nothing has been updated then.
        """
        state, schedule, processes = self.state, self.recipe.schedule, self.processes
        torch.manual_seed(mix_seed(self.seed, state.step, processes.rank))  # of dropout
        rate = learning_rate_at(
            state.step,
            peak=self.recipe.optimizer.learning_rate,
            warmup_steps=self.warmup_steps,
            total_steps=state.total_steps,
            decay=schedule.decay,
        )
        labelled, tokens, flops = processes.sum(sum(batch.labelled), batch.tokens, batch.flops)
        try:
            values = update(
                self.optimizer,
                self._losses(batch, max(labelled, 1)),
                names=("loss",),
                learning_rate=rate,
                clip_norm=self.recipe.optimizer.clip_norm,
                processes=processes,
                where=f"step {state.step + 1:,}",
            )
        except TrainingError as error:
            checkpoints = list_checkpoints(self.output)
            last = f"The last checkpoint is {checkpoints[-1]}." if checkpoints else "There is no checkpoint yet."
            raise TrainingError(f"{error} {last}") from None
        state.step += 1
        state.tokens += int(tokens)
        state.flops += int(flops)
        return values | {"learning_rate": rate}

    def _losses(self, batch: Batch, labelled: float) -> Iterator[tuple[Tensor]]:
        """The losses of a batch's parts, each with its share of the whole batch, so that their sum is that batch's mean."""
        device, is_bfloat16 = self.model.device, self.recipe.training.dtype == "bfloat16"
        choices = {"num_choices": rows_per_unit(self.train)} if self.task.head == "multiple_choice" else {}
        read = to_padded if self.task.head == "answerability" else to_tensors
        for part, count in zip(batch.parts, batch.labelled, strict=True):
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_bfloat16):
                loss: Tensor = self.model(**read(part, device), **choices).loss
            yield (loss * (count / labelled),)

    # ------------------------------------------------------------------ when

    def goes_on(self) -> bool:
        """Whether there is a step to make: none after the last, nor once ``patience`` is over, as the main process finds."""
        patience = self.recipe.training.patience
        if patience is not None:
            (waited,) = self.processes.sum(self.state.evaluations_since_best if self.processes.is_main else 0)
            if waited >= patience:
                return False
        return self.state.step < self.state.total_steps

    def is_evaluation_due(self) -> bool:
        """Whether the model is to be scored after this step."""
        settings = self.recipe.training
        every = settings.evaluate_every_steps or math.ceil(self.train.num_units / settings.examples_per_batch)
        return self.state.step % every == 0 or self.state.step == self.state.total_steps

    def is_checkpoint_due(self) -> bool:
        """Whether a checkpoint is to be written after this step, and its evaluation; there is one at the end besides."""
        every = self.recipe.training.save_every_steps
        return (self.is_evaluation_due() if every is None else self.state.step % every == 0) and self.goes_on()


def _make_optimizer(recipe: FinetuningRecipe, model: AlbertPreTrainedModel) -> Optimizer:
    wanted, parameters = recipe.optimizer, model.named_by_contract()
    return build_optimizer(
        wanted.name,
        parameters,
        model.contract,
        weight_decay=wanted.weight_decay,
        betas=wanted.betas,
        epsilon=wanted.epsilon,
        rate_factors=decay_by_layer(parameters, model.config, wanted.layer_decay),
    )


def _digest(features: Features) -> str:
    """SHA-256 of what is learnt from: rows, and their right answers."""
    digest = hashlib.sha256()
    targets = [features.targets[name] for name in sorted(features.targets)]
    for array in (features.input_ids, features.token_type_ids, features.boundaries, features.units, *targets):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
