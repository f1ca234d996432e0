"""``fill-mask``: the most likely tokens at each ``[MASK]``, in the answer form of the Hugging Face hub."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from albertkit.errors import InputError
from albertkit.inference import Engine, TokenBatch, plan_batches
from albertkit.tokenization import AlbertTokenizer

__all__ = ["FillMaskPipeline"]

_WINDOW = 1024  # texts looked at together: sorted by length, answered in the order in which they came


class FillMaskPipeline:
    """Fills masked positions, each on its own.

    Args:
        engine: Runs the model.
        tokenizer: The model's own.
        token_budget: Most tokens the engine is given at once.

    Raises:
        InputError: If the tokenizer's vocabulary is larger than the model's.
    """

    task = "fill-mask"

    def __init__(self, engine: Engine, tokenizer: AlbertTokenizer, *, token_budget: int = 4096) -> None:
        if len(tokenizer) > engine.config.vocab_size:
            raise InputError(
                "a tokenizer must not know more tokens than the model",
                received=f"{len(tokenizer)} tokens for a model of {engine.config.vocab_size}",
                fix="load both from the same checkpoint",
            )
        self.engine = engine
        self.tokenizer = tokenizer
        self.token_budget = token_budget

    def __call__(self, inputs: str | Sequence[str], *, top_k: int = 5, targets: str | Sequence[str] | None = None) -> list[Any]:
        """Fill every mask of one text or of several.

        Args:
            inputs: A text, or a list of texts, each with at least one mask token.
            top_k: Answers per mask, best first.
            targets: Words to choose from, in place of the whole vocabulary; a word of several pieces counts by its first.

        Returns:
            For one text (or a list of one, as users of the hub's pipelines expect): a list of answers
            ``{"score", "token", "token_str", "sequence"}``; a list of such lists where the text has several masks.
            For more texts: a list with one of these per text.

        Raises:
            InputError: If a text has no mask or is too long, or ``top_k`` is not positive.
        """
        texts = [inputs] if isinstance(inputs, str) else list(inputs)
        answers = list(self.stream(texts, top_k=top_k, targets=targets))
        return answers[0] if len(answers) == 1 else answers

    def stream(self, texts: Iterable[str], *, top_k: int = 5, targets: str | Sequence[str] | None = None) -> Iterator[list[Any]]:
        """Answer texts as they come, in their order, holding a bounded number of them in memory.

        Args:
            texts: Any number of texts, a generator or an open file as well.
            top_k: Answers per mask, best first.
            targets: As for a call.

        Raises:
            InputError: As a call does; the sentence names the text.
        """
        if type(top_k) is not int or top_k < 1:
            raise InputError("top_k must be a positive whole number", received=repr(top_k))
        allowed = None if targets is None else self._target_ids([targets] if isinstance(targets, str) else targets)
        window: list[str] = []
        for text in texts:
            window.append(text)
            if len(window) == _WINDOW:
                yield from self._answer(window, top_k, allowed)
                window = []
        if window:
            yield from self._answer(window, top_k, allowed)

    def _answer(self, texts: list[str], top_k: int, allowed: np.ndarray | None) -> list[list[Any]]:
        encoded = self.tokenizer(texts)
        sequences, types = encoded["input_ids"], encoded["token_type_ids"]
        for text, ids in zip(texts, sequences, strict=True):
            self._check(text, ids)
        answers: list[list[Any]] = [[] for _ in texts]
        for numbers in plan_batches([len(ids) for ids in sequences], self.token_budget):
            batch = TokenBatch.from_sequences([sequences[i] for i in numbers], [types[i] for i in numbers])
            positions = np.flatnonzero(batch.input_ids == self.tokenizer.mask_token_id)
            logits = self.engine.masked_lm_logits(batch, positions)
            owners = np.searchsorted(batch.cu_seqlens, positions, side="right") - 1
            for row, owner in enumerate(owners):
                number = numbers[owner]
                place = int(positions[row] - batch.cu_seqlens[owner])
                answers[number].append(self._best(logits[row], sequences[number], place, top_k, allowed))
        return [masks[0] if len(masks) == 1 else masks for masks in answers]

    def _best(
        self, logits: np.ndarray, ids: list[int], place: int, top_k: int, allowed: np.ndarray | None
    ) -> list[dict[str, Any]]:
        """The best answers for the mask at ``place`` of one sequence; ``logits [V]``."""
        logits = logits[: len(self.tokenizer)].astype(np.float64)
        probabilities = np.exp(logits - logits.max())
        probabilities /= probabilities.sum()
        candidates = np.arange(len(logits)) if allowed is None else allowed
        best = candidates[np.argsort(-probabilities[candidates], kind="stable")[:top_k]]
        single = ids.count(self.tokenizer.mask_token_id) == 1
        answers = []
        for token in best.tolist():
            filled = [*ids[:place], token, *ids[place + 1 :]]
            answers.append(
                {
                    "score": float(probabilities[token]),
                    "token": token,
                    "token_str": self.tokenizer.decode([token]),
                    "sequence": self.tokenizer.decode(filled, skip_special_tokens=single),
                }
            )
        return answers

    def _check(self, text: str, ids: list[int]) -> None:
        """Refuse a text without a mask or longer than the model can read."""
        shown = text if len(text) <= 60 else text[:57] + "…"
        if self.tokenizer.mask_token_id not in ids:
            raise InputError(
                f"a text must hold the mask token {self.tokenizer.mask_token}",
                received=repr(shown),
                fix=f"put {self.tokenizer.mask_token} where a word is to be found",
            )
        longest = self.engine.config.max_position_embeddings
        if len(ids) > longest:
            raise InputError(
                f"a text must fit in max_position_embeddings={longest} tokens, [CLS] and [SEP] included",
                received=f"{len(ids)} tokens in {shown!r}",
                fix="shorten the text around the mask",
            )

    def _target_ids(self, targets: Sequence[str]) -> np.ndarray:
        """The first piece of each target word; a warning where there are more."""
        found = []
        for word, ids in zip(targets, self.tokenizer(list(targets), add_special_tokens=False)["input_ids"], strict=True):
            if not ids:
                raise InputError("a target must be a word", received=repr(word))
            if len(ids) > 1:
                first = self.tokenizer.decode(ids[:1])
                warnings.warn(f"the target {word!r} is no single token of the vocabulary; {first!r} stands for it", stacklevel=4)
            found.append(ids[0])
        if not found:
            raise InputError("targets must name at least one word", received="none")
        return np.unique(found)
