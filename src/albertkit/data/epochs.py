"""The plan of an epoch: which stretch of sentences each example is made of, and in which order examples come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from albertkit.data.options import ExampleOptions
from albertkit.data.segments import draw_targets, find_stretches
from albertkit.data.shards import Shard
from albertkit.errors import DataError

__all__ = ["EpochPlan", "example_generator", "plan_epoch"]

Numbers = npt.NDArray[np.uint32]

_EXAMPLES, _TARGETS, _ORDER = range(3)


@dataclass(frozen=True)
class EpochPlan:
    """The stretches of an epoch in the order in which examples use them; N examples."""

    shard: Numbers
    """Number of the shard, shape [N]."""
    document: Numbers
    """Number of the document in its shard, shape [N]."""
    first: Numbers
    """Number of the first sentence in the shard, shape [N]."""
    end: Numbers
    """Number of the sentence after the last, shape [N]."""
    target: Numbers
    """Tokens that the stretch was to reach, shape [N]."""

    @property
    def num_examples(self) -> int:
        """N."""
        return len(self.first)


def plan_epoch(shards: Sequence[Shard], options: ExampleOptions, seed: int, epoch: int) -> EpochPlan:
    """Cut every document into stretches and draw the order of the examples.

    Args:
        shards: All shards of a split.
        options: Lengths, and what becomes of single sentences.
        seed: Any integer from 0 to 2**64 − 1.
        epoch: From 0.

    Raises:
        DataError: If not one example can be made.
    """
    columns: list[tuple[npt.NDArray[np.int64], ...]] = []
    for number, shard in enumerate(shards):
        document_offsets = shard.document_offsets.astype(np.int64)
        choose_targets = _choose_targets(options, len(document_offsets) - 1, _generator(seed, epoch, _TARGETS, number))
        cut = find_stretches(
            shard.sentence_offsets.astype(np.int64), document_offsets, choose_targets, options.one_sentence_chunks
        )
        columns.append((np.full(len(cut.first), number), cut.document, cut.first, cut.end, cut.target))
    plan = EpochPlan(*(np.concatenate(parts).astype(np.uint32) for parts in zip(*columns, strict=True)))
    if not plan.num_examples:
        raise DataError(
            "prepared data must hold a document of at least two sentences", fix="give longer documents, or check where they end"
        )
    # Sorting uniform numbers permutes as Generator.permutation does, but by draws that NumPy never changes.
    order = np.argsort(_generator(seed, epoch, _ORDER, 0).random(plan.num_examples), kind="stable")
    return EpochPlan(plan.shard[order], plan.document[order], plan.first[order], plan.end[order], plan.target[order])


def _choose_targets(
    options: ExampleOptions, num_documents: int, generator: np.random.Generator
) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]]:
    """Give what :func:`find_stretches` asks for the lengths of stretches."""
    if options.short_seq_unit == "example":
        return lambda documents: draw_targets(options, len(documents), generator)
    targets = draw_targets(options, num_documents, generator)
    return lambda documents: targets[documents]


def example_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Make the source of all that is drawn for one example.

    Args:
        seed: Any integer from 0 to 2**64 − 1.
        epoch: From 0.
        index: Of the example in the epoch.
    """
    return _generator(seed, epoch, _EXAMPLES, index)


def _generator(seed: int, epoch: int, purpose: int, number: int) -> np.random.Generator:
    # Philox counts in the first word; streams of different second and third words never meet.
    return np.random.Generator(np.random.Philox(key=[seed, epoch], counter=[0, 0, number, purpose]))
