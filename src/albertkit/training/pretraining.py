"""Pre-training, on one page: load, then for each step a batch, an update, a line, and now and then a test and a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from albertkit.data.batches import PretrainingData
from albertkit.data.examples import PretrainingBatch
from albertkit.data.shards import TOKENIZER_FOLDER, read_manifest
from albertkit.errors import ConfigError, TrainingError
from albertkit.models.torch import AlbertForPreTraining
from albertkit.models.torch.losses import sentence_order_loss
from albertkit.optim import build_optimizer, learning_rate_at
from albertkit.training.batches import cut_batch, to_tensors
from albertkit.training.evaluation import Scores, evaluate, held_out_batches
from albertkit.training.loop import StopRequest, choose_device, made_ahead, update
from albertkit.training.monitoring import Clock, Log, Progress, Window
from albertkit.training.recipe import Recipe
from albertkit.training.state import TrainerState, find_newest, list_checkpoints, remove_unfinished, save_checkpoint, save_model

__all__ = ["Outcome", "pretrain"]

_FIXED_BY_START = ("data", "examples", "model", "evaluation")  # sections that resuming may not change


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        directory: The final model, or, of a run that was stopped, its newest checkpoint.
        state: Where it stands.
        scores: The last evaluation's; ``None`` if it was stopped.
        stopped_by: The signal that stopped it, if one did.
    """

    directory: Path
    state: TrainerState
    scores: Scores | None
    stopped_by: signal.Signals | None


def pretrain(recipe: Recipe, *, resume: bool = False) -> Outcome:
    """Train a model as a recipe says: masked LM and sentence order (arXiv:1909.11942 §3.1).

    Args:
        recipe: From :func:`albertkit.training.recipe.read_recipe`.
        resume: Go on from the newest whole checkpoint of the output, if there is one.

    Raises:
        ConfigError: If model and data do not fit, or the recipe of a resumed run has changed in what may not change.
        DataError: If the prepared data are missing or damaged.
        CheckpointError: If a checkpoint cannot be read or written.
        TrainingError: If there is something in the output already, or the loss is not finite any more.
    """
    # ------------------------------------------------------------------ load
    run = _Run.load(recipe, resume=resume)
    state, settings = run.state, recipe.training
    progress = Progress(recipe.schedule.total_steps)
    progress.say(run.describe())

    # ------------------------------------------------------------------ loop
    stream = run.data.batches(
        examples_per_batch=settings.examples_per_batch,
        tokens_per_batch=settings.tokens_per_batch,
        start_example=state.next_example,
    )
    with StopRequest() as stop, Log(run.output / "log.jsonl", after_step=state.step) as log, made_ahead(stream) as batches:
        clock = Clock(state.seconds)
        window = Window(state)
        while state.step < state.total_steps and not stop and not run.is_out_of_time():
            values = run.take_step(next(batches))
            state.seconds = clock.read()
            window.add(values)
            is_last = state.step == state.total_steps
            if is_last or state.step % settings.log_every_steps == 0:
                log.write("train", window.close())
            progress.total_steps = state.total_steps
            progress.show(
                state.step,
                loss=values["loss"],
                tokens_per_second=window.tokens_per_second,
                learning_rate=values["learning_rate"],
                seconds_left=(state.total_steps - state.step) * state.seconds / state.step,
            )
            run.fall_in_time()
            if not is_last and state.step % settings.evaluate_every_steps == 0:
                run.test(log, progress)
            if not is_last and state.step % settings.save_every_steps == 0:
                run.save(log)

        # -------------------------------------------------------------- end
        if stop:
            return Outcome(run.save(log), state, None, stop.signal)
        scores = run.test(log, progress)
        run.save(log)
        save_model(run.output / "final", run.model, run.tokenizer)
    return Outcome(run.output / "final", state, scores, None)


@dataclass
class _Run:
    """Everything a run holds, and its four acts."""

    recipe: Recipe
    output: Path
    data: PretrainingData
    held_out: list[PretrainingBatch]
    model: AlbertForPreTraining
    optimizer: Optimizer
    state: TrainerState

    # ------------------------------------------------------------------ load

    @classmethod
    def load(cls, recipe: Recipe, *, resume: bool) -> _Run:
        """Check the recipe against its data and its output, and make or restore everything."""
        output = Path(recipe.output)
        _check_output(output, resume)
        _check_vocabulary(recipe)
        device = choose_device(recipe.training.device)
        train = PretrainingData(recipe.data.output, options=recipe.examples, seed=recipe.training.seed)
        test = PretrainingData(
            recipe.data.output, split="held_out", options=recipe.evaluation.examples, seed=recipe.evaluation.seed
        )
        torch.manual_seed(recipe.training.seed)
        model = AlbertForPreTraining(recipe.model).to(device).train()
        wanted = recipe.optimizer
        optimizer = build_optimizer(
            wanted.name,
            model.named_by_contract(),
            model.contract,
            weight_decay=wanted.weight_decay,
            betas=wanted.betas,
            epsilon=wanted.epsilon,
        )
        state = TrainerState(total_steps=recipe.schedule.total_steps)
        remove_unfinished(output)
        if resume and (checkpoint := find_newest(output)) is not None:
            _check_same(recipe, checkpoint.recipe, checkpoint.directory)
            checkpoint.restore(model, optimizer)
            state = checkpoint.state
            if checkpoint.recipe["schedule"]["total_steps"] != recipe.schedule.total_steps:
                state.total_steps = recipe.schedule.total_steps  # asked for anew
        return cls(recipe, output, train, held_out_batches(test, recipe.evaluation), model, optimizer, state)

    @property
    def tokenizer(self) -> Path:
        """Folder of the tokenizer's files, which stand with every checkpoint."""
        return Path(self.recipe.data.output) / TOKENIZER_FOLDER

    def describe(self) -> str:
        """The run in one line."""
        start = f"resumed after step {self.state.step:,}" if self.state.step else "new"
        return (
            f"{self.output}: {self.model.num_parameters():,} parameters on {self.model.device}, {self.recipe.training.dtype},"
            f" {self.data.num_examples(0):,} examples an epoch, {start}"
        )

    # ------------------------------------------------------------------ step

    def take_step(self, batch: PretrainingBatch) -> dict[str, float]:
        """One update; returns what the log says of it."""
        state, settings = self.state, self.recipe.training
        torch.manual_seed(_mix(settings.seed, state.step))  # dropout as a pure function of seed and step
        schedule = self.recipe.schedule
        rate = learning_rate_at(
            state.step,
            peak=self.recipe.optimizer.learning_rate,
            warmup_steps=schedule.warmup_steps,
            total_steps=state.total_steps,
            decay=schedule.decay,
            decay_steps=schedule.decay_steps,
        )
        parts: list[tuple[float, float]] = []
        try:
            loss, norm = update(
                self.optimizer,
                self._losses(batch, parts),
                learning_rate=rate,
                clip_norm=self.recipe.optimizer.clip_norm,
                where=f"step {state.step + 1:,}",
            )
        except TrainingError as error:
            raise TrainingError(f"{error} {self._describe_last_checkpoint()}") from None
        state.step += 1
        state.tokens += len(batch.input_ids)
        state.next_example = batch.next_example
        mlm_loss, sop_loss = (sum(column) for column in zip(*parts, strict=True))
        return {"loss": loss, "mlm_loss": mlm_loss, "sop_loss": sop_loss, "learning_rate": rate, "grad_norm": norm}

    def _losses(self, batch: PretrainingBatch, parts: list[tuple[float, float]]) -> Iterator[Tensor]:
        """The losses of a batch's parts, each with its share, so that their sum is the loss of the whole batch."""
        device, settings = self.model.device, self.recipe.training
        predicted, sequences = max(int((batch.labels >= 0).sum()), 1), len(batch.sentence_order_label)
        for part in cut_batch(batch, settings.micro_batch_tokens):
            tensors = to_tensors(part, device)
            order = tensors.pop("sentence_order_label")
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.dtype == "bfloat16"):
                output = self.model(**tensors)
            mlm_loss = output.loss * (int((part.labels >= 0).sum()) / predicted)
            sop_loss = sentence_order_loss(output.sop_logits, order) * (len(order) / sequences)
            yield mlm_loss + sop_loss
            parts.append((mlm_loss.item(), sop_loss.item()))

    # ------------------------------------------------------------------ clock

    def is_out_of_time(self) -> bool:
        """Whether ``max_hours`` are over; a trapezoid is let down to the ground instead (:meth:`fall_in_time`)."""
        limit = self.recipe.training.max_hours
        falls = self.recipe.schedule.decay == "trapezoid"
        return limit is not None and not falls and self.state.seconds >= limit * 3600

    def fall_in_time(self) -> None:
        """Let a trapezoid begin to fall when the hours left are just enough for that."""
        limit, state, schedule = self.recipe.training.max_hours, self.state, self.recipe.schedule
        falls_at = state.total_steps - schedule.decay_steps
        if limit is None or schedule.decay != "trapezoid" or not schedule.warmup_steps < state.step < falls_at:
            return
        steps_left = (limit * 3600 - state.seconds) / (state.seconds / state.step)
        if steps_left <= schedule.decay_steps:
            state.total_steps = state.step + schedule.decay_steps

    # ------------------------------------------------------------------ test and save

    def test(self, log: Log, progress: Progress) -> Scores:
        """Score the held-out examples."""
        dtype = torch.bfloat16 if self.recipe.training.dtype == "bfloat16" else torch.float32
        scores = evaluate(self.model, self.held_out, dtype=dtype)
        log.write("evaluation", {"step": self.state.step, "tokens": self.state.tokens} | scores.to_dict())
        progress.say(f"step {self.state.step:,}: held out: {scores}")
        return scores

    def save(self, log: Log) -> Path:
        """Write a checkpoint."""
        directory = save_checkpoint(
            self.output,
            model=self.model,
            optimizer=self.optimizer,
            state=self.state,
            recipe=self.recipe.to_dict(),
            tokenizer=self.tokenizer,
            keep=self.recipe.training.keep_checkpoints,
        )
        log.write("checkpoint", {"step": self.state.step, "directory": directory.name})
        return directory

    def _describe_last_checkpoint(self) -> str:
        checkpoints = list_checkpoints(self.output)
        return f"The last checkpoint is {checkpoints[-1]}." if checkpoints else "There is no checkpoint yet."


def _check_output(output: Path, resume: bool) -> None:
    """Refuse to mix two runs."""
    if not resume and (list_checkpoints(output) or (output / "log.jsonl").exists() or (output / "final").exists()):
        raise TrainingError(
            "the output of a new run must be an empty directory",
            received=f"{output}, which holds a run",
            fix="go on with --resume or choose another output",
        )


def _check_vocabulary(recipe: Recipe) -> None:
    pieces = read_manifest(recipe.data.output).vocab_size
    if pieces != recipe.model.vocab_size:
        raise ConfigError(
            "model.vocab_size must be the number of the vocabulary's pieces",
            received=f"{recipe.model.vocab_size}, and {recipe.data.output} was prepared with {pieces}",
            fix=f"write vocab_size: {pieces}, or prepare the data with the model's tokenizer",
        )


def _check_same(recipe: Recipe, before: dict[str, Any], checkpoint: Path) -> None:
    """What decides which weights and examples come next may not change under a run."""
    now = recipe.to_dict()
    sections = {name: (before.get(name), now[name]) for name in _FIXED_BY_START}
    for name in ("seed", "examples_per_batch", "tokens_per_batch"):
        sections[f"training.{name}"] = (before["training"].get(name), now["training"][name])
    sections["optimizer.name"] = (before["optimizer"].get("name"), now["optimizer"]["name"])
    for name, (old, new) in sections.items():
        if old != new:
            raise ConfigError(
                f"{name} of a resumed run must be as at its start",
                received=f"a recipe that differs from that of {checkpoint}",
                fix="take the change back, or start a new run in another output",
            )


def _mix(seed: int, step: int) -> int:
    """A seed for each step of each run."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> np.uint64(1))
