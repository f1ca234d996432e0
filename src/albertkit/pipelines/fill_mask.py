"""``fill-mask``: the most likely tokens at each ``[MASK]``, in the answer form of the Hugging Face hub."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.errors import InputError
from albertkit.pipelines.base import UNSET, Options, Pipeline, Record, Unset, shorten

__all__ = ["FillMaskOptions", "FillMaskPipeline"]


@dataclass(frozen=True, kw_only=True)
class FillMaskOptions(Options):
    """Options of ``fill-mask``.

    Raises:
        InputError: If ``top_k`` is not positive.
    """

    top_k: int = 5
    """Answers per mask, best first."""
    targets: str | Sequence[str] | None = None
    """Words to choose from, in place of the whole vocabulary; a word of several pieces counts by its first."""

    def __post_init__(self) -> None:
        if type(self.top_k) is not int or self.top_k < 1:
            raise InputError("top_k must be a positive whole number", received=repr(self.top_k))


class FillMaskPipeline(Pipeline[FillMaskOptions]):
    """Fills masked positions, each on its own."""

    task = "fill-mask"
    head: ClassVar[Head | None] = "masked_lm"
    options_class = FillMaskOptions
    too_long = "shorten the text around the mask"

    def __call__(
        self,
        inputs: str | Iterable[str],
        *,
        top_k: int | Unset = UNSET,
        targets: str | Sequence[str] | None | Unset = UNSET,
    ) -> Any:
        """Fill every mask of one text or of several.

        Args:
            inputs: A text, a list of texts, or any other iterable of them, each with at least one mask token.
            top_k: See :class:`FillMaskOptions`.
            targets: See :class:`FillMaskOptions`.

        Returns:
            For one text (or a list of one, as users of the hub's pipelines expect): a list of answers
            ``{"score", "token", "token_str", "sequence"}``; a list of such lists where the text has several masks.
            For a list of texts: a list with one of these per text; for another iterable an iterator of them.

        Raises:
            InputError: If a text has no mask or is too long, or an option is impossible.
        """
        answers = self._run(inputs, self.options.changed(top_k=top_k, targets=targets))
        return answers[0] if isinstance(inputs, Sequence) and not isinstance(inputs, str) and len(inputs) == 1 else answers

    def _answer(self, records: list[Record], options: FillMaskOptions) -> list[Any]:
        texts = [record["text"] for record in records]
        allowed = None if options.targets is None else self._target_ids(options.targets)
        rows = self._encode(texts)
        for text, ids in zip(texts, rows.input_ids, strict=True):
            self._require_mask(text, ids)
        answers: list[list[Any]] = [[] for _ in texts]
        for numbers, batch in self._batches(rows):
            positions = np.flatnonzero(batch.input_ids == self.tokenizer.mask_token_id)
            logits = self.engine.logits("masked_lm", batch, positions)
            owners = np.searchsorted(batch.cu_seqlens, positions, side="right") - 1
            for row, owner in enumerate(owners):
                number = numbers[owner]
                place = int(positions[row] - batch.cu_seqlens[owner])
                answers[number].append(self._best(logits[row], list(rows.input_ids[number]), place, options.top_k, allowed))
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

    def _require_mask(self, text: str, ids: Sequence[int]) -> None:
        """Refuse a text without a mask."""
        if self.tokenizer.mask_token_id not in ids:
            raise InputError(
                f"a text must hold the mask token {self.tokenizer.mask_token}",
                received=shorten(text),
                fix=f"put {self.tokenizer.mask_token} where a word is to be found",
            )

    def _target_ids(self, targets: str | Sequence[str]) -> np.ndarray:
        """The first piece of each target word; a warning where there are more."""
        words = [targets] if isinstance(targets, str) else list(targets)
        found = []
        for word, ids in zip(words, self.tokenizer(words, add_special_tokens=False)["input_ids"], strict=True):
            if not ids:
                raise InputError("a target must be a word", received=repr(word))
            if len(ids) > 1:
                first = self.tokenizer.decode(ids[:1])
                warnings.warn(f"the target {word!r} is no single token of the vocabulary; {first!r} stands for it", stacklevel=6)
            found.append(ids[0])
        if not found:
            raise InputError("targets must name at least one word", received="none")
        return np.unique(found)
