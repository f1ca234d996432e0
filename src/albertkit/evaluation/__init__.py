"""Scores of a model on any engine; no framework is imported."""

from __future__ import annotations

from albertkit.evaluation.cloze import ClozeScore, ClozeScores, ClozeSentence, read_cloze, score_cloze
from albertkit.evaluation.report import draw_confusion, format_scores, write_report
from albertkit.evaluation.tasks import evaluate_task, predict

__all__ = [
    "ClozeScore",
    "ClozeScores",
    "ClozeSentence",
    "draw_confusion",
    "evaluate_task",
    "format_scores",
    "predict",
    "read_cloze",
    "score_cloze",
    "write_report",
]
