"""Pipelines: text in, answers out, one file per task; they speak to an engine, never to a framework.

The tasks load on first use, so that a command starts with its own alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from albertkit.pipelines.base import Options, Pipeline, RunSettings
from albertkit.pipelines.registry import ALIASES, PIPELINES, class_name, module_name, pipeline

if TYPE_CHECKING:
    from albertkit.pipelines.feature_extraction import FeatureExtractionOptions, FeatureExtractionPipeline
    from albertkit.pipelines.fill_mask import FillMaskOptions, FillMaskPipeline
    from albertkit.pipelines.multiple_choice import MultipleChoiceOptions, MultipleChoicePipeline
    from albertkit.pipelines.pseudo_log_likelihood import PseudoLogLikelihoodOptions, PseudoLogLikelihoodPipeline
    from albertkit.pipelines.question_answering import QuestionAnsweringOptions, QuestionAnsweringPipeline
    from albertkit.pipelines.sentence_order import SentenceOrderPipeline
    from albertkit.pipelines.sentence_similarity import SentenceSimilarityOptions, SentenceSimilarityPipeline
    from albertkit.pipelines.text_classification import TextClassificationOptions, TextClassificationPipeline
    from albertkit.pipelines.token_classification import TokenClassificationOptions, TokenClassificationPipeline
    from albertkit.pipelines.zero_shot_classification import ZeroShotClassificationOptions, ZeroShotClassificationPipeline

__all__ = [
    "ALIASES",
    "PIPELINES",
    "FeatureExtractionOptions",
    "FeatureExtractionPipeline",
    "FillMaskOptions",
    "FillMaskPipeline",
    "MultipleChoiceOptions",
    "MultipleChoicePipeline",
    "Options",
    "Pipeline",
    "PseudoLogLikelihoodOptions",
    "PseudoLogLikelihoodPipeline",
    "QuestionAnsweringOptions",
    "QuestionAnsweringPipeline",
    "RunSettings",
    "SentenceOrderPipeline",
    "SentenceSimilarityOptions",
    "SentenceSimilarityPipeline",
    "TextClassificationOptions",
    "TextClassificationPipeline",
    "TokenClassificationOptions",
    "TokenClassificationPipeline",
    "ZeroShotClassificationOptions",
    "ZeroShotClassificationPipeline",
    "pipeline",
]

_HOMES = {f"{class_name(task)}{kind}": module_name(task) for task in PIPELINES for kind in ("Pipeline", "Options")}
"""Public name → the module it is loaded from on first use."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'albertkit.pipelines' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
