"""``pseudo-log-likelihood``: how likely a masked language model finds a text, each token predicted from all others."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.errors import InputError, suggest
from albertkit.inference import TokenBatch, plan_batches
from albertkit.pipelines.base import UNSET, Options, Pipeline, Record, Rows, Unset, shorten
from albertkit.tokenization.encoding import Encoding

__all__ = ["PseudoLogLikelihoodOptions", "PseudoLogLikelihoodPipeline"]

_METHODS = ("token", "word_l2r")


@dataclass(frozen=True, kw_only=True)
class PseudoLogLikelihoodOptions(Options):
    """Options of ``pseudo-log-likelihood``.

    Raises:
        InputError: If the method is unknown.
    """

    method: str = "token"
    """``"token"``: a token is predicted from all others (arXiv:1910.14659). ``"word_l2r"``: those to its right in the same word
    are masked too, so that a rare word of several pieces does not pass for a likely one (arXiv:2305.10588). Words are the
    tokenizer's: punctuation belongs to the word that it touches."""
    per_token: bool = False
    """Answer the score of each token too."""

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise InputError(
                f"method must be one of {', '.join(_METHODS)}", received=repr(self.method), fix=suggest(self.method, _METHODS)
            )


class _Gap(NamedTuple):
    """A token to predict: row ``text`` with the places ``start`` to ``stop`` masked, of which ``start`` is asked for."""

    text: int
    start: int
    stop: int


class PseudoLogLikelihoodPipeline(Pipeline[PseudoLogLikelihoodOptions]):
    """Scores texts, at a run of the model for each token.

    Special tokens are not scored, whether the tokenizer adds them or the text spells them. Scores of texts of different lengths
    compare by their perplexity; it is a pseudo-perplexity, and says nothing beside that of a left-to-right model.
    """

    task = "pseudo-log-likelihood"
    head: ClassVar[Head | None] = "masked_lm"
    options_class = PseudoLogLikelihoodOptions
    too_long = "shorten it"

    def __call__(self, inputs: str | Iterable[str], *, method: str | Unset = UNSET, per_token: bool | Unset = UNSET) -> Any:
        """Score one text or several.

        Args:
            inputs: A text, a list of texts, or any other iterable of them.
            method: See :class:`PseudoLogLikelihoodOptions`.
            per_token: See :class:`PseudoLogLikelihoodOptions`.

        Returns:
            ``{"score", "tokens", "perplexity"}``: the sum of the tokens' log-probabilities (natural logarithm), their number n,
            and exp(−score / n). With ``per_token`` also ``"token_scores"``: ``{"token", "start", "end", "score"}`` for each,
            with its characters in the text. For a list of texts a list of these, for another iterable an iterator.

        Raises:
            InputError: If a text is too long or has no token to score, or an option is impossible.
        """
        return self._run(inputs, self.options.changed(method=method, per_token=per_token))

    def _answer(self, records: list[Record], options: PseudoLogLikelihoodOptions) -> list[Any]:
        texts = [record["text"] for record in records]
        rows = self._encode(texts)
        # Offsets and words cost more than ids.
        described = self.tokenizer(texts).encodings if options.per_token or options.method == "word_l2r" else None
        gaps = self._list_gaps(texts, rows, described if options.method == "word_l2r" else None)
        scores = self._score(rows, gaps)
        answers: list[Any] = [{"score": 0.0, "tokens": 0} | ({"token_scores": []} if options.per_token else {}) for _ in texts]
        for gap, score in zip(gaps, scores, strict=True):
            answer = answers[gap.text]
            answer["score"] += score
            answer["tokens"] += 1
            if options.per_token and described is not None:
                token = described[gap.text]
                start, end = token.offsets[gap.start]
                answer["token_scores"].append({"token": token.tokens[gap.start], "start": start, "end": end, "score": score})
        return [answer | {"perplexity": math.exp(-answer["score"] / answer["tokens"])} for answer in answers]

    def _list_gaps(self, texts: list[str], rows: Rows, words: list[Encoding] | None) -> list[_Gap]:
        """Every token to predict, with what is masked for it: that token, or with ``words`` the rest of its word."""
        tokenizer = self.tokenizer
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        gaps: list[_Gap] = []
        for number, (text, ids) in enumerate(zip(texts, rows.input_ids, strict=True)):
            places = [place for place, token in enumerate(ids) if token not in special]
            if not places:
                raise InputError("a text must have a token that can be scored", received=shorten(text))
            for place in places:
                stop = place + 1
                while words is not None and words[number].word_ids[stop] == words[number].word_ids[place]:
                    stop += 1
                gaps.append(_Gap(number, place, stop))
        return gaps

    def _score(self, rows: Rows, gaps: list[_Gap]) -> list[float]:
        """Log-probability of each gap's token. The rows, of which there are as many as tokens, are made batch by batch."""
        scores = [0.0] * len(gaps)
        lengths = [len(rows.input_ids[gap.text]) for gap in gaps]
        for numbers in plan_batches(lengths, self.settings.token_budget, self.settings.batch_size):
            chosen = [gaps[number] for number in numbers]
            masked = [self._mask(rows.input_ids[gap.text], gap) for gap in chosen]
            batch = TokenBatch.from_sequences(masked, [rows.token_type_ids[gap.text] for gap in chosen])
            positions = batch.cu_seqlens[:-1] + [gap.start for gap in chosen]
            for number, gap, logits in zip(numbers, chosen, self.engine.logits("masked_lm", batch, positions), strict=True):
                known = logits[: len(self.tokenizer)].astype(np.float64)
                known -= known.max()
                scores[number] = float(known[rows.input_ids[gap.text][gap.start]] - np.log(np.exp(known).sum()))
        return scores

    def _mask(self, ids: Any, gap: _Gap) -> list[int]:
        return [*ids[: gap.start], *[self.tokenizer.mask_token_id] * (gap.stop - gap.start), *ids[gap.stop :]]
