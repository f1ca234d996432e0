"""What a run leaves behind: log, checkpoints, the best and the final model. Only the main process writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from albertkit.optional import is_installed
from albertkit.training.card import write_card
from albertkit.training.curves import CURVES_FILE, draw_curves
from albertkit.training.evaluation import Scores, evaluate
from albertkit.training.run import Run
from albertkit.training.run_record import RunRecord
from albertkit.training.state import save_model

__all__ = ["Record"]


class Record(RunRecord[Run]):
    """The record of a run; on every process but the main one, its acts do nothing.

    Args:
        run: The run.

    Raises:
        TrainingError: If the log cannot be written.
    """

    def add_step(self, values: Mapping[str, float]) -> None:
        """Add a step to the log and to the line of progress.

        Args:
            values: From :meth:`Run.take_step`.
        """
        if not self._is_main:
            return
        state, window = self._run.state, self._window
        state.seconds = self._run.clock.read()
        window.add(values)
        if state.step == state.total_steps or state.step % self._run.recipe.training.log_every_steps == 0:
            self._log_train()
        self._progress.total_steps = state.total_steps
        self._progress.show(
            state.step,
            f"loss {values['loss']:.3f}",
            f"{window.tokens_per_second:,.0f} tokens/s (MFU {window.mfu:.0%})",
            f"lr {values['learning_rate']:.2e}",
            seconds_left=(state.total_steps - state.step) * state.seconds / state.step,
        )

    def test(self) -> Scores | None:
        """Score the held-out examples, and keep the model if it is the best so far."""
        if not self._is_main:
            return None
        run, state = self._run, self._run.state
        scores = evaluate(run.model, run.held_out, dtype=self._dtype)
        line = {"step": state.step, "tokens": state.tokens} | scores.to_dict()
        self._log.write("evaluation", line)
        self._progress.say(f"step {state.step:,}: held out: {scores}")
        if state.best_loss is None or scores.masked_lm_loss < state.best_loss:
            if run.recipe.training.keep_best:
                save_model(run.output / "best", run.model, run.tokenizer, scores=line)
            state.best_loss = scores.masked_lm_loss
        return scores

    def finish(self, scores: Scores | None) -> Path:
        """Write the final model with its card, and the picture of the run; give the model's directory.

        Args:
            scores: Of the model as it is.
        """
        run, directory = self._run, self._run.output / "final"
        if scores is not None:
            line = {"step": run.state.step, "tokens": run.state.tokens} | scores.to_dict()
            save_model(directory, run.model, run.tokenizer, scores=line)
            if is_installed("matplotlib"):
                draw_curves(run.output / "log.jsonl", run.output / CURVES_FILE)
            else:
                self._progress.say('no picture of the curves, for which run: pip install "albertkit[train]"')
            write_card(directory, recipe=run.recipe, state=run.state, scores=scores)
        return directory
