"""A tokenizer for the tiny model."""

from __future__ import annotations

from albertkit.testing.vocabulary import tiny_vocabulary
from albertkit.tokenization import AlbertTokenizer

__all__ = ["tiny_tokenizer"]


def tiny_tokenizer() -> AlbertTokenizer:
    """A tokenizer of the 101 pieces of :func:`~albertkit.testing.vocabulary.tiny_vocabulary`, for 43 tokens at most."""
    return AlbertTokenizer(vocabulary=tiny_vocabulary(), model_max_length=43)
