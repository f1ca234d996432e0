"""The NumPy engine: no framework to import, so that a fresh process answers at once; float32 on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from albertkit.checkpoints.huggingface import heads_on_disk, load_parameters
from albertkit.checkpoints.parameters import Head
from albertkit.config import AlbertConfig
from albertkit.inference.batching import TokenBatch
from albertkit.inference.heads import require_head
from albertkit.models.numpy import AlbertNumPy

__all__ = ["NumPyEngine"]


class NumPyEngine:
    """Runs the NumPy model.

    Args:
        config: Sizes.
        parameters: Contract name → float32 array.
        heads: The heads among them.
    """

    name = "numpy"

    def __init__(self, config: AlbertConfig, parameters: dict[str, np.ndarray], heads: tuple[Head, ...]) -> None:
        self.config = config
        self.heads = heads
        self.model = AlbertNumPy(config, parameters)

    @classmethod
    def load(cls, name: str | Path, *, revision: str | None = None) -> NumPyEngine:
        """Load a checkpoint with the heads it has; weights stored as float32 stay memory-mapped.

        Args:
            name: A directory, an embedded model, a published name or a hub id.
            revision: Branch, tag or commit of a hub repository.
        """
        config = AlbertConfig.from_pretrained(name, revision=revision)
        parameters = load_parameters(name, config, revision=revision).parameters
        return cls(config, parameters, heads_on_disk(parameters))

    def hidden_states(self, batch: TokenBatch) -> np.ndarray:
        """See :class:`~albertkit.inference.engine.Engine`."""
        return self.model.hidden_states(batch.input_ids, batch.token_type_ids, batch.cu_seqlens)

    def masked_lm_logits(self, batch: TokenBatch, positions: np.ndarray) -> np.ndarray:
        """See :class:`~albertkit.inference.engine.Engine`."""
        require_head("masked_lm", self.heads)
        return self.model.masked_lm_logits(self.hidden_states(batch), positions)

    def sentence_order_logits(self, batch: TokenBatch) -> np.ndarray:
        """See :class:`~albertkit.inference.engine.Engine`."""
        require_head("sentence_order", self.heads)
        return self.model.sentence_order_logits(self.model.pooled(self.hidden_states(batch), batch.cu_seqlens))
