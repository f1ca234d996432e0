"""From tokens back to text."""

from __future__ import annotations

from collections.abc import Container, Iterable

__all__ = ["clean_up", "join_tokens", "join_wordpieces"]

_SPACE_SYMBOL = "▁"

_CLEAN_UPS = ((" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"),
              (" 've", "'ve"), (" 're", "'re"))  # fmt: skip
"""What Hugging Face's clean_up_tokenization_spaces replaces, in order."""


def join_tokens(tokens: Iterable[str], special: Container[str], added: Container[str]) -> str:
    """Join tokens into text: each ``▁`` is a space, none at the start; an added token that is not special stands alone.

    Args:
        tokens: Pieces and added tokens.
        special: Strings of the special tokens.
        added: Strings of all added tokens.
    """
    text = ""
    alone = False
    for token in tokens:
        if token in special:
            text += token
            alone = False
        elif token in added:
            text += token if not text or text.endswith(" ") else f" {token}"
            alone = True
        else:
            piece = token.replace(_SPACE_SYMBOL, " ")
            text += f" {piece}" if alone and not piece.startswith(" ") else piece
            alone = False
    return text.strip(" ")


def join_wordpieces(tokens: Iterable[str]) -> str:
    """Join tokens of a WordPiece vocabulary into text: a space before each that begins a word, none before punctuation.

    Args:
        tokens: Pieces and added tokens.
    """
    joined = (token[2:] if token.startswith("##") else clean_up(f" {token}") for token in tokens)
    return "".join(joined).removeprefix(" ")


def clean_up(text: str) -> str:
    """Remove the space before punctuation and English contractions."""
    for spaced, joined in _CLEAN_UPS:
        text = text.replace(spaced, joined)
    return text
