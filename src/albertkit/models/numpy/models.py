"""The model: what the core predicts with, in float32, on packed batches.

Shapes: B batch · T tokens of a packed batch · P chosen positions · H hidden · V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from albertkit.checkpoints.parameters import POOLED_HEADS, Head, list_parameters
from albertkit.config import AlbertConfig
from albertkit.errors import CheckpointError, InputError
from albertkit.models.inputs import check_length, check_range, check_shape
from albertkit.models.lengths import group_by_length
from albertkit.models.numpy.answerability import AnswerabilityHead
from albertkit.models.numpy.embeddings import Embeddings
from albertkit.models.numpy.encoder import Encoder
from albertkit.models.numpy.heads import MaskedLMHead
from albertkit.models.numpy.layers import Linear
from albertkit.models.shapes import Bool, Float, Int
from albertkit.outputs import QuestionAnsweringWithAnswerabilityOutput

__all__ = ["AlbertNumPy"]

AnyHead = TypeVar("AnyHead")

_LINEAR: dict[Head, str] = {
    "pooler": "albert.pooler",
    "sentence_order": "sop_classifier.classifier",
    "sequence_classification": "classifier",
    "multiple_choice": "classifier",
    "token_classification": "classifier",
    "question_answering": "qa_outputs",
}
"""The heads that are one linear layer."""


class AlbertNumPy:
    """ALBERT for inference.

    Args:
        config: Sizes.
        parameters: Contract name → float32 array; used in place, so that a memory-mapped file is read as it is needed.
        heads: The heads among the parameters.

    Raises:
        CheckpointError: If a parameter is missing or its shape does not fit.
        ConfigError: If ``hidden_act`` is a callable.
    """

    def __init__(self, config: AlbertConfig, parameters: Mapping[str, np.ndarray], heads: tuple[Head, ...]) -> None:
        self.config = config
        self.heads = heads
        for parameter in list_parameters(config, heads):
            received = parameters[parameter.name].shape if parameter.name in parameters else "nothing"
            if received != parameter.shape:
                raise CheckpointError(f"{parameter.name} must have the shape {parameter.shape}", received=received)
        self._embeddings = Embeddings.from_parameters(parameters, config)
        self._encoder = Encoder.from_parameters(parameters, config)
        self._linear = {head: Linear.named(name, parameters) for head, name in _LINEAR.items() if head in heads}
        self._masked_lm = MaskedLMHead.from_parameters(parameters, config) if "masked_lm" in heads else None
        self._answerability = AnswerabilityHead.from_parameters(parameters, config) if "answerability" in heads else None

    def hidden_states(
        self,
        input_ids: Int[np.ndarray, " T"],
        token_type_ids: Int[np.ndarray, " T"] | None,
        cu_seqlens: Int[np.ndarray, " B1"],
    ) -> Float[np.ndarray, "T H"]:
        """Encode a packed batch.

        Args:
            input_ids: Vocabulary ids, sequences end to end.
            token_type_ids: Segment of each token; ``None``: all 0.
            cu_seqlens: ``[B + 1]`` boundaries of the sequences: 0 first, T last.

        Raises:
            InputError: If an id has no embedding, a sequence is too long, or the boundaries do not fit the tokens.
        """
        lengths = group_by_length(cu_seqlens.tolist(), len(input_ids))
        check_length(lengths.longest, self.config)
        check_range("input_ids", int(input_ids.min()), int(input_ids.max()), self.config.vocab_size, "vocab_size")
        if token_type_ids is not None:
            check_shape("token_type_ids", token_type_ids.shape, input_ids.shape, "input_ids")
            smallest, largest = int(token_type_ids.min()), int(token_type_ids.max())
            check_range("token_type_ids", smallest, largest, self.config.type_vocab_size, "type_vocab_size")
        if lengths.order is not None:
            input_ids = input_ids[lengths.order]
            token_type_ids = None if token_type_ids is None else token_type_ids[lengths.order]
        hidden = self._encoder(self._embeddings(input_ids, token_type_ids, lengths.position_ids), lengths)
        return hidden if lengths.inverse is None else hidden[lengths.inverse]

    def pooled(self, hidden: Float[np.ndarray, "T H"], cu_seqlens: Int[np.ndarray, " B1"]) -> Float[np.ndarray, "B H"]:
        """Dense and tanh over the first token of each sequence.

        Raises:
            InputError: If the model has no pooler.
        """
        pooled: np.ndarray = np.tanh(_present(self._linear.get("pooler"), "pooler")(hidden[cu_seqlens[:-1]]))
        return pooled

    def logits(
        self,
        head: Head,
        hidden: Float[np.ndarray, "T H"],
        cu_seqlens: Int[np.ndarray, " B1"],
        positions: Int[np.ndarray, " P"] | None = None,
    ) -> Float[np.ndarray, "rows classes"]:
        """Scores of a head that is one linear layer, or of masked LM.

        Args:
            head: One of :data:`~albertkit.checkpoints.parameters.HEADS`; what it gives stands at
                :meth:`albertkit.inference.Engine.logits`.
            hidden: What :meth:`hidden_states` gave.
            cu_seqlens: ``[B + 1]`` boundaries of the sequences.
            positions: Where to score; every token, or every sequence, when absent.

        Raises:
            InputError: If the model has no such head.
        """
        tokens = self.pooled(hidden, cu_seqlens) if head in POOLED_HEADS else hidden
        rows = tokens if positions is None else tokens[positions]
        if head == "masked_lm":
            return _present(self._masked_lm, head)(rows)
        return _present(self._linear.get(head), head)(rows)

    def answer_spans(
        self,
        hidden: Float[np.ndarray, "T H"],
        cu_seqlens: Int[np.ndarray, " B1"],
        allowed: Bool[np.ndarray, " T"],
    ) -> QuestionAnsweringWithAnswerabilityOutput:
        """The likeliest answers by the answerability head, as :meth:`AnswerabilityHead.__call__` finds them.

        Raises:
            InputError: If the model has no such head.
        """
        return _present(self._answerability, "answerability")(hidden, cu_seqlens, allowed)


def _present(head: AnyHead | None, name: str) -> AnyHead:
    if head is None:
        raise InputError(f"this needs the {name} head", received="a checkpoint without its weights")
    return head
