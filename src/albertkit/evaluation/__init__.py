"""Scores of a model on any engine; no framework is imported."""

from __future__ import annotations

from albertkit.evaluation.cloze import ClozeScore, ClozeScores, ClozeSentence, read_cloze, score_cloze

__all__ = ["ClozeScore", "ClozeScores", "ClozeSentence", "read_cloze", "score_cloze"]
