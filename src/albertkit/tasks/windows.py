"""Long passages in windows: what a model reads at once of a question and its passage, and where each token came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from albertkit.errors import InputError
from albertkit.tokenization import AlbertTokenizer
from albertkit.tokenization.truncation import list_windows

__all__ = ["Passage", "Window", "cut_windows", "find_best_context", "place_tokens", "read_passages"]

_DEFAULT_STRIDE = 128


@dataclass(frozen=True, eq=False)
class Passage:
    """A text as tokens that know their characters.

    Attributes:
        text: As it was given.
        ids: Vocabulary ids.
        offsets: ``[tokens, 2]`` first character of each token and the one after its last; for a lone ``▁`` the word's first
            character, not the space, so that no answer is blank or begins with one.
        words: ``[tokens]`` the word of each token; a word begins at every ``▁``.
    """

    text: str
    ids: list[int]
    offsets: np.ndarray
    words: np.ndarray


@dataclass(frozen=True, eq=False)
class Window:
    """One row for the model: ``[CLS] question [SEP] part of a passage [SEP]``.

    Attributes:
        passage: Whose part it is.
        first: The part's first token in the passage.
        input_ids: The row.
        token_type_ids: 0 for the question, 1 for the passage.
        start: The part's first token in the row; the row ends with one ``[SEP]``.
    """

    passage: Passage
    first: int
    input_ids: list[int]
    token_type_ids: list[int]
    start: int

    @property
    def part(self) -> slice:
        """The passage's tokens in the row."""
        return slice(self.start, len(self.input_ids) - 1)

    def locate(self, start: int, end: int, *, whole_words: bool) -> tuple[int, int]:
        """Characters of the passage that tokens ``start`` to ``end`` (inclusive, counted in the part) come from.

        Args:
            start: First token.
            end: Last token.
            whole_words: Widen both ends to the words they lie in, as far as the window shows them.
        """
        begin, stop = self.first, self.first + self.part.stop - self.start
        first, last = begin + start, begin + end
        if whole_words:
            words = self.passage.words[begin:stop]
            first = begin + int(np.searchsorted(words, self.passage.words[first], side="left"))
            last = begin + int(np.searchsorted(words, self.passage.words[last], side="right")) - 1
        return int(self.passage.offsets[first, 0]), int(self.passage.offsets[last, 1])


def read_passages(tokenizer: AlbertTokenizer, texts: Sequence[str]) -> dict[str, Passage]:
    """Tokenize passages, each once however often it comes.

    Raises:
        InputError: If a text is no valid Unicode, or has no token.
    """
    unique = list(dict.fromkeys(texts))
    encoded = tokenizer(unique, add_special_tokens=False, return_offsets_mapping=True)
    passages = {}
    for number, text in enumerate(unique):
        ids = encoded["input_ids"][number]
        if not ids:
            raise InputError("a context must hold something to read", received=repr(text[:60]))
        passages[text] = Passage(
            text, ids, np.array(place_tokens(text, encoded["offset_mapping"][number])), np.array(encoded.word_ids(number))
        )
    return passages


def place_tokens(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The characters that an answer of each token alone has: for a lone ``▁`` the first one of the word that follows.

    Args:
        text: Whose tokens they are.
        spans: First character of each and the one after its last.
    """
    placed = list(spans)
    for token in range(len(spans) - 1, -1, -1):
        start, end = spans[token]
        if not text[start:end].strip():
            word = placed[min(token + 1, len(spans) - 1)][0]
            placed[token] = word, word + 1
    return placed


def cut_windows(
    tokenizer: AlbertTokenizer, question: list[int], passage: Passage, length: int, stride: int | None = None
) -> list[Window]:
    """Lay windows over a passage that does not fit beside its question.

    Args:
        tokenizer: Knows the special tokens.
        question: Its ids.
        passage: What may answer it.
        length: Most tokens of a row.
        stride: Tokens that a window shares with the one before; ``None``: 128, or less where a row has no room for so many.

    Raises:
        InputError: If a row has no room for the passage, or not for more of it than ``stride``.
    """
    budget = length - tokenizer.num_special_tokens_to_add(pair=True)
    room = budget - len(question)
    if room < 1:
        raise InputError(
            "max_seq_len must leave room for the context",
            received=f"max_seq_len={length} and a question of {len(question)} tokens",
            fix="lower max_question_len, or raise max_seq_len",
        )
    if stride is None:
        stride = min(_DEFAULT_STRIDE, length // 2, room - 1)
    if len(passage.ids) > room <= stride:
        raise InputError(
            "doc_stride must be smaller than what a window shows of the context",
            received=f"doc_stride={stride} and room for {room} tokens",
            fix="lower doc_stride, or raise max_seq_len",
        )
    lengths = (len(question), len(passage.ids))
    windows = []
    for _question, (first, stop) in list_windows(lengths, budget, "only_second", stride=stride, overflow=True):
        part = passage.ids[first:stop]
        row = tokenizer.build_inputs_with_special_tokens(question, part)
        types = tokenizer.create_token_type_ids_from_sequences(question, part)
        windows.append(Window(passage, first, row, types, len(row) - len(part) - 1))
    return windows


def find_best_context(windows: Sequence[Window]) -> list[np.ndarray]:
    """Where each window of a passage shows more around a token than every other one does (Google's ``token_is_max_context``).

    A window's context of a token is the smaller of the numbers of tokens left and right of it; longer windows win a tie, then
    earlier ones.

    Args:
        windows: All windows of one passage.

    Returns:
        For each window ``[tokens of its part]`` bool; every token of the passage is true in one window.
    """
    if len(windows) == 1:
        return [np.ones(windows[0].part.stop - windows[0].start, bool)]
    spans = [(window.first, window.first + window.part.stop - window.start) for window in windows]
    most = np.full(max(stop for _first, stop in spans), -1.0)
    best = np.zeros(len(most), np.int64)  # the window with the most context so far
    for number, (first, stop) in enumerate(spans):
        places = np.arange(stop - first)
        context = np.minimum(places, places[::-1]) + 0.01 * (stop - first)
        is_more = context > most[first:stop]
        most[first:stop][is_more], best[first:stop][is_more] = context[is_more], number
    return [best[first:stop] == number for number, (first, stop) in enumerate(spans)]
