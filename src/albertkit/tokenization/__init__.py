"""Text to ids and back, with offsets, by the ALBERT rules on SentencePiece; and learning a vocabulary."""

from __future__ import annotations

from albertkit.tokenization.encoding import BatchEncoding
from albertkit.tokenization.special_tokens import AddedToken
from albertkit.tokenization.tokenizer import AlbertTokenizer

__all__ = ["AddedToken", "AlbertTokenizer", "BatchEncoding"]
