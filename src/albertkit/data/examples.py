"""One pre-training example from its stretch of sentences: two segments, their order, and what is masked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from albertkit.data.epochs import EpochPlan
from albertkit.data.masking import Masker
from albertkit.data.options import ExampleOptions
from albertkit.data.segments import NUM_SPECIAL_TOKENS, truncate_pair
from albertkit.data.shards import Shard
from albertkit.data.vocabulary import Vocabulary

__all__ = ["IGNORED_LABEL", "ExampleMaker", "PretrainingBatch", "PretrainingExample"]

IGNORED_LABEL = -100
"""Label of tokens that are not predicted."""

_OTHER_DOCUMENT_TRIES = 10

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class PretrainingExample:
    """One sequence ``[CLS] A [SEP] B [SEP]`` of L tokens."""

    input_ids: Ids
    """Ids with masks in place, shape [L]."""
    token_type_ids: Ids
    """0 for ``[CLS] A [SEP]``, 1 for ``B [SEP]``, shape [L]."""
    labels: Ids
    """Original id where a token is predicted, else −100, shape [L]."""
    sentence_order_label: int
    """0 when the segments are in order, 1 when swapped."""


@dataclass(frozen=True)
class PretrainingBatch:
    """B sequences end to end without padding, T tokens in all; the longest comes first, so that equal lengths are neighbours."""

    input_ids: Ids
    """Ids with masks in place, shape [T]."""
    token_type_ids: Ids
    """0 for ``[CLS] A [SEP]``, 1 for ``B [SEP]``, shape [T]."""
    cu_seqlens: Ids
    """Where sequences begin, and T, shape [B + 1]."""
    labels: Ids
    """Original id where a token is predicted, else −100, shape [T]."""
    sentence_order_label: Ids
    """0 when the segments are in order, 1 when swapped, shape [B]."""
    next_example: int = 0
    """Where the stream goes on: examples up to the end of this batch, over all ranks and epochs."""

    @classmethod
    def of(cls, examples: Iterable[PretrainingExample], *, next_example: int = 0) -> PretrainingBatch:
        """Pack examples.

        Args:
            examples: Any number; sorted by falling length, otherwise in the order given.
            next_example: Where the stream goes on.
        """
        ordered = sorted(examples, key=lambda example: -len(example.input_ids))
        nothing = np.empty(0, np.int32)
        return cls(
            input_ids=np.concatenate([nothing, *(example.input_ids for example in ordered)]),
            token_type_ids=np.concatenate([nothing, *(example.token_type_ids for example in ordered)]),
            cu_seqlens=np.cumsum([0, *(len(example.input_ids) for example in ordered)], dtype=np.int32),
            labels=np.concatenate([nothing, *(example.labels for example in ordered)]),
            sentence_order_label=np.array([example.sentence_order_label for example in ordered], dtype=np.int32),
            next_example=next_example,
        )

    def padded(self, pad_token_id: int) -> dict[str, Ids]:
        """Give the same batch as rows padded on the right to the longest.

        Args:
            pad_token_id: Id that fills ``input_ids``.

        Returns:
            ``input_ids``, ``attention_mask``, ``token_type_ids`` and ``labels`` of shape [B, L], ``sentence_order_label`` [B].
        """
        lengths = np.diff(self.cu_seqlens)
        is_real = np.arange(lengths.max(initial=0)) < lengths[:, None]
        rows = {"attention_mask": is_real.astype(np.int32), "sentence_order_label": self.sentence_order_label}
        for name, values, fill in (
            ("input_ids", self.input_ids, pad_token_id),
            ("token_type_ids", self.token_type_ids, 0),
            ("labels", self.labels, IGNORED_LABEL),
        ):
            rows[name] = np.full(is_real.shape, fill, np.int32)
            rows[name][is_real] = values
        return rows


class ExampleMaker:
    """Makes examples from shards.

    Args:
        shards: All shards of a split.
        options: How examples are made.
        vocabulary: Pieces and special ids.
    """

    def __init__(self, shards: Sequence[Shard], options: ExampleOptions, vocabulary: Vocabulary) -> None:
        self._shards = shards
        self._options = options
        self._longest = options.max_seq_length - NUM_SPECIAL_TOKENS
        self._cls, self._sep = vocabulary.cls_token_id, vocabulary.sep_token_id
        self._masker = Masker(options, vocabulary)
        # Numbers of the first documents of shards among the documents of all, and their sum.
        self._document_bases = np.cumsum([0, *(len(shard.document_offsets) - 1 for shard in shards)])

    def make(self, plan: EpochPlan, index: int, generator: np.random.Generator) -> PretrainingExample:
        """Make one example.

        Args:
            plan: Of the epoch.
            index: Of the example in it.
            generator: The source of chance, used for this example alone.
        """
        shard = self._shards[plan.shard[index]]
        bounds = shard.sentence_offsets[plan.first[index] : int(plan.end[index]) + 1].tolist()
        tokens = shard.tokens[bounds[0] : bounds[-1]].astype(np.int32)
        cut, swap = generator.random(2)
        is_single = len(bounds) == 2
        place = len(tokens) if is_single else bounds[1 + int(cut * (len(bounds) - 2))] - bounds[0]
        is_swapped = is_single or bool(swap < self._options.swap_prob)
        pair = tokens[:place], tokens[place:]
        if is_single or (is_swapped and self._options.random_next_sentence):
            # Google gives an unrelated second segment the label of a swapped one.
            pair = tokens[:place], self._read_other_document(plan, index, place, generator)
        elif is_swapped:
            pair = tokens[place:], tokens[:place]
        first, second = truncate_pair(*pair, self._longest, self._options.truncate_front_prob, generator)
        return self._assemble(first, second, is_swapped, generator)

    def longest_length(self, plan: EpochPlan, index: int) -> int:
        """Tell how many tokens an example has; where its second segment is yet to be drawn, how many it may have.

        Args:
            plan: Of the epoch.
            index: Of the example in it.
        """
        first, end = int(plan.first[index]), int(plan.end[index])
        if end - first == 1 or self._options.random_next_sentence:
            return self._options.max_seq_length
        offsets = self._shards[plan.shard[index]].sentence_offsets
        return min(int(offsets[end]) - int(offsets[first]), self._longest) + NUM_SPECIAL_TOKENS

    def _read_other_document(self, plan: EpochPlan, index: int, first_length: int, generator: np.random.Generator) -> Ids:
        """Read sentences of a random document, another one if ten tries find one, until the stretch's target is reached."""
        own = int(self._document_bases[plan.shard[index]]) + int(plan.document[index])
        *draws, place = generator.random(_OTHER_DOCUMENT_TRIES + 1)
        candidates = [int(draw * self._document_bases[-1]) for draw in draws]
        other = next((candidate for candidate in candidates if candidate != own), candidates[-1])
        number = int(np.searchsorted(self._document_bases, other, side="right")) - 1
        shard = self._shards[number]
        begin, end = shard.document_offsets[other - self._document_bases[number] :][:2].tolist()
        offsets = shard.sentence_offsets[begin + int(place * (end - begin)) : end + 1].astype(np.int64)
        goal = offsets[0] + max(1, int(plan.target[index]) - first_length)
        reached = min(int(np.searchsorted(offsets, goal)), len(offsets) - 1)
        return shard.tokens[offsets[0] : offsets[reached]].astype(np.int32)

    def _assemble(self, first: Ids, second: Ids, is_swapped: bool, generator: np.random.Generator) -> PretrainingExample:
        """Frame two segments and mask them."""
        content = np.concatenate([first, second])
        places, replacements = self._masker.mask(content, len(first), generator)
        masked = content.copy()
        masked[places] = replacements
        end_of_first, length = len(first) + 1, len(content) + NUM_SPECIAL_TOKENS
        input_ids = np.empty(length, np.int32)
        input_ids[0] = self._cls
        input_ids[1:end_of_first] = masked[: len(first)]
        input_ids[end_of_first] = input_ids[-1] = self._sep
        input_ids[end_of_first + 1 : -1] = masked[len(first) :]
        token_type_ids = np.zeros(length, np.int32)
        token_type_ids[end_of_first + 1 :] = 1
        labels = np.full(length, IGNORED_LABEL, np.int32)
        labels[places + 1 + (places >= len(first))] = content[places]
        return PretrainingExample(input_ids, token_type_ids, labels, int(is_swapped))
