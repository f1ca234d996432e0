"""What a run holds, and how it makes a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from albertkit.data.batches import PretrainingData
from albertkit.data.examples import PretrainingBatch
from albertkit.data.shards import TOKENIZER_FOLDER
from albertkit.errors import TrainingError
from albertkit.models.torch import AlbertForPreTraining
from albertkit.models.torch.initialization import draw_local_attention
from albertkit.models.torch.losses import mean_cross_entropy
from albertkit.optim import build_optimizer, learning_rate_at
from albertkit.training.batches import cut_batch, to_tensors
from albertkit.training.distributed import Processes
from albertkit.training.evaluation import held_out_batches
from albertkit.training.flops import count_flops
from albertkit.training.fused import fuse
from albertkit.training.loop import choose_device, mix_seed, update
from albertkit.training.monitoring import Clock
from albertkit.training.recipe import Recipe
from albertkit.training.stages import StagedBatches
from albertkit.training.start import check_output, check_same, check_vocabulary, load_initial_weights
from albertkit.training.state import TrainerState, find_newest, list_checkpoints, remove_unfinished

__all__ = ["Run"]

_LOSSES = ("mlm_loss", "sop_loss")


@dataclass
class Run:
    """One process's part of a run.

    Attributes:
        recipe: What to do.
        processes: This process and the others.
        model: In training mode.
        optimizer: Over its parameters.
        state: Where the run stands, the same on every process but for the seconds.
        batches: This process's share of each batch.
        held_out: The fixed test; none but on the main process.
        clock: Seconds of training.
        origin: Where the weights came from, in a few words.
    """

    recipe: Recipe
    processes: Processes
    model: AlbertForPreTraining
    optimizer: Optimizer
    state: TrainerState
    batches: StagedBatches
    held_out: list[PretrainingBatch]
    clock: Clock
    origin: str

    # ------------------------------------------------------------------ load

    @classmethod
    def load(cls, recipe: Recipe, processes: Processes, *, resume: bool) -> Run:
        """Check the recipe against its data and its output, and make or restore everything; the main process does it for all.

        Args:
            recipe: What to do.
            processes: This process and the others.
            resume: Go on from the newest whole checkpoint, if there is one.

        Raises:
            AlbertError: See :func:`albertkit.training.pretraining.pretrain`.
        """
        output = Path(recipe.output)
        if processes.is_main and not resume:
            check_output(output)
        check_vocabulary(recipe)
        device = choose_device(recipe.training.device, processes.local_rank if processes.is_joined else None)
        torch.manual_seed(recipe.training.seed)
        model = AlbertForPreTraining(recipe.model)
        if recipe.training.initialization == "local_attention":
            draw_local_attention(model.named_by_contract(), recipe.model)
        model.to(device).train()
        if recipe.training.compile:
            for group in model.albert.encoder.albert_layer_groups:
                group.compile(dynamic=True)
        fuse(model, torch.bfloat16 if recipe.training.dtype == "bfloat16" else torch.float32)
        wanted = recipe.optimizer
        optimizer = build_optimizer(
            wanted.name,
            model.named_by_contract(),
            model.contract,
            weight_decay=wanted.weight_decay,
            betas=wanted.betas,
            epsilon=wanted.epsilon,
            muon_rate=wanted.muon_rate,
        )
        state, origin = TrainerState(total_steps=recipe.schedule.total_steps), "new"
        if processes.is_main:
            state, origin = _take_up(recipe, model, optimizer, state, resume=resume)
        processes.share_start(model, optimizer, state)
        batches = StagedBatches(recipe, state, processes)
        held_out = []
        if processes.is_main:
            evaluation = recipe.evaluation
            test = PretrainingData(recipe.data.output, split="held_out", options=evaluation.examples, seed=evaluation.seed)
            held_out = held_out_batches(test, evaluation)
        return cls(recipe, processes, model, optimizer, state, batches, held_out, Clock(state.seconds), origin)

    @property
    def output(self) -> Path:
        """Directory of the run."""
        return Path(self.recipe.output)

    @property
    def tokenizer(self) -> Path:
        """Folder of the tokenizer's files, which stand with every checkpoint."""
        return Path(self.recipe.data.output) / TOKENIZER_FOLDER

    def describe(self) -> str:
        """The run in one line."""
        world = self.processes.world_size
        return (
            f"{self.output}: {self.model.num_parameters():,} parameters on {self.model.device}"
            f"{f' and {world - 1} more' if world > 1 else ''}, {self.recipe.training.dtype},"
            f" {self.batches.data.num_examples(0):,} examples an epoch, {self.origin}"
        )

    # ------------------------------------------------------------------ step

    def take_step(self, batch: PretrainingBatch) -> dict[str, float]:
        """Make one update.

        Args:
            batch: This process's share of the batch.

        Returns:
            What the log says of it: ``loss``, ``mlm_loss``, ``sop_loss``, ``learning_rate``, ``grad_norm``, of the whole batch.

        Raises:
            TrainingError: If the loss is not finite, or another process has ended. Nothing has been updated then.
        """
        state, schedule, processes = self.state, self.recipe.schedule, self.processes
        # Dropout is a pure function of seed, step and process; for the main one, NumPy ignores the last 0.
        torch.manual_seed(mix_seed(self.recipe.training.seed, state.step, processes.rank))
        rate = learning_rate_at(
            state.step,
            peak=self.recipe.optimizer.learning_rate,
            warmup_steps=schedule.warmup_steps,
            total_steps=state.total_steps,
            decay=schedule.decay,
            decay_steps=schedule.decay_steps,
        )
        counts = (int((batch.labels >= 0).sum()), len(batch.sentence_order_label), len(batch.input_ids))
        predicted, sequences, tokens, flops = processes.sum(*counts, count_flops(self.recipe.model, batch))
        try:
            values = update(
                self.optimizer,
                self._losses(batch, max(predicted, 1), sequences),
                names=_LOSSES,
                learning_rate=rate,
                clip_norm=self.recipe.optimizer.clip_norm,
                processes=processes,
                where=f"step {state.step + 1:,}",
            )
        except TrainingError as error:
            raise TrainingError(f"{error} {self._describe_last_checkpoint()}") from None
        state.step += 1
        state.tokens += int(tokens)
        state.flops += int(flops)
        state.next_example = batch.next_example
        return values | {"learning_rate": rate}

    def _losses(self, batch: PretrainingBatch, predicted: float, sequences: float) -> Iterator[tuple[Tensor, Tensor]]:
        """The losses of a batch's parts, each with its share of the whole batch, so that their sum is that batch's mean."""
        device, settings = self.model.device, self.recipe.training
        for part in cut_batch(batch, settings.micro_batch_tokens):
            tensors = to_tensors(part, device)
            order = tensors.pop("sentence_order_label")
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.dtype == "bfloat16"):
                output = self.model(**tensors)
            mlm_loss = output.loss * (int((part.labels >= 0).sum()) / predicted)
            yield mlm_loss, mean_cross_entropy(output.sop_logits, order) * (len(order) / sequences)

    def _describe_last_checkpoint(self) -> str:
        checkpoints = list_checkpoints(self.output)
        return f"The last checkpoint is {checkpoints[-1]}." if checkpoints else "There is no checkpoint yet."

    # ------------------------------------------------------------------ clock

    def goes_on(self) -> bool:
        """Whether there is a step to make. When ``max_hours`` are over there is none; a trapezoid is let down to the ground by
        then instead: it begins to fall when the hours left are just enough for that.
        """
        limit, state, schedule = self.recipe.training.max_hours, self.state, self.recipe.schedule
        if limit is not None:
            (seconds,) = self.processes.sum(self.clock.read() if self.processes.is_main else 0.0)
            seconds_left = limit * 3600 - seconds
            if schedule.decay != "trapezoid":
                return seconds_left > 0 and state.step < state.total_steps
            falls_at = state.total_steps - schedule.decay_steps
            if schedule.warmup_steps < state.step < falls_at:
                steps_left = seconds_left / (seconds / state.step)
                if steps_left <= schedule.decay_steps:
                    state.total_steps = state.step + schedule.decay_steps
        return state.step < state.total_steps


def _take_up(
    recipe: Recipe, model: AlbertForPreTraining, optimizer: Optimizer, state: TrainerState, *, resume: bool
) -> tuple[TrainerState, str]:
    """The state and origin of a run that resumes or starts, the model and the optimiser filled to match."""
    output = Path(recipe.output)
    remove_unfinished(output)
    if resume and (checkpoint := find_newest(output, TrainerState)) is not None:
        check_same(recipe, checkpoint.recipe, stage=checkpoint.state.stage, checkpoint=checkpoint.directory)
        checkpoint.restore(model, optimizer)
        if checkpoint.recipe["schedule"]["total_steps"] != recipe.schedule.total_steps:
            checkpoint.state.total_steps = recipe.schedule.total_steps  # asked for anew
        return checkpoint.state, f"resumed after step {checkpoint.state.step:,}"
    if recipe.init_from is not None:
        return state, load_initial_weights(model, recipe.init_from, Path(recipe.data.output))
    return state, "new"
