"""ALBERT (A Lite BERT, arXiv:1909.11942), whole: text to vocabulary, pre-training, checkpoints and predictions.

The public names load on first use, so that importing albertkit imports no framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from albertkit.config import AlbertConfig
    from albertkit.models.torch import (
        AlbertForMaskedLM,
        AlbertForMultipleChoice,
        AlbertForPreTraining,
        AlbertForQuestionAnswering,
        AlbertForQuestionAnsweringWithAnswerability,
        AlbertForSequenceClassification,
        AlbertForTokenClassification,
        AlbertModel,
        AlbertPreTrainedModel,
    )
    from albertkit.outputs import AlbertForPreTrainingOutput
    from albertkit.pipelines import pipeline
    from albertkit.tokenization import AlbertTokenizer

    AlbertTokenizerFast = AlbertTokenizer
    AutoConfig = AlbertConfig
    AutoModel = AlbertModel
    AutoModelForMaskedLM = AlbertForMaskedLM
    AutoModelForMultipleChoice = AlbertForMultipleChoice
    AutoModelForPreTraining = AlbertForPreTraining
    AutoModelForQuestionAnswering = AlbertForQuestionAnswering
    AutoModelForSequenceClassification = AlbertForSequenceClassification
    AutoModelForTokenClassification = AlbertForTokenClassification
    AutoTokenizer = AlbertTokenizer

__version__ = "0.1.0"

_HOMES = {
    "AlbertConfig": "albertkit.config",
    "AlbertTokenizer": "albertkit.tokenization",
    "AlbertPreTrainedModel": "albertkit.models.torch",
    "AlbertModel": "albertkit.models.torch",
    "AlbertForPreTraining": "albertkit.models.torch",
    "AlbertForMaskedLM": "albertkit.models.torch",
    "AlbertForSequenceClassification": "albertkit.models.torch",
    "AlbertForMultipleChoice": "albertkit.models.torch",
    "AlbertForTokenClassification": "albertkit.models.torch",
    "AlbertForQuestionAnswering": "albertkit.models.torch",
    "AlbertForQuestionAnsweringWithAnswerability": "albertkit.models.torch",
    "AlbertForPreTrainingOutput": "albertkit.outputs",
    "pipeline": "albertkit.pipelines",
}
"""Public name → the module it is loaded from on first use."""

_ALIASES = {
    "AlbertTokenizerFast": "AlbertTokenizer",
    "AutoConfig": "AlbertConfig",
    "AutoModel": "AlbertModel",
    "AutoModelForMaskedLM": "AlbertForMaskedLM",
    "AutoModelForMultipleChoice": "AlbertForMultipleChoice",
    "AutoModelForPreTraining": "AlbertForPreTraining",
    "AutoModelForQuestionAnswering": "AlbertForQuestionAnswering",
    "AutoModelForSequenceClassification": "AlbertForSequenceClassification",
    "AutoModelForTokenClassification": "AlbertForTokenClassification",
    "AutoTokenizer": "AlbertTokenizer",
}
"""Name that documentation elsewhere uses → our class: code written for it runs with its import line changed."""

__all__ = [
    "AlbertConfig",
    "AlbertForMaskedLM",
    "AlbertForMultipleChoice",
    "AlbertForPreTraining",
    "AlbertForPreTrainingOutput",
    "AlbertForQuestionAnswering",
    "AlbertForQuestionAnsweringWithAnswerability",
    "AlbertForSequenceClassification",
    "AlbertForTokenClassification",
    "AlbertModel",
    "AlbertPreTrainedModel",
    "AlbertTokenizer",
    "AlbertTokenizerFast",
    "AutoConfig",
    "AutoModel",
    "AutoModelForMaskedLM",
    "AutoModelForMultipleChoice",
    "AutoModelForPreTraining",
    "AutoModelForQuestionAnswering",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "AutoTokenizer",
    "pipeline",
]


def __getattr__(name: str) -> Any:
    target = _ALIASES.get(name, name)
    if target not in _HOMES:
        raise AttributeError(f"module 'albertkit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[target]), target)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
