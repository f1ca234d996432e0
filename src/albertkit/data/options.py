"""The ``data`` and ``examples`` sections of a recipe; every choice of the paper and every quirk of Google's code has a name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from albertkit.errors import ConfigError, suggest

__all__ = ["EXCLUDABLE", "DataRecipe", "ExampleOptions"]

EXCLUDABLE = ("lists", "tables", "headers")
"""Kinds of paragraphs that :attr:`DataRecipe.exclude` may name."""


@dataclass(frozen=True)
class ExampleOptions:
    """How sentences become sentence-order examples with n-gram masks; the defaults are those of the paper.

    Sources: arXiv:1909.11942 §3.1 and §4.1; google-research/albert, ``create_pretraining_data.py``, whose choices are
    :meth:`google`.
    """

    max_seq_length: int = 512
    """Longest example in tokens, ``[CLS]`` and both ``[SEP]`` included. May change between runs over the same shards."""

    dupe_factor: int | None = None
    """Epochs after which examples, masks included, come again as they were; ``None``: never. Google's code writes 40 copies of
    the documents, each masked anew, and trains on them over and over."""

    short_seq_prob: float = 0.1
    """Probability that examples are made shorter, of a length drawn evenly from 2 tokens to the longest."""

    short_seq_unit: Literal["document", "example"] = "document"
    """Whether that is decided once for a document and epoch, as in Google's code, or for each example. A shortened document gives
    many short examples, so that under ``document`` more examples than ``short_seq_prob`` are short."""

    masked_lm_prob: float = 0.15
    """Share of an example's tokens that are predicted, at least one."""

    max_predictions_per_seq: int | None = None
    """Upper bound on predicted tokens; ``None`` is no bound. Google's 20 leave a 512-token example with 3.9 % instead of 15 %."""

    ngram: int = 3
    """Longest run of whole words masked together; a length n is drawn with probability proportional to 1/n."""

    favor_shorter_ngram: bool = True
    """Whether short runs are the likely ones; ``False`` turns the probabilities round."""

    whole_word: bool = True
    """Whether words are masked whole; ``False`` makes every token a word of its own."""

    word_starts: Literal["unicode", "google"] = "unicode"
    """Which pieces begin a word. ``google``: also every piece that holds anything but a–z, so that outside English hardly a word
    has two pieces. ``unicode``: pieces that do not begin with a letter of an alphabet go on no word, all others do."""

    ngrams_cross_segments: bool = False
    """Whether a run of words may reach from the first segment over ``[SEP]`` into the second, as in Google's code."""

    mask_token_prob: float = 0.8
    """Probability that a predicted token is replaced by ``[MASK]``."""

    random_token_prob: float = 0.1
    """Probability that it is replaced by a token drawn uniformly; otherwise it stays."""

    replacement_unit: Literal["token", "span"] = "token"
    """Whether ``[MASK]``, random or unchanged is decided for each token or once for a masked run of words."""

    random_token_may_be_special: bool = False
    """Whether the drawn token may be ``[CLS]``, ``<pad>`` and the like, as in Google's code."""

    random_token_may_be_original: bool = True
    """Whether the drawn token may be the one it replaces."""

    permute_tokens: bool = False
    """Whether as many further tokens, chosen by the same draw of n-grams, change places with one another and are predicted too:
    ``do_permutation`` of Google's code. An example then has up to twice ``max_predictions_per_seq`` predicted tokens."""

    swap_prob: float = 0.5
    """Probability that the segments change places (sentence order label 1)."""

    random_next_sentence: bool = False
    """Whether, instead of changing places, the second segment is taken from another document: BERT's next-sentence prediction,
    ``random_next_sentence`` of Google's code. The sentences it stands in for are left out of that epoch."""

    one_sentence_chunks: Literal["neighbour", "skip", "other_document"] = "neighbour"
    """What becomes of a stretch of one sentence, which has no order: ``neighbour`` joins the sentence before it (or after, for a
    document's first), and leaves out documents of one sentence; ``skip`` leaves all out; ``other_document`` pairs it with
    sentences of another document under label 1, as Google's code does, which makes label 1 easier than intended."""

    truncate_front_prob: float = 0.5
    """Probability with which each token too many is taken from the front of the longer segment rather than its back."""

    def __post_init__(self) -> None:
        _require(
            self.max_seq_length >= 5, "max_seq_length must be at least 5: two tokens and three special ones", self.max_seq_length
        )
        _require(self.ngram >= 1, "ngram must be at least 1", self.ngram)
        for name in ("max_predictions_per_seq", "dupe_factor"):
            value = getattr(self, name)
            _require(value is None or value >= 1, f"{name} must be at least 1, or null for no bound", value)
        for name in ("short_seq_prob", "mask_token_prob", "random_token_prob", "swap_prob", "truncate_front_prob"):
            _require(0 <= getattr(self, name) <= 1, f"{name} must be between 0 and 1", getattr(self, name))
        _require(0 < self.masked_lm_prob < 1, "masked_lm_prob must be above 0 and below 1", self.masked_lm_prob)
        total = self.mask_token_prob + self.random_token_prob
        _require(total <= 1 + 1e-9, "mask_token_prob and random_token_prob must not exceed 1 together", total)
        for name, allowed in (
            ("short_seq_unit", ("document", "example")),
            ("word_starts", ("unicode", "google")),
            ("replacement_unit", ("token", "span")),
            ("one_sentence_chunks", ("neighbour", "skip", "other_document")),
        ):
            _require(getattr(self, name) in allowed, f"{name} must be one of {', '.join(allowed)}", repr(getattr(self, name)))

    @classmethod
    def paper(cls, *, max_seq_length: int = 512) -> ExampleOptions:
        """Build the choices of the paper; where it says nothing, those that keep its intent.

        Args:
            max_seq_length: Longest example in tokens.
        """
        return cls(max_seq_length=max_seq_length)

    @classmethod
    def google(cls, *, max_seq_length: int = 512) -> ExampleOptions:
        """Build the choices of Google's code at its default flags, quirks included.

        Args:
            max_seq_length: Longest example in tokens.
        """
        return cls(
            max_seq_length=max_seq_length,
            dupe_factor=40,
            max_predictions_per_seq=20,
            word_starts="google",
            ngrams_cross_segments=True,
            random_token_may_be_special=True,
            one_sentence_chunks="other_document",
        )


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """Which text becomes which prepared folder."""

    sources: list[str]
    """Text files (``.txt``, ``.jsonl``, those of WikiExtractor, each also ``.gz``, ``.bz2``, ``.xz``) and folders of them."""

    tokenizer: str
    """Directory or name of the tokenizer; its files are copied into the prepared folder."""

    output: str
    """The prepared folder, which ``albertkit prepare`` writes and ``albertkit pretrain`` reads; one that exists is replaced."""

    held_out: float = 0.005
    """Documents kept from training for evaluation: below 1 a fraction of them, else their number. They are chosen by a hash of
    their text, so that neither the order nor the number of files changes the choice, and copies of a document stay together."""

    exclude: list[str] = field(default_factory=list)
    """Kinds of paragraphs to leave out: ``lists``, ``tables``, ``headers``; the rules are in ``data/filters.py``."""

    workers: int | None = None
    """Processes that divide and tokenise the text; null is one for each core. What is written does not depend on it."""

    language: str | None = None
    """ISO 639-1 code of the texts' language, ``en`` or ``ko``, for the model card; under ``en`` it has cloze scores too."""

    def __post_init__(self) -> None:
        if not self.sources:
            raise ConfigError("sources must name at least one file or folder", received="none")
        for name in ("tokenizer", "output"):
            if not getattr(self, name):
                raise ConfigError(f"{name} must be a path", received="nothing")
        if not (0 <= self.held_out < 1 or (self.held_out >= 1 and float(self.held_out).is_integer())):
            rule = "held_out must be a fraction below 1 or a whole number of documents"
            raise ConfigError(rule, received=self.held_out)
        for kind in self.exclude:
            if kind not in EXCLUDABLE:
                fix = suggest(kind, EXCLUDABLE)
                raise ConfigError(f"exclude must be a list of {', '.join(EXCLUDABLE)}", received=repr(kind), fix=fix)
        _require(self.workers is None or self.workers >= 1, "workers must be at least 1, or null", self.workers)


def _require(holds: bool, rule: str, received: object) -> None:
    if not holds:
        raise ConfigError(rule, received=received)
