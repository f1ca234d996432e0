"""The NumPy engine: no framework to import, so that a fresh process answers at once; float32 on the CPU."""

from __future__ import annotations

import numpy as np

from albertkit.checkpoints.huggingface import heads_on_disk, load_parameters
from albertkit.checkpoints.parameters import Head
from albertkit.config import AlbertConfig
from albertkit.hub import Name
from albertkit.inference.batching import TokenBatch
from albertkit.inference.heads import require_head, require_scores
from albertkit.models.numpy import AlbertNumPy
from albertkit.outputs import QuestionAnsweringWithAnswerabilityOutput

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
        self.model = AlbertNumPy(config, parameters, heads)

    @classmethod
    def load(cls, name: Name, head: Head | None = None) -> NumPyEngine:
        """Load a checkpoint with the heads it has; weights stored as float32 stay memory-mapped.

        Args:
            name: A directory, an embedded model, a published name, a hub id, or a source.
            head: The head that will be asked for.

        Raises:
            CheckpointError: If the checkpoint cannot be read or has no such head.
        """
        config = AlbertConfig.from_pretrained(name)
        parameters = load_parameters(name, config).parameters
        heads = heads_on_disk(parameters, config.architectures)
        require_head(head, heads)
        return cls(config, parameters, heads)

    def hidden_states(self, batch: TokenBatch) -> np.ndarray:
        """See :class:`~albertkit.inference.engine.Engine`."""
        return self.model.hidden_states(batch.input_ids, batch.token_type_ids, batch.cu_seqlens)

    def logits(self, head: Head, batch: TokenBatch, positions: np.ndarray | None = None) -> np.ndarray:
        """See :class:`~albertkit.inference.engine.Engine`."""
        require_scores(head, self.heads)
        return self.model.logits(head, self.hidden_states(batch), batch.cu_seqlens, positions)

    def answer_spans(self, batch: TokenBatch, allowed: np.ndarray) -> QuestionAnsweringWithAnswerabilityOutput:
        """See :class:`~albertkit.inference.engine.Engine`."""
        require_head("answerability", self.heads)
        return self.model.answer_spans(self.hidden_states(batch), batch.cu_seqlens, allowed)
