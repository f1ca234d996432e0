"""What a fine-tuning run leaves behind: log, checkpoints, the best and the final model, its scores and answers. Only the main
process writes.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from albertkit.errors import CheckpointError
from albertkit.evaluation.report import format_scores, write_report
from albertkit.evaluation.tasks import evaluate_task, predict
from albertkit.files import new_directory
from albertkit.inference.torch_engine import TorchEngine
from albertkit.optional import is_installed
from albertkit.tasks.base import Example, Features, Prediction, Scores
from albertkit.tasks.registry import write_task
from albertkit.training.card_parts import describe_hardware, describe_software
from albertkit.training.curves import CURVES_FILE
from albertkit.training.finetuning.card import write_card
from albertkit.training.finetuning.curves import draw_finetuning_curves
from albertkit.training.finetuning.guards import Guards, describe_counts
from albertkit.training.finetuning.results import Results, describe_command
from albertkit.training.finetuning.run import FinetuneRun
from albertkit.training.loop import peak_memory_bytes
from albertkit.training.run_record import RunRecord
from albertkit.training.state import save_model

__all__ = ["ADAPTER_FOLDER", "FinetuneRecord", "copy_model"]

ADAPTER_FOLDER = "adapter"
"""Folder of a model's directory that holds its adapters by themselves."""


class FinetuneRecord(RunRecord[FinetuneRun]):
    """The record of a run with one seed; on every process but the main one, its acts do nothing.

    Args:
        run: The run.

    Raises:
        TrainingError: If the log cannot be written.
    """

    def __init__(self, run: FinetuneRun) -> None:
        super().__init__(run)
        self._guards = Guards(warmup_steps=run.warmup_steps, is_regression=run.task.problem_type == "regression")
        self._last_score = ""
        if self._is_main:
            for name, features in run.features.items():
                for line in describe_counts(name, features):
                    self._progress.say(line)

    def add_step(self, values: Mapping[str, float]) -> None:
        """Add a step to the log and to the line of progress.

        Args:
            values: From :meth:`FinetuneRun.take_step`.
        """
        if not self._is_main:
            return
        state, window, settings = self._run.state, self._window, self._run.recipe.training
        state.seconds = self._run.clock.read()
        window.add(values)
        if state.step % settings.log_every_steps == 0 or self._run.is_evaluation_due():
            self._log_train()
        self._warn(self._guards.after_step(state.step, values["loss"]))
        figures = (f"loss {values['loss']:.3f}", self._last_score, f"{self._examples_per_second():,.0f} examples/s")
        seconds_left = (state.total_steps - state.step) * state.seconds / state.step
        self._progress.show(state.step, *filter(None, figures), seconds_left=seconds_left)

    def test(self) -> Scores | None:
        """Score the examples that choose the best model, and keep the model if it is that."""
        if not self._is_main:
            return None
        run, state = self._run, self._run.state
        model = run.plain_model()
        scores, predictions = self._evaluate(TorchEngine(model, run.task.head), run.eval_examples, run.eval)
        line = {"step": state.step, "tokens": state.tokens} | scores.values | {"baseline": scores.baseline}
        self._log.write("evaluation", line)
        values = ", ".join(f"{name} {value:.4g}" for name, value in islice(scores.values.items(), 3))
        self._last_score = f"{scores.primary} {scores.main:.4g}"
        self._progress.say(f"step {state.step:,}: {values}")
        self._warn(self._guards.after_evaluation(state.step, scores, predictions))
        if state.best_score is None or scores.main > state.best_score:
            state.best_score, state.best_step, state.evaluations_since_best = scores.main, state.step, 0
            save_model(run.output / "best", model, run.tokenizer, scores=line, write_more=self._write_task)
        else:
            state.evaluations_since_best += 1
        run.model.train()
        return scores

    def finish(self) -> Scores | None:
        """Make the best model the final one; write its scores, answers and errors, of the test set too if there is one, the
        picture of the run and the card; and show the scores.

        Returns:
            Those of the final model, as its files give them.
        """
        if not self._is_main:
            return None
        run, final = self._run, self._run.output / "final"
        copy_model(run.output / "best", final)
        engine = TorchEngine.load(final, run.task.head, device=str(run.model.device))
        scores, predictions = self._evaluate(engine, run.eval_examples, run.eval)
        write_report(run.output, run.task, run.eval_examples, predictions, scores)
        results = self._collect(scores, self._answer_test(engine))
        results.write(run.output)
        if is_installed("matplotlib"):
            draw_finetuning_curves(run.output / "log.jsonl", run.output / CURVES_FILE, list(scores.values))
        else:
            self._progress.say('no picture of the curves, for which run: pip install "albertkit[train]"')
        write_card(final, results, run.output)
        self._progress.say(format_scores(scores))
        if results.test is not None:
            self._progress.say(f"test set, which chose nothing:\n{format_scores(results.test)}")
        self._progress.say(results.command)
        return scores

    def _answer_test(self, engine: TorchEngine) -> Scores | None:
        """Answer the test set in a folder of its own, and score it if its answers are known."""
        run, examples, features, directory = self._run, self._run.test_examples, self._run.test, self._run.output / "test"
        if features is None:
            return None
        if features.targets:
            scores, predictions = self._evaluate(engine, examples, features)
            write_report(directory, run.task, examples, predictions, scores)
            return scores
        with self._autocast():
            predictions = run.task.decode(examples, features, predict(engine, run.task, features))
        write_report(directory, run.task, examples, predictions, None)
        return None

    def _evaluate(self, engine: TorchEngine, examples: Sequence[Example], features: Features) -> tuple[Scores, list[Prediction]]:
        with self._autocast():
            return evaluate_task(engine, self._run.task, examples, features)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._run.model.device.type, dtype=self._dtype, enabled=self._dtype == torch.bfloat16)

    def _collect(self, scores: Scores, test: Scores | None) -> Results:
        run, state = self._run, self._run.state
        recipe, trained_on = run.recipe, state.step * run.recipe.training.examples_per_batch
        return Results(
            command=describe_command(recipe),
            task=run.task.name,
            model=recipe.model,
            seed=run.seed,
            scores=scores,
            test=test,
            best_step=state.best_step,
            steps=state.step,
            epochs=trained_on / run.train.num_units,
            tokens=state.tokens,
            seconds=state.seconds,
            examples_per_second=self._examples_per_second(),
            peak_memory_bytes=peak_memory_bytes(run.model.device),
            parameters=run.num_parameters,
            trained_parameters=run.model.num_parameters(only_trainable=True),
            examples={
                "train": int(run.train.owners[-1]) + 1, "eval": len(run.eval_examples), "test": len(run.test_examples)
            },
            counts={name: features.counts for name, features in run.features.items()},
            is_pair=bool(run.train.token_type_ids.any()),
            labels=None if run.task.labels is None else list(run.task.labels),
            hardware=describe_hardware(recipe.training.device),
            software=describe_software(),
            recipe=recipe.to_dict(),
        )  # fmt: skip

    def _examples_per_second(self) -> float:
        state = self._run.state
        return state.step * self._run.recipe.training.examples_per_batch / max(state.seconds, 1e-9)

    def _write_task(self, directory: Path) -> None:
        write_task(self._run.task, directory)
        if self._run.adapters is not None:
            adapters: Any = self._run.adapters
            adapters.save_pretrained(str(directory / ADAPTER_FOLDER))

    def _warn(self, warning: str | None) -> None:
        if warning is not None:
            self._log.write("warning", {"step": self._run.state.step, "text": warning})
            self._progress.say(warning)


def copy_model(source: Path, target: Path) -> None:
    """Copy the directory of a model; the copy appears whole or not at all.

    Args:
        source: The model's.
        target: Where to.

    Raises:
        CheckpointError: If the disk is full or cannot be written.
    """
    try:
        with new_directory(target) as temporary:
            shutil.copytree(source, temporary, dirs_exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            "the final model must be a copy of the best", received=f"{source} ({error.strerror or error})", fix="free some space"
        ) from None
