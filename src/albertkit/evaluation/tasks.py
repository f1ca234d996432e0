"""A fine-tuned model on the examples of a task, on any engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from albertkit.checkpoints.parameters import POOLED_HEADS
from albertkit.errors import CheckpointError
from albertkit.inference import Engine, TokenBatch, plan_batches
from albertkit.tasks.base import E, Features, Outputs, Prediction, Scores, Task

__all__ = ["evaluate_task", "predict"]

_TOKEN_BUDGET = 4096


def evaluate_task(
    engine: Engine,
    task: Task[E],
    examples: Sequence[E],
    features: Features,
    *,
    token_budget: int = _TOKEN_BUDGET,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Scores, list[Prediction]]:
    """Predict and score.

    Args:
        engine: Runs the model.
        task: What to decide.
        examples: With right answers.
        features: The examples, as ``task.featurize`` made them.
        token_budget: Most tokens the engine is given at once.
        on_progress: Called with the rows done and all of them.

    Returns:
        Scores, and a prediction for each example.

    Raises:
        CheckpointError: If the model has not the task's head, or not as many classes.
        DataError: If the examples have no right answers.
    """
    outputs = predict(engine, task, features, token_budget=token_budget, on_progress=on_progress)
    predictions = task.decode(examples, features, outputs)
    return task.score(examples, predictions), predictions


def predict(
    engine: Engine,
    task: Task[E],
    features: Features,
    *,
    token_budget: int = _TOKEN_BUDGET,
    on_progress: Callable[[int, int], None] | None = None,
) -> Outputs:
    """Run the model on every row, in batches of similar length without padding; what is kept is the scores alone.

    The arguments and errors are those of :func:`evaluate_task`.

    Returns:
        Arrays in the order of the rows, see :data:`~albertkit.tasks.base.Outputs`.
    """
    by_row = task.head in POOLED_HEADS or task.head == "answerability"
    total = len(features.boundaries) - 1
    outputs: dict[str, np.ndarray] = {}
    done = 0
    for rows in plan_batches(features.lengths.tolist(), token_budget):
        tokens = np.concatenate([np.arange(features.boundaries[row], features.boundaries[row + 1]) for row in rows])
        batch = TokenBatch(
            features.input_ids[tokens].astype(np.int64),
            features.token_type_ids[tokens].astype(np.int64),
            np.concatenate([[0], np.cumsum(features.lengths[rows])]),
        )
        for name, values in _run(engine, task, batch, features, tokens).items():
            if name not in outputs:
                outputs[name] = np.empty((total if by_row else len(features.input_ids), *values.shape[1:]), values.dtype)
            outputs[name][rows if by_row else tokens] = values
        done += len(rows)
        if on_progress is not None:
            on_progress(done, total)
    return outputs


def _run(engine: Engine, task: Task[E], batch: TokenBatch, features: Features, tokens: np.ndarray) -> dict[str, np.ndarray]:
    """The model's scores of a batch, which is these tokens of the features."""
    if task.head == "answerability":
        return dict(engine.answer_spans(batch, features.places["allowed"][tokens]))
    logits = engine.logits(task.head, batch)
    if task.labels is not None and task.head != "multiple_choice" and logits.shape[-1] != len(task.labels):
        raise CheckpointError(
            f"a model for {task.name} must have {len(task.labels)} classes: {', '.join(task.labels)}",
            received=f"one of {logits.shape[-1]}",
            fix="name the task that it was fine-tuned for",
        )
    return {"logits": logits}
