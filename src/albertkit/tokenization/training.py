"""Learning a vocabulary from text with ALBERT's settings, in any language."""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Iterable, Iterator

import sentencepiece
from tqdm import tqdm

from albertkit.errors import AlbertError, DataError, InputError, VocabularyError
from albertkit.tokenization.normalization import TextRules, check_text
from albertkit.tokenization.sentencepiece_file import CONTROL_SYMBOLS, USER_DEFINED_SYMBOLS, SentencePieceFile

__all__ = ["train_vocabulary"]

# <pad>, <unk>, the control and the user-defined symbols: in every vocabulary, whatever the text holds.
_FIXED_PIECES = 2 + len(CONTROL_SYMBOLS) + len(USER_DEFINED_SYMBOLS)
_LARGEST_TEXT = 4192  # bytes; SentencePiece leaves out longer sentences, so we cut them first
_SMALLEST_COVERAGE = 0.98  # SentencePiece's own bounds
_SMALLEST_SAMPLE = 101


def train_vocabulary(
    texts: Iterable[str],
    *,
    vocab_size: int = 30000,
    character_coverage: float = 0.99995,
    input_sentence_size: int = 10_000_000,
    do_lower_case: bool = True,
    keep_accents: bool = False,
    num_threads: int = 16,
    progress: bool = False,
) -> SentencePieceFile:
    """Learn a unigram vocabulary as google-research/albert does (README, ``spm_train``): same special ids, same symbols.

    Args:
        texts: Sentences or paragraphs, read once. Each goes through ALBERT's rules (white space, quotes, accents, case) first.
        vocab_size: V: pieces to learn, the 13 fixed ones included.
        character_coverage: Share of the text's characters that get a piece, 0.98 to 1; the rarest are unknown.
        input_sentence_size: Learn from a sample of so many texts when there are more; SentencePiece always draws the same.
        do_lower_case: Lower-case the texts, as the tokenizer will.
        keep_accents: Keep accents, as the tokenizer will.
        num_threads: Threads of the learning; SentencePiece's default. Another number may change the last digits of scores.
        progress: Show the texts read, and a line for the learning, on standard error.

    Returns:
        The vocabulary. A small corpus gives the same one every time; with hundreds of thousands of texts SentencePiece's own
        result varies a little (about 300 of 8,192 pieces between runs), so keep the file rather than the recipe.

    Raises:
        InputError: If a setting is out of its range.
        DataError: If there is no text.
        VocabularyError: If the texts do not hold that many pieces, or their characters need more.
    """
    _check_settings(vocab_size, character_coverage, input_sentence_size, num_threads)
    corpus = _Corpus(texts, TextRules(do_lower_case, True, keep_accents), vocab_size, progress)
    model = io.BytesIO()
    started = time.monotonic()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus), model_writer=model, model_type="unigram", vocab_size=vocab_size,
            character_coverage=character_coverage, input_sentence_size=input_sentence_size, shuffle_input_sentence=True,
            max_sentence_length=_LARGEST_TEXT, pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=list(CONTROL_SYMBOLS),
            user_defined_symbols=list(USER_DEFINED_SYMBOLS), num_threads=num_threads, minloglevel=3,
        )  # fmt: skip
    except RuntimeError as error:
        if corpus.failure is not None:
            raise corpus.failure from None
        raise _explain(str(error), vocab_size, corpus.count) from None
    if progress:
        tqdm.write(f"learnt {vocab_size:,} pieces in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return SentencePieceFile.from_bytes(model.getvalue())


class _Corpus:
    """The texts as SentencePiece's trainer pulls them: prepared, cut to its length, counted; a failure is kept for its caller."""

    def __init__(self, texts: Iterable[str], rules: TextRules, vocab_size: int, progress: bool) -> None:
        self.texts = texts
        self.rules = rules
        self.vocab_size = vocab_size
        self.progress = progress
        self.count = 0
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[str]:
        # Whatever is raised in here would reach the caller as SentencePiece's RuntimeError, without its class.
        try:
            for text in tqdm(self.texts, desc="reading", unit=" texts", disable=not self.progress, delay=1):
                for part in _cut(self.rules.apply(check_text(text))):
                    self.count += 1
                    yield part
        except BaseException as error:
            self.failure = error
            raise
        if self.progress and self.count:
            tqdm.write(f"learning {self.vocab_size:,} pieces from {self.count:,} texts …", file=sys.stderr)


def _cut(text: str) -> Iterator[str]:
    """Cut a text into parts of at most ``_LARGEST_TEXT`` bytes, at spaces where it has any; none of an empty one."""
    data, start = text.encode(), 0
    while len(data) - start > _LARGEST_TEXT:
        stop = data.rfind(b" ", start, start + _LARGEST_TEXT) + 1
        if not stop:
            stop = start + _LARGEST_TEXT
            while data[stop] & 0xC0 == 0x80:  # inside a character
                stop -= 1
        yield data[start:stop].decode()
        start = stop
    rest = data[start:].decode()
    if rest and not rest.isspace():
        yield rest


def _check_settings(vocab_size: int, character_coverage: float, input_sentence_size: int, num_threads: int) -> None:
    if vocab_size <= _FIXED_PIECES:
        raise InputError(f"vocab_size must be more than the {_FIXED_PIECES} fixed pieces", received=f"vocab_size={vocab_size}")
    if not _SMALLEST_COVERAGE <= character_coverage <= 1:
        raise InputError("character_coverage must be from 0.98 to 1", received=f"character_coverage={character_coverage}")
    if input_sentence_size < _SMALLEST_SAMPLE:
        raise InputError(
            f"input_sentence_size must be at least {_SMALLEST_SAMPLE}", received=f"input_sentence_size={input_sentence_size}"
        )
    if not 1 <= num_threads <= 1024:
        raise InputError("num_threads must be from 1 to 1024", received=f"num_threads={num_threads}")


def _explain(message: str, vocab_size: int, count: int) -> AlbertError:
    """SentencePiece's message in the words of our arguments."""
    if count == 0:
        return DataError("a vocabulary is learnt from text", received="no text, or white space only")
    if found := re.search(r"Please set it to a value <= (\d+)", message):
        return VocabularyError(
            "vocab_size must not exceed what the text holds",
            received=f"vocab_size={vocab_size} for {count:,} texts",
            fix=f"use at most {found[1]}, or more text",
        )
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return VocabularyError(
            "vocab_size must leave room for every character of the text",
            received=f"vocab_size={vocab_size}",
            fix=f"use at least {found[1]}, or a lower character_coverage",
        )
    return VocabularyError("SentencePiece could not learn a vocabulary", received=message)
