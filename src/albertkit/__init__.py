"""ALBERT (A Lite BERT, arXiv:1909.11942), whole: text to vocabulary, pre-training, checkpoints and predictions.

The public names load on first use, so that importing albertkit imports no framework. The models are PyTorch's; those of JAX are
called ``Flax…`` and those of TensorFlow ``TF…``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from albertkit.config import AlbertConfig
    from albertkit.models.jax import AlbertForMaskedLM as FlaxAlbertForMaskedLM
    from albertkit.models.jax import AlbertForMultipleChoice as FlaxAlbertForMultipleChoice
    from albertkit.models.jax import AlbertForPreTraining as FlaxAlbertForPreTraining
    from albertkit.models.jax import AlbertForQuestionAnswering as FlaxAlbertForQuestionAnswering
    from albertkit.models.jax import AlbertForSequenceClassification as FlaxAlbertForSequenceClassification
    from albertkit.models.jax import AlbertForTokenClassification as FlaxAlbertForTokenClassification
    from albertkit.models.jax import AlbertModel as FlaxAlbertModel
    from albertkit.models.jax import AlbertPreTrainedModel as FlaxAlbertPreTrainedModel
    from albertkit.models.tensorflow import AlbertForMaskedLM as TFAlbertForMaskedLM
    from albertkit.models.tensorflow import AlbertForMultipleChoice as TFAlbertForMultipleChoice
    from albertkit.models.tensorflow import AlbertForPreTraining as TFAlbertForPreTraining
    from albertkit.models.tensorflow import AlbertForQuestionAnswering as TFAlbertForQuestionAnswering
    from albertkit.models.tensorflow import AlbertForSequenceClassification as TFAlbertForSequenceClassification
    from albertkit.models.tensorflow import AlbertForTokenClassification as TFAlbertForTokenClassification
    from albertkit.models.tensorflow import AlbertModel as TFAlbertModel
    from albertkit.models.tensorflow import AlbertPreTrainedModel as TFAlbertPreTrainedModel
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

    AlbertTokenizerFast = AutoTokenizer = BertTokenizer = BertTokenizerFast = AlbertTokenizer
    AutoConfig = AlbertConfig
    AutoModel = AlbertModel
    AutoModelForMaskedLM = AlbertForMaskedLM
    AutoModelForMultipleChoice = AlbertForMultipleChoice
    AutoModelForPreTraining = AlbertForPreTraining
    AutoModelForQuestionAnswering = AlbertForQuestionAnswering
    AutoModelForSequenceClassification = AlbertForSequenceClassification
    AutoModelForTokenClassification = AlbertForTokenClassification
    FlaxAlbertForPreTrainingOutput = TFAlbertForPreTrainingOutput = AlbertForPreTrainingOutput
    FlaxAutoModel = FlaxAlbertModel
    FlaxAutoModelForMaskedLM = FlaxAlbertForMaskedLM
    FlaxAutoModelForMultipleChoice = FlaxAlbertForMultipleChoice
    FlaxAutoModelForPreTraining = FlaxAlbertForPreTraining
    FlaxAutoModelForQuestionAnswering = FlaxAlbertForQuestionAnswering
    FlaxAutoModelForSequenceClassification = FlaxAlbertForSequenceClassification
    FlaxAutoModelForTokenClassification = FlaxAlbertForTokenClassification
    TFAutoModel = TFAlbertModel
    TFAutoModelForMaskedLM = TFAlbertForMaskedLM
    TFAutoModelForMultipleChoice = TFAlbertForMultipleChoice
    TFAutoModelForPreTraining = TFAlbertForPreTraining
    TFAutoModelForQuestionAnswering = TFAlbertForQuestionAnswering
    TFAutoModelForSequenceClassification = TFAlbertForSequenceClassification
    TFAutoModelForTokenClassification = TFAlbertForTokenClassification

__version__ = "0.1.0"

_PACKAGES = {"": "albertkit.models.torch", "Flax": "albertkit.models.jax", "TF": "albertkit.models.tensorflow"}
"""What the public names of a framework's classes begin with → the package that has them without it."""

_TASKS = ("MaskedLM", "MultipleChoice", "PreTraining", "QuestionAnswering", "SequenceClassification", "TokenClassification")


def _list_homes() -> dict[str, tuple[str, str]]:
    """Public name → the module it is loaded from on first use, and its name there.

    The ``Auto…`` names are those that documentation elsewhere uses: code written for them runs with its import line changed.
    """
    homes = {
        "AlbertConfig": ("albertkit.config", "AlbertConfig"),
        "AutoConfig": ("albertkit.config", "AlbertConfig"),
        "AlbertForQuestionAnsweringWithAnswerability": (_PACKAGES[""], "AlbertForQuestionAnsweringWithAnswerability"),
        "pipeline": ("albertkit.pipelines", "pipeline"),
    }
    # The model cards of Chinese ALBERTs import BERT's tokenizer, for the sake of their vocabulary.
    for name in ("AlbertTokenizer", "AlbertTokenizerFast", "AutoTokenizer", "BertTokenizer", "BertTokenizerFast"):
        homes[name] = ("albertkit.tokenization", "AlbertTokenizer")
    for prefix, package in _PACKAGES.items():
        homes[f"{prefix}AlbertPreTrainedModel"] = (package, "AlbertPreTrainedModel")
        homes[f"{prefix}AlbertForPreTrainingOutput"] = ("albertkit.outputs", "AlbertForPreTrainingOutput")
        homes[f"{prefix}AlbertModel"] = homes[f"{prefix}AutoModel"] = (package, "AlbertModel")
        for task in _TASKS:
            homes[f"{prefix}AlbertFor{task}"] = homes[f"{prefix}AutoModelFor{task}"] = (package, f"AlbertFor{task}")
    return homes


_HOMES = _list_homes()

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
    "BertTokenizer",
    "BertTokenizerFast",
    "FlaxAlbertForMaskedLM",
    "FlaxAlbertForMultipleChoice",
    "FlaxAlbertForPreTraining",
    "FlaxAlbertForPreTrainingOutput",
    "FlaxAlbertForQuestionAnswering",
    "FlaxAlbertForSequenceClassification",
    "FlaxAlbertForTokenClassification",
    "FlaxAlbertModel",
    "FlaxAlbertPreTrainedModel",
    "FlaxAutoModel",
    "FlaxAutoModelForMaskedLM",
    "FlaxAutoModelForMultipleChoice",
    "FlaxAutoModelForPreTraining",
    "FlaxAutoModelForQuestionAnswering",
    "FlaxAutoModelForSequenceClassification",
    "FlaxAutoModelForTokenClassification",
    "TFAlbertForMaskedLM",
    "TFAlbertForMultipleChoice",
    "TFAlbertForPreTraining",
    "TFAlbertForPreTrainingOutput",
    "TFAlbertForQuestionAnswering",
    "TFAlbertForSequenceClassification",
    "TFAlbertForTokenClassification",
    "TFAlbertModel",
    "TFAlbertPreTrainedModel",
    "TFAutoModel",
    "TFAutoModelForMaskedLM",
    "TFAutoModelForMultipleChoice",
    "TFAutoModelForPreTraining",
    "TFAutoModelForQuestionAnswering",
    "TFAutoModelForSequenceClassification",
    "TFAutoModelForTokenClassification",
    "pipeline",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'albertkit' has no attribute {name!r}")
    module, original = _HOMES[name]
    value = getattr(importlib.import_module(module), original)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
