"""A tiny model of every task."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from albertkit.testing import save_tiny_checkpoint, tiny_config

CLASSES = {
    "text-classification": ("AlbertForSequenceClassification", ("no", "maybe", "yes")),
    "token-classification": ("AlbertForTokenClassification", ("O", "LOC", "PER")),
    "question-answering": ("AlbertForQuestionAnswering", ()),
    "zero-shot-classification": ("AlbertForSequenceClassification", ("contradiction", "neutral", "entailment")),
    "multiple-choice": ("AlbertForMultipleChoice", ()),
}
"""Task → class of its model and that model's labels; the other tasks run on a model for pre-training."""


@pytest.fixture(scope="session")
def model_of(tmp_path_factory) -> Callable[[str], str]:
    """Gives a task's model, with random weights, as ``--model`` takes it."""

    @cache
    def save(task: str) -> str:
        architecture, labels = CLASSES.get(task, ("AlbertForPreTraining", ()))
        config = tiny_config(**({"id2label": dict(enumerate(labels))} if labels else {}))
        return str(save_tiny_checkpoint(tmp_path_factory.mktemp(task), architecture, config, seed=3))

    return save
