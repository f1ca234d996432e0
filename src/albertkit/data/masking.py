"""n-gram whole-word masking, drawn afresh for every example and epoch.

    tokens     ▁the ▁run way ▁is ▁long .        a piece that begins no word goes with the word before it
    words      [the] [run way] [is] [long] [.]
    spans      words in random order; from each, 1 to 3 words (6/11, 3/11, 2/11) if they fit the budget and overlap nothing
    tokens     80 % [MASK], 10 % random, 10 % unchanged; all of them are predicted
    permuted   if asked for: as many others, chosen alike, change places with one another and are predicted too

Sources: arXiv:1909.11942 §4.1; ``create_masked_lm_predictions`` of google-research/albert, ``create_pretraining_data.py``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from albertkit.data.options import ExampleOptions
from albertkit.data.vocabulary import Vocabulary, find_word_starts

__all__ = ["Masker"]

Ids = npt.NDArray[np.int32]
Positions = npt.NDArray[np.int64]


class Masker:
    """Chooses the tokens of an example that are predicted, and what stands in their place.

    Args:
        options: Budget, n-grams and replacement.
        vocabulary: Pieces and special ids.
    """

    def __init__(self, options: ExampleOptions, vocabulary: Vocabulary) -> None:
        self._options = options
        self._mask_token_id = vocabulary.mask_token_id
        size = len(vocabulary.pieces)
        self._starts_word = find_word_starts(vocabulary.pieces, options.word_starts)
        is_candidate = np.ones(size, np.bool_)
        if not options.random_token_may_be_special:
            is_candidate[vocabulary.special_ids] = False
        self._candidates = np.flatnonzero(is_candidate).astype(np.int32)
        # Place of each id among the candidates; past the end for those that are none.
        self._rank = np.where(is_candidate, np.cumsum(is_candidate) - 1, len(self._candidates))
        weights = 1 / np.arange(1, options.ngram + 1)
        if not options.favor_shorter_ngram:
            weights = weights[::-1]
        self._ngram_edges = np.cumsum(weights / weights.sum())[:-1]

    def mask(self, content: Ids, first_length: int, generator: np.random.Generator) -> tuple[Positions, Ids]:
        """Choose tokens and replacements.

        Args:
            content: Ids of both segments end to end, without special tokens.
            first_length: How many of them are the first segment's.
            generator: Source of chance.

        Returns:
            Ascending places in ``content`` that are predicted, and the ids to put there.
        """
        is_taken = bytearray(len(content))
        spans = self.draw_spans(content, first_length, generator, is_taken=is_taken)
        positions = _places(spans)
        decision, choice = generator.random((2, len(content)))
        if self._options.replacement_unit == "span":
            unit = np.array([begin for begin, end in spans for _ in range(begin, end)], dtype=np.int64)
        else:
            unit = positions
        replaced = self._replace(content[positions], decision[unit], choice[positions])
        if not self._options.permute_tokens:
            return positions, replaced
        moved = _places(self.draw_spans(content, first_length, generator, is_taken=is_taken))
        sources = moved[np.argsort(generator.random(len(moved)))]
        positions = np.concatenate([positions, moved])
        ascending = np.argsort(positions)
        return positions[ascending], np.concatenate([replaced, content[sources]])[ascending]

    def draw_spans(
        self, content: Ids, first_length: int, generator: np.random.Generator, *, is_taken: bytearray | None = None
    ) -> list[tuple[int, int]]:
        """Choose runs of whole words: begin and end in ``content``, ascending and apart.

        Args:
            content: Ids of both segments end to end, without special tokens.
            first_length: How many of them are the first segment's.
            generator: Gives two numbers a word.
            is_taken: 1 for every token that may not be chosen; those that are chosen become 1 too.
        """
        options = self._options
        is_taken = bytearray(len(content)) if is_taken is None else is_taken
        left = self.budget(len(content) + 3)
        begins = self._find_words(content, first_length)
        num_words = len(begins)
        order, length = generator.random((2, num_words))
        sizes: list[int] = (np.searchsorted(self._ngram_edges, length, side="right") + 1).tolist()
        bounds: list[int] = [*begins.tolist(), len(content)]
        words_of_first = num_words if options.ngrams_cross_segments else int(np.searchsorted(begins, first_length))
        spans = []
        for word in np.argsort(order).tolist():
            if left == 0:
                break
            limit = words_of_first if word < words_of_first else num_words
            end_word = min(word + sizes[word], limit)
            begin, end = bounds[word], bounds[end_word]
            while end - begin > left and end_word > word + 1:
                end_word -= 1
                end = bounds[end_word]
            if end - begin > left or is_taken.find(1, begin, end) >= 0:
                continue
            is_taken[begin:end] = b"\x01" * (end - begin)
            left -= end - begin
            spans.append((begin, end))
        return sorted(spans)

    def budget(self, length: int) -> int:
        """Compute how many tokens of an example may be predicted.

        Args:
            length: Its tokens, special ones included.
        """
        budget = max(1, round(length * self._options.masked_lm_prob))
        bound = self._options.max_predictions_per_seq
        return budget if bound is None else min(budget, bound)

    def _find_words(self, content: Ids, first_length: int) -> Positions:
        if not self._options.whole_word:
            return np.arange(len(content))
        begins_word = self._starts_word[content]
        begins_word[0] = True
        if not self._options.ngrams_cross_segments:
            begins_word[first_length] = True
        return np.flatnonzero(begins_word)

    def _replace(self, originals: Ids, decision: npt.NDArray[np.float64], choice: npt.NDArray[np.float64]) -> Ids:
        options = self._options
        count = len(self._candidates)
        if options.random_token_may_be_original:
            drawn = (choice * count).astype(np.int64)
        else:
            rank = self._rank[originals]
            drawn = (choice * (count - (rank < count))).astype(np.int64)
            drawn += drawn >= rank
        replaced = np.where(decision < options.mask_token_prob + options.random_token_prob, self._candidates[drawn], originals)
        replaced[decision < options.mask_token_prob] = self._mask_token_id
        return replaced.astype(np.int32, copy=False)


def _places(spans: list[tuple[int, int]]) -> Positions:
    return np.array([place for begin, end in spans for place in range(begin, end)], dtype=np.int64)
