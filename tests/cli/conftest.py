"""A tiny model of every task."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.testing import random_parameters, tiny_config, tiny_tokenizer

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
        directory = tmp_path_factory.mktemp(task)
        config = tiny_config(**({"id2label": dict(enumerate(labels))} if labels else {}))
        parameters = random_parameters(config, HEADS_OF_CLASS[architecture], seed=3)
        save_checkpoint(directory, config, parameters, architecture=architecture)
        tiny_tokenizer().save_pretrained(directory)
        return str(directory)

    return save
