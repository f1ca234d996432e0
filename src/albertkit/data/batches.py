"""The stream of pre-training examples; example i of an epoch is a pure function of (seed, epoch, i), on any number of ranks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path

from albertkit.data.epochs import EpochPlan, example_generator, plan_epoch
from albertkit.data.examples import ExampleMaker, PretrainingBatch, PretrainingExample
from albertkit.data.options import ExampleOptions
from albertkit.data.shards import Split, open_shards, read_manifest, read_vocabulary
from albertkit.errors import DataError, InputError

__all__ = ["PretrainingData"]

_PLANS_KEPT = 2


class PretrainingData:
    """An endless stream of masked sentence-order examples: one epoch after the other, each cut, ordered and masked afresh.

    Nothing is remembered from one example to the next, so that any part of the stream can be made at any time on any rank.
    All is drawn as plain uniform numbers of the Philox generator, which NumPy keeps the same from version to version.

    Args:
        directory: The folder that ``albertkit prepare`` wrote.
        split: Documents to train on, or those held out.
        options: How examples are made; the same folder serves any ``max_seq_length``.
        seed: Any integer from 0 to 2**64 − 1.
        tokenizer_fingerprint: What :func:`~albertkit.data.shards.fingerprint` gives for the model's vocabulary, to be sure that
            the text was prepared with it.
        verify: Whether to compare the SHA-256 of every file first.

    Raises:
        DataError: If the folder is missing, damaged, made with another vocabulary, or has no documents in the split.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        split: Split = "train",
        options: ExampleOptions | None = None,
        seed: int = 0,
        tokenizer_fingerprint: str | None = None,
        verify: bool = True,
    ) -> None:
        self.directory = Path(directory)
        self.options = options or ExampleOptions()
        self.seed = seed
        self.manifest = read_manifest(directory)
        self.vocabulary = read_vocabulary(directory)
        if tokenizer_fingerprint not in (None, self.manifest.tokenizer_fingerprint):
            raise DataError(
                f"prepared data must be of the model's vocabulary (SHA-256 {tokenizer_fingerprint})",
                received=f"{self.directory}, prepared with another one (SHA-256 {self.manifest.tokenizer_fingerprint})",
                fix="run albertkit prepare with the model's tokenizer",
            )
        entries = [entry for entry in self.manifest.shards if entry.split == split]
        if not entries:
            raise DataError(
                f"prepared data must hold documents of the split {split}",
                received=f"{self.directory}, which has none",
                fix="run albertkit prepare with more held out" if split == "held_out" else "hold out fewer documents",
            )
        self._shards = open_shards(directory, entries, verify=verify)
        self._maker = ExampleMaker(self._shards, self.options, self.vocabulary)
        self._plans: dict[int, EpochPlan] = {}
        self._epoch_ends: list[int] = []

    # ------------------------------------------------------------------ one epoch

    def num_examples(self, epoch: int) -> int:
        """Count the examples of an epoch; epochs differ a little, because short sequences are drawn anew.

        Args:
            epoch: From 0.

        Raises:
            DataError: If not one example can be made.
        """
        return self._plan(epoch).num_examples

    def example(self, epoch: int, index: int) -> PretrainingExample:
        """Make one example.

        Args:
            epoch: From 0.
            index: Its place in the epoch, below :meth:`num_examples`.
        """
        return self._maker.make(self._plan(epoch), index, example_generator(self.seed, self._copy(epoch), index))

    def batch(self, epoch: int, indices: Iterable[int]) -> PretrainingBatch:
        """Make and pack examples of one epoch.

        Args:
            epoch: From 0.
            indices: Places in the epoch.
        """
        return PretrainingBatch.of(self.example(epoch, index) for index in indices)

    def _copy(self, epoch: int) -> int:
        """Give the epoch whose examples come in ``epoch``."""
        return epoch if self.options.dupe_factor is None else epoch % self.options.dupe_factor

    def _plan(self, epoch: int) -> EpochPlan:
        epoch = self._copy(epoch)
        if epoch not in self._plans:
            plan = plan_epoch(self._shards, self.options, self.seed, epoch)
            while len(self._plans) >= _PLANS_KEPT:
                del self._plans[next(iter(self._plans))]
            self._plans[epoch] = plan
        return self._plans[epoch]

    # ------------------------------------------------------------------ the stream of all epochs

    def batches(
        self,
        *,
        examples_per_batch: int | None = None,
        tokens_per_batch: int | None = None,
        start_example: int = 0,
        stop_example: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[PretrainingBatch]:
        """Walk through the stream from any place; every rank gets every ``world_size``-th example of each batch.

        Args:
            examples_per_batch: Examples of a batch over all ranks.
            tokens_per_batch: Instead: as many examples as have no more tokens over all ranks, with special ones; at least one.
            start_example: Where to begin: 0, or ``next_example`` of the last batch done.
            stop_example: Where to end, the last batch being smaller; ``num_examples(0)`` is one pass. Absent, there is no end.
            rank: Which part of each batch to make.
            world_size: Number of parts.

        Raises:
            InputError: If not exactly one batch size is given, or a number is out of range.
        """
        sizes = [size for size in (examples_per_batch, tokens_per_batch) if size is not None]
        if len(sizes) != 1 or sizes[0] < 1:
            raise InputError(
                "exactly one of examples_per_batch and tokens_per_batch must be given, at least 1",
                received=f"{examples_per_batch} and {tokens_per_batch}",
            )
        if not 0 <= rank < world_size:
            raise InputError("rank must be at least 0 and below world_size", received=f"rank {rank} of {world_size}")
        return self._walk(examples_per_batch, sizes[0], start_example, stop_example, rank, world_size)

    def _walk(
        self, examples: int | None, size: int, position: int, stop: int | None, rank: int, world_size: int
    ) -> Iterator[PretrainingBatch]:
        while stop is None or position < stop:
            end = position + examples if examples is not None else self._fill(position, size)
            end = end if stop is None else min(end, stop)
            share = [self.example(*self.locate(number)) for number in range(position + rank, end, world_size)]
            yield PretrainingBatch.of(share, next_example=end)
            position = end

    def locate(self, number: int) -> tuple[int, int]:
        """Find the epoch, and the place in it, of an example of the stream.

        Args:
            number: Of the example, from 0, counted over all epochs.
        """
        while not self._epoch_ends or number >= self._epoch_ends[-1]:
            epoch = len(self._epoch_ends)
            self._epoch_ends.append(sum(self._epoch_ends[-1:]) + self.num_examples(epoch))
        epoch = bisect_right(self._epoch_ends, number)
        return epoch, number - (self._epoch_ends[epoch - 1] if epoch else 0)

    def _fill(self, position: int, tokens: int) -> int:
        """Find the end of a batch that begins at ``position``: as many examples as fit, at least one."""
        end = position
        while True:
            epoch, index = self.locate(end)
            tokens -= self._maker.longest_length(self._plan(epoch), index)
            if tokens < 0 and end > position:
                return end
            end += 1
