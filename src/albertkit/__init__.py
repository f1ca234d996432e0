"""ALBERT (A Lite BERT, arXiv:1909.11942), whole: text to vocabulary, pre-training, checkpoints and predictions.

The public names load on first use, so that importing albertkit imports no framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from albertkit.config import AlbertConfig
    from albertkit.models.torch import AlbertForMaskedLM, AlbertForPreTraining, AlbertModel, AlbertPreTrainedModel
    from albertkit.outputs import AlbertForPreTrainingOutput
    from albertkit.pipelines import pipeline
    from albertkit.tokenization import AlbertTokenizer
    from albertkit.tokenization import AlbertTokenizer as AlbertTokenizerFast

__version__ = "0.1.0"

_HOMES = {
    "AlbertConfig": "albertkit.config",
    "AlbertTokenizer": "albertkit.tokenization",
    "AlbertTokenizerFast": "albertkit.tokenization",
    "AlbertPreTrainedModel": "albertkit.models.torch",
    "AlbertModel": "albertkit.models.torch",
    "AlbertForPreTraining": "albertkit.models.torch",
    "AlbertForMaskedLM": "albertkit.models.torch",
    "AlbertForPreTrainingOutput": "albertkit.outputs",
    "pipeline": "albertkit.pipelines",
}
"""Public name → the module it is loaded from on first use."""

__all__ = [
    "AlbertConfig",
    "AlbertForMaskedLM",
    "AlbertForPreTraining",
    "AlbertForPreTrainingOutput",
    "AlbertModel",
    "AlbertPreTrainedModel",
    "AlbertTokenizer",
    "AlbertTokenizerFast",
    "pipeline",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'albertkit' has no attribute {name!r}")
    target = "AlbertTokenizer" if name == "AlbertTokenizerFast" else name
    value = getattr(importlib.import_module(_HOMES[name]), target)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
