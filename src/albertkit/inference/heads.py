"""The sentence for a head that a model lacks, and which heads read the pooler."""

from __future__ import annotations

from albertkit.checkpoints.parameters import Head
from albertkit.errors import CheckpointError, InputError

__all__ = ["require_head", "require_scores"]


def require_head(head: Head | None, heads: tuple[Head, ...]) -> None:
    """Raise :class:`~albertkit.errors.CheckpointError` unless ``head`` is among ``heads``, or none is asked for."""
    if head is not None and head not in heads:
        raise CheckpointError(
            f"this task needs a checkpoint with a {head} head",
            received=f"one with {', '.join(heads) or 'the encoder alone'}",
            fix="name a model that was fine-tuned for it; albertkit info tells what a checkpoint holds",
        )


def require_scores(head: Head, heads: tuple[Head, ...]) -> None:
    """:func:`require_head` for a head that gives a row of scores; an :class:`~albertkit.errors.InputError` for answerability."""
    if head == "answerability":
        raise InputError(
            "logits are one row of scores for each token or sequence, which the answerability head does not give",
            fix="call answer_spans",
        )
    require_head(head, heads)
