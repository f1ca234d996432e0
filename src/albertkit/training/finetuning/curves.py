"""The picture of a fine-tuning run: loss, scores by step, learning rate and gradient norm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from albertkit.training.curves import BLUE, ORANGE, Sheet

__all__ = ["draw_finetuning_curves"]


def draw_finetuning_curves(log: Path, picture: Path, metrics: Sequence[str]) -> None:
    """Draw the log of a run as a PNG of four panels; the picture appears whole or not at all.

    Args:
        log: The ``log.jsonl`` of the run.
        picture: File to write.
        metrics: Names of the scores, the primary one first; the first two are drawn.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        TrainingError: If the log cannot be read or tells of no step, or the picture cannot be written.
    """
    sheet = Sheet(log)
    losses, scores = sheet.panels
    sheet.name(losses, "training loss")
    sheet.draw_noisy(losses, sheet.train, "loss", "training")
    sheet.name(scores, "scores of the examples that choose the best")
    for metric, color in zip(metrics, (BLUE, ORANGE), strict=False):
        sheet.draw(scores, sheet.tests, metric, color=color, label=metric.replace("_", " "), marker="o")
    sheet.draw(scores, sheet.tests, "baseline", color=BLUE, label=f"{metrics[0]}, always the commonest answer", linestyle=":")
    scores.legend(frameon=False)
    sheet.save(picture)
