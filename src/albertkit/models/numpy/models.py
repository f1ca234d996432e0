"""The model: what the core predicts with, in float32, on packed batches.

Shapes: B batch · T tokens of a packed batch · P chosen positions · H hidden · V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from albertkit.checkpoints.parameters import HEADS, Head, list_parameters
from albertkit.config import AlbertConfig
from albertkit.errors import CheckpointError, InputError
from albertkit.models.inputs import check_length, check_range, check_shape
from albertkit.models.lengths import group_by_length
from albertkit.models.numpy.embeddings import Embeddings
from albertkit.models.numpy.encoder import Encoder
from albertkit.models.numpy.heads import MaskedLMHead
from albertkit.models.numpy.layers import Linear
from albertkit.models.shapes import Float, Int

__all__ = ["AlbertNumPy"]

AnyHead = TypeVar("AnyHead")

_FIRST_NAME: dict[Head, str] = {
    "pooler": "albert.pooler.weight",
    "masked_lm": "predictions.bias",
    "sentence_order": "sop_classifier.classifier.weight",
}


class AlbertNumPy:
    """ALBERT for inference, with those heads whose parameters are given.

    Args:
        config: Sizes.
        parameters: Contract name → float32 array; used in place, so that a memory-mapped file is read as it is needed.

    Raises:
        CheckpointError: If a parameter is missing or its shape does not fit.
        ConfigError: If ``hidden_act`` is a callable.
    """

    def __init__(self, config: AlbertConfig, parameters: Mapping[str, np.ndarray]) -> None:
        self.config = config
        self.heads: tuple[Head, ...] = tuple(head for head in HEADS if _FIRST_NAME[head] in parameters)
        for parameter in list_parameters(config, self.heads):
            received = parameters[parameter.name].shape if parameter.name in parameters else "nothing"
            if received != parameter.shape:
                raise CheckpointError(f"{parameter.name} must have the shape {parameter.shape}", received=received)
        self._embeddings = Embeddings.from_parameters(parameters, config)
        self._encoder = Encoder.from_parameters(parameters, config)
        self._pooler = Linear.named("albert.pooler", parameters) if "pooler" in self.heads else None
        self._masked_lm = MaskedLMHead.from_parameters(parameters, config) if "masked_lm" in self.heads else None
        has_order = "sentence_order" in self.heads
        self._sentence_order = Linear.named("sop_classifier.classifier", parameters) if has_order else None

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
        pooled: np.ndarray = np.tanh(_present(self._pooler, "pooler")(hidden[cu_seqlens[:-1]]))
        return pooled

    def masked_lm_logits(self, hidden: Float[np.ndarray, "T H"], positions: Int[np.ndarray, " P"]) -> Float[np.ndarray, "P V"]:
        """Scores over the vocabulary at some positions of the batch.

        Raises:
            InputError: If the model has no masked-LM head.
        """
        return _present(self._masked_lm, "masked_lm")(hidden[positions])

    def sentence_order_logits(self, pooled: Float[np.ndarray, "B H"]) -> Float[np.ndarray, "B 2"]:
        """Scores of both orders: 0 = segments in order, 1 = swapped.

        Raises:
            InputError: If the model has no sentence-order head.
        """
        return _present(self._sentence_order, "sentence_order")(pooled)


def _present(head: AnyHead | None, name: str) -> AnyHead:
    if head is None:
        raise InputError(f"this needs the {name} head", received="a checkpoint without its weights")
    return head
