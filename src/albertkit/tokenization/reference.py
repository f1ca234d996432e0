"""The ALBERT rule, as plainly as it can be said: one text at a time, on SentencePiece. Everything faster is tested against it.

It gives the ids of Hugging Face's slow tokenizer (transformers 4.57.6), which are google-research/albert's but for doubled
quotes and the final sigma.
"""

from __future__ import annotations

import numpy as np
from sentencepiece import SentencePieceProcessor

from albertkit.tokenization.normalization import TextRules, check_text

__all__ = ["WORD_START", "Reference", "ends_digit_comma", "find_id", "resplit"]

WORD_START = "▁"
"""How SentencePiece writes a space."""


def ends_digit_comma(piece: str) -> bool:
    """Tell whether ALBERT cuts the comma off this piece: it ends in a digit and a comma."""
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()


def resplit(processor: SentencePieceProcessor, piece: str) -> list[str]:
    """Cut a piece such as ``▁1992,`` into its number, encoded anew, and its comma (google-research/albert, tokenization.py)."""
    number: list[str] = processor.encode(piece[:-1].replace(WORD_START, ""), out_type=str, num_threads=1)
    if not piece.startswith(WORD_START) and number[0].startswith(WORD_START):
        # The number stood inside a word; encoding it alone put a word start before it.
        number = number[1:] if number[0] == WORD_START else [number[0][1:], *number[1:]]
    return [*number, ","]


def find_id(processor: SentencePieceProcessor, piece: str) -> int:
    """The id of a piece of text; the unknown one for text that no piece spells, or that only a control or unused piece spells.

    The slow tokenizer would let unknown text become a control token here, were it spelt as one after normalisation.
    """
    index = int(processor.piece_to_id(piece))
    return int(processor.unk_id()) if processor.is_control(index) or processor.is_unused(index) else index


class Reference:
    """Text ↔ pieces, ids and offsets by the ALBERT rule.

    Args:
        processor: SentencePiece with the vocabulary loaded.
        rules: Which of ALBERT's rules are on.
    """

    def __init__(self, processor: SentencePieceProcessor, rules: TextRules) -> None:
        self.processor = processor
        self.rules = rules

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text; an unknown one as the characters it stands for."""
        result = []
        for piece in self._encode(self.rules.apply(check_text(text))):
            result.extend(resplit(self.processor, piece) if ends_digit_comma(piece) else [piece])
        return result

    def ids(self, text: str) -> list[int]:
        """The ids of a text's pieces."""
        return [find_id(self.processor, piece) for piece in self.pieces(text)]

    def ids_with_offsets(self, text: str) -> tuple[list[int], np.ndarray]:
        """The ids of a text, and where in it each came from.

        Returns:
            Ids, and offsets int64 [n, 2] in characters of ``text``, end exclusive. White space before a word belongs to
            no token but a lone ``▁``; characters that normalisation drops belong to the token before them.
        """
        prepared, spans = self.rules.apply_with_spans(check_text(text))
        normalized, starts = self.processor.normalize(prepared, with_offsets=True)
        spans.append((len(text), len(text)))
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        position = 0
        for piece in self._encode(prepared):
            parts = resplit(self.processor, piece) if ends_digit_comma(piece) else [piece]
            whole = sum(map(len, parts)) != len(piece)  # the new parts do not line up with the old: each gets all
            begin = position
            for part in parts:
                end = position + len(piece) if whole else begin + len(part)
                ids.append(find_id(self.processor, part))
                offsets.append(_cut(normalized, starts, spans, begin, end))
                begin = position if whole else end
            position += len(piece)
        return ids, np.array(offsets, np.int64).reshape(-1, 2)

    def _encode(self, prepared: str) -> list[str]:
        pieces: list[str] = self.processor.encode(prepared, out_type=str, num_threads=1)
        return pieces


def _cut(normalized: str, starts: list[int], spans: list[tuple[int, int]], begin: int, end: int) -> tuple[int, int]:
    """The span in the original text of ``normalized[begin:end]``; ``starts`` leads to the prepared text, ``spans`` further."""
    if end - begin > 1 and normalized[begin] == WORD_START:
        begin += 1
    first, last = starts[begin], starts[end]
    if normalized[begin] == WORD_START and first == last:
        return spans[first][0], spans[first][0]  # a lone ▁ that SentencePiece put before the text: from nowhere in it
    # A character that became several may be cut between tokens: each then gets the whole character.
    return spans[first][0], spans[max(last, first + 1) - 1][1]
