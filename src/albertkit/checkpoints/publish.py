"""Checkpoints on the Hugging Face hub: the files of a directory, and a model card made from what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from albertkit import hub
from albertkit.checkpoints.describe import Description, describe_checkpoint
from albertkit.checkpoints.model_card import CARD_FILE, ModelCard, format_table
from albertkit.checkpoints.parameters import HEADS_OF_CLASS, Head

__all__ = ["make_card", "push_folder"]

_TASK_OF_HEAD: dict[Head, str] = {
    "sequence_classification": "text-classification",
    "multiple_choice": "multiple-choice",
    "token_classification": "token-classification",
    "question_answering": "question-answering",
    "answerability": "question-answering",
    "masked_lm": "fill-mask",
}
"""Head → the hub's name of the task, in order of preference; a model without any gives features."""

_LABELLED: tuple[Head, ...] = ("sequence_classification", "token_classification")
_OURS_ALONE = "AlbertForQuestionAnsweringWithAnswerability"  # transformers has no such class


def push_folder(
    directory: str | Path,
    repo_id: str,
    *,
    commit_message: str | None = None,
    private: bool | None = None,
    token: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> str:
    """Send a checkpoint to the hub in one commit, with a model card unless its directory or the repository has one.

    Args:
        directory: The checkpoint's, as ``save_pretrained`` writes it.
        repo_id: ``owner/name``, or a name alone for one's own; made if need be.
        commit_message: The commit's first line.
        private: Whether a new repository is seen by its owner alone.
        token: With the right to write; that of ``hf auth login`` when absent.
        revision: Branch to commit to, made if need be; the main one when absent.
        create_pr: Open a pull request instead.

    Returns:
        The URL of the commit, or of the pull request.

    Raises:
        CheckpointError: If the directory holds no checkpoint, or the hub refuses or cannot be reached.
        InputError: If both a branch and a pull request are asked for.
    """
    found = describe_checkpoint(directory)

    def write_defaults(repository: str) -> Mapping[str, str]:
        return {CARD_FILE: str(make_card(found, repository))}

    return hub.upload(
        directory, repo_id, defaults=write_defaults, commit_message=commit_message, private=private, token=token,
        revision=revision, create_pr=create_pr,
    )  # fmt: skip


def make_card(found: Description, name: str, *, language: str | None = None, licence: str | None = None) -> ModelCard:
    """A model card that says what a checkpoint's files show: its task, use, sizes and labels. Scores are for its author to add.

    Args:
        found: The checkpoint.
        name: What it is loaded by, a hub id or a directory.
        language: Code of the language it is for, for the header.
        licence: The hub's name of its licence, for the header.
    """
    task = next((task for head, task in _TASK_OF_HEAD.items() if head in found.heads), "feature-extraction")
    metadata: dict[str, Any] = {
        "language": language,
        "license": licence,
        "library_name": "albertkit",
        "pipeline_tag": task,
        "tags": ["albert", "transformers", task],
    }
    sections = {"Use": _describe_use(found, name, task), "Architecture": format_table(("part", "size"), found.sizes())}
    if any(head in found.heads for head in _LABELLED):
        labels = [(index, f"`{label}`") for index, label in sorted((found.config.id2label or {}).items())]
        sections["Labels"] = format_table(("number", "label"), labels)
    paper = "[arXiv:1909.11942](https://arxiv.org/abs/1909.11942)"
    summary = f"An ALBERT ({paper}) for {task}, saved by albertkit. This card was made from its files; nothing was measured."
    return ModelCard(name.rpartition("/")[2], summary, metadata, sections)


def _describe_use(found: Description, name: str, task: str) -> str:
    architecture = next((item for item in found.config.architectures if item in HEADS_OF_CLASS), None)
    if architecture is None:
        architecture = next((item for item, heads in HEADS_OF_CLASS.items() if set(heads) >= set(found.heads)), "AlbertModel")
    ours = f'```python\nfrom albertkit import pipeline\n\nmodel = pipeline("{task}", model="{name}")\n```'
    if architecture == _OURS_ALONE:
        return f"{ours}\n\ntransformers has no class for this head."
    theirs = (
        f"```python\nfrom transformers import {architecture}, AutoTokenizer\n\n"
        f'tokenizer = AutoTokenizer.from_pretrained("{name}")\nmodel = {architecture}.from_pretrained("{name}")\n```'
    )
    return f"{ours}\n\nWith transformers:\n\n{theirs}"
