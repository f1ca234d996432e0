"""``fill-mask``: the most likely tokens at each ``[MASK]``, in the hub's answer form, or at all of them jointly."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.errors import InputError, suggest
from albertkit.pipelines.base import UNSET, Options, Pipeline, Record, Rows, Unset, require_count, shorten
from albertkit.pipelines.joint_decoding import Candidates, Hypothesis, extend
from albertkit.pipelines.probabilities import softmax

__all__ = ["FillMaskOptions", "FillMaskPipeline"]

_FORMS = ("hub", "card")
_BEAM = 8  # hypotheses per text that joint decoding keeps at least


@dataclass(frozen=True, kw_only=True)
class FillMaskOptions(Options):
    """Options of ``fill-mask``.

    Raises:
        InputError: If a value is impossible.
    """

    top_k: int = 5
    """Answers per mask, or per text where masks are filled jointly, best first."""
    targets: str | Sequence[str] | None = None
    """Words to choose from, in place of the whole vocabulary, at every mask. A word of several pieces counts by its first."""
    joint: bool = False
    """Fill the masks of a text together, not each for itself (:mod:`~albertkit.pipelines.joint_decoding`)."""
    answer_form: str = "hub"
    """``"hub"``, or ``"card"``: as ALBERT's model cards show it, sequences with special tokens and words with their ``▁``."""

    def __post_init__(self) -> None:
        require_count("top_k", self.top_k)
        if self.answer_form not in _FORMS:
            raise InputError(
                f"answer_form must be one of {', '.join(_FORMS)}",
                received=repr(self.answer_form),
                fix=suggest(self.answer_form, _FORMS),
            )


class FillMaskPipeline(Pipeline[FillMaskOptions]):
    """Fills masked positions."""

    task = "fill-mask"
    head: ClassVar[Head | None] = "masked_lm"
    options_class = FillMaskOptions
    too_long = "shorten the text around the mask"

    def __call__(
        self,
        inputs: str | Iterable[str],
        *,
        top_k: int | Unset = UNSET,
        targets: str | Sequence[str] | Unset | None = UNSET,
        joint: bool | Unset = UNSET,
        answer_form: str | Unset = UNSET,
    ) -> Any:
        """Fill every mask of one text or of several.

        Args:
            inputs: A text, a list of texts, or any other iterable of them, each with at least one mask token.
            top_k: See :class:`FillMaskOptions`.
            targets: See :class:`FillMaskOptions`.
            joint: See :class:`FillMaskOptions`.
            answer_form: See :class:`FillMaskOptions`.

        Returns:
            For one text (or a list of one, as users of the hub's pipelines expect): a list of answers
            ``{"score", "token", "token_str", "sequence"}``; a list of such lists where the text has several masks.
            With ``joint`` always one list, of ``{"score", "tokens", "token_strs", "sequence"}`` with a token for each mask.
            For a list of texts: a list with one of these per text; for another iterable an iterator of them.

        Raises:
            InputError: If a text has no mask or is too long, or an option is impossible.
        """
        options = self.options.changed(top_k=top_k, targets=targets, joint=joint, answer_form=answer_form)
        for word, ids in self._find_targets(options.targets or ()):
            if len(ids) > 1:
                first = self.tokenizer.decode(ids[:1])
                warnings.warn(f"the target {word!r} is no single token of the vocabulary; {first!r} stands for it", stacklevel=2)
        if options.targets is not None and not options.targets:
            raise InputError("targets must name at least one word", received="none")
        answers = self._run(inputs, options)
        return answers[0] if isinstance(inputs, Sequence) and not isinstance(inputs, str) and len(inputs) == 1 else answers

    def _answer(self, records: list[Record], options: FillMaskOptions) -> list[Any]:
        texts = [record["text"] for record in records]
        rows = self._encode(texts)
        for text, ids in zip(texts, rows.input_ids, strict=True):
            if self.tokenizer.mask_token_id not in ids:
                raise InputError(
                    f"a text must hold the mask token {self.tokenizer.mask_token}",
                    received=shorten(text),
                    fix=f"put {self.tokenizer.mask_token} where a word is to be found",
                )
        allowed = np.arange(len(self.tokenizer))
        if options.targets:
            allowed = np.unique([ids[0] for _word, ids in self._find_targets(options.targets)])
        return (self._fill_together if options.joint else self._fill_apart)(rows, allowed, options)

    def _fill_apart(self, rows: Rows, allowed: np.ndarray, options: FillMaskOptions) -> list[Any]:
        """Each mask on its own, all others masked."""
        answers: list[Any] = []
        for ids, masks in zip(rows.input_ids, self._score_masks(rows, allowed, options.top_k), strict=True):
            skip = len(masks) == 1  # else the other masks would be skipped too
            answers.append([])
            for place, candidates in masks.items():
                # Looked up once for all answers: with a small model, spelling is most of the work.
                before, after = (self._list_tokens(part, options, skip) for part in (ids[:place], ids[place + 1 :]))
                found = []
                for token, probability in candidates:
                    answer = {"score": probability, "token": token, "token_str": self._name(token, options)}
                    filled = [*before, *self._list_tokens([token], options, skip), *after]
                    found.append(answer | {"sequence": self.tokenizer.convert_tokens_to_string(filled)})
                answers[-1].append(found)
        return [masks[0] if len(masks) == 1 else masks for masks in answers]

    def _fill_together(self, rows: Rows, allowed: np.ndarray, options: FillMaskOptions) -> list[Any]:
        """All masks of a text by a beam search, a step of which fills one mask of every hypothesis of every text."""
        width = max(options.top_k, _BEAM)
        masks = [
            tuple(place for place, token in enumerate(ids) if token == self.tokenizer.mask_token_id) for ids in rows.input_ids
        ]
        beams = [[Hypothesis(tuple(ids), places)] for ids, places in zip(rows.input_ids, masks, strict=True)]
        while unfinished := [number for number, beam in enumerate(beams) if beam[0].places]:
            ids = [hypothesis.ids for number in unfinished for hypothesis in beams[number]]
            types = [rows.token_type_ids[number] for number in unfinished for _hypothesis in beams[number]]
            scored = iter(self._score_masks(Rows(ids, types), allowed, width))
            for number in unfinished:
                beams[number] = extend([(hypothesis, next(scored)) for hypothesis in beams[number]], width)
        answers: list[Any] = []
        for places, beam in zip(masks, beams, strict=True):
            answers.append([])
            for hypothesis in beam[: options.top_k]:
                tokens = [hypothesis.ids[place] for place in places]
                answers[-1].append({
                    "score": math.exp(hypothesis.log_probability),
                    "tokens": tokens,
                    "token_strs": [self._name(token, options) for token in tokens],
                    "sequence": self.tokenizer.convert_tokens_to_string(self._list_tokens(hypothesis.ids, options, skip=True)),
                })  # fmt: skip
        return answers

    def _score_masks(self, rows: Rows, allowed: np.ndarray, count: int) -> list[dict[int, Candidates]]:
        """For each row its masks: place in the row → the likeliest of the allowed tokens, with their probability among all."""
        found: list[dict[int, Candidates]] = [{} for _ids in rows.input_ids]
        for numbers, batch in self._batches(rows):
            positions = np.flatnonzero(batch.input_ids == self.tokenizer.mask_token_id)
            owners = np.searchsorted(batch.cu_seqlens, positions, side="right") - 1
            logits = self.engine.logits("masked_lm", batch, positions)
            for position, owner, row in zip(positions, owners, logits, strict=True):
                probabilities = softmax(row[: len(self.tokenizer)])[allowed]
                best = _find_largest(probabilities, count)
                candidates = list(zip(allowed[best].tolist(), probabilities[best].tolist(), strict=True))
                found[numbers[owner]][int(position - batch.cu_seqlens[owner])] = candidates
        return found

    def _find_targets(self, targets: str | Sequence[str]) -> list[tuple[str, list[int]]]:
        """Target words with their tokens.

        A word is what the tokenizer makes of it, ``▁the`` for ``the``; only where that is several tokens may it be a piece of
        the vocabulary as it is spelt, such as the ending ``ing``.
        """
        words = [targets] if isinstance(targets, str) else list(targets)
        found = []
        for word, ids in zip(words, self.tokenizer(words, add_special_tokens=False)["input_ids"], strict=True):
            if not ids:
                raise InputError("a target must be a word", received=repr(word))
            piece = self.tokenizer.get_vocab().get(word) if len(ids) > 1 else None
            found.append((word, ids if piece is None else [piece]))
        return found

    def _name(self, token: int, options: FillMaskOptions) -> str:
        if options.answer_form == "card":
            return str(self.tokenizer.convert_ids_to_tokens(token))
        return self.tokenizer.decode([token])

    def _list_tokens(self, ids: Sequence[int], options: FillMaskOptions, skip: bool) -> list[str]:
        """The tokens of a sequence that are shown, of the hub's form without special ones if ``skip``."""
        tokens: list[str] = self.tokenizer.convert_ids_to_tokens(ids, skip_special_tokens=skip and options.answer_form == "hub")
        return tokens


def _find_largest(values: np.ndarray, count: int) -> np.ndarray:
    """Places of the largest values, largest first, of equal ones the earlier."""
    # No fewer values than asked for reach the count-th largest maximum of short stretches, and few more do.
    maxima = np.maximum.reduceat(values, np.arange(0, len(values), max(1, len(values) // (8 * count))))
    bound = np.sort(maxima)[-min(count, len(maxima))]
    places = np.flatnonzero(~(values < bound))  # so written, what is no number is among them
    return places[np.argsort(-values[places], kind="stable")[:count]]
