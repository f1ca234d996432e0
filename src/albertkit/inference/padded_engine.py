"""What engines share whose models read a rectangle of tokens: a packed batch goes in as padded blocks, and comes out packed.

Shapes: T tokens of the packed batch · B its sequences · b sequences of a block · L its longest · P masked positions · C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from albertkit.checkpoints.parameters import POOLED_HEADS, Head
from albertkit.config import AlbertConfig
from albertkit.inference.batching import TokenBatch
from albertkit.inference.heads import require_scores
from albertkit.inference.padding import PaddedBlock
from albertkit.models.inputs import check_length, check_range

__all__ = ["PaddedEngine"]


class PaddedEngine(ABC):
    """Base of these engines, which say how to cut a batch and compute a block."""

    config: AlbertConfig
    heads: tuple[Head, ...]

    @abstractmethod
    def _cut(self, batch: TokenBatch) -> Iterator[PaddedBlock]:
        """Blocks of a batch, in any order."""

    @abstractmethod
    def _compute(self, head: Head | None, batch: TokenBatch, block: PaddedBlock, places: np.ndarray | None = None) -> np.ndarray:
        """What a head gives for a block, float32.

        Args:
            head: One of :attr:`heads`; ``None`` for the hidden states.
            batch: Which the block is of.
            block: Some of its sequences.
            places: ``[P]`` in the flattened block, of the masked-LM head alone.

        Returns:
            ``[P, V]`` of the masked-LM head, ``[b, C]`` of heads on the pooler, ``[b, L, …]`` of the others.
        """

    def hidden_states(self, batch: TokenBatch) -> np.ndarray:
        """See :class:`~albertkit.inference.engine.Engine`."""
        return self._compute_tokens(None, batch)

    def logits(self, head: Head, batch: TokenBatch, positions: np.ndarray | None = None) -> np.ndarray:
        """See :class:`~albertkit.inference.engine.Engine`."""
        require_scores(head, self.heads)
        if head == "masked_lm":
            return self._score_vocabulary(batch, positions)
        is_pooled = head in POOLED_HEADS or head == "pooler"
        found = self._compute_sequences(head, batch) if is_pooled else self._compute_tokens(head, batch)
        return found if positions is None else found[positions]

    def _score_vocabulary(self, batch: TokenBatch, positions: np.ndarray | None) -> np.ndarray:
        """Scores ``[P, V]``; blocks without a position are not run."""
        wanted = np.arange(len(batch.input_ids)) if positions is None else positions
        scores = np.empty((len(wanted), self.config.vocab_size), np.float32)
        for block in self._blocks(batch):
            places = np.full(len(batch.input_ids), -1)
            places[block.tokens] = np.flatnonzero(block.mask)
            rows = np.flatnonzero(places[wanted] >= 0)
            if len(rows):
                scores[rows] = self._compute("masked_lm", batch, block, places[wanted[rows]])
        return scores

    def _compute_tokens(self, head: Head | None, batch: TokenBatch) -> np.ndarray:
        """What every block gives for its tokens, ``[T, …]``."""
        return _join([(block.tokens, self._compute(head, batch, block)[block.mask]) for block in self._blocks(batch)])

    def _compute_sequences(self, head: Head, batch: TokenBatch) -> np.ndarray:
        """What every block gives for its sequences, ``[B, C]``."""
        blocks = self._blocks(batch)
        return _join([(block.sequences, self._compute(head, batch, block)[: len(block.sequences)]) for block in blocks])

    def _blocks(self, batch: TokenBatch) -> Iterator[PaddedBlock]:
        """Blocks of a batch whose ids and lengths the model has entries for."""
        check_length(int(np.diff(batch.cu_seqlens).max()), self.config)
        for name, setting in (("input_ids", "vocab_size"), ("token_type_ids", "type_vocab_size")):
            values = getattr(batch, name)
            check_range(name, int(values.min()), int(values.max()), getattr(self.config, setting), setting)
        return self._cut(batch)


def _join(parts: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """One array of the rows of several, each with the numbers its rows have there."""
    rows = [values for _, values in parts]
    joined = np.empty((sum(map(len, rows)), *rows[0].shape[1:]), np.float32)
    for numbers, values in parts:
        joined[numbers] = values
    return joined
