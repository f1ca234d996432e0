"""The head of Google's SQuAD 2.0 models: where answers start, where each of them ends, and whether there is one.

A start is scored alone, an end together with the start it belongs to; so the likeliest starts are found first, and the
likeliest ends for each of them. Source: run_squad_v2.py of google-research/albert.

Shapes: B batch · T tokens of a packed batch · L tokens of one sequence · K starts · K2 ends of each start · H hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from albertkit.config import AlbertConfig
from albertkit.models.numpy.layers import LayerNorm, Linear
from albertkit.models.shapes import Bool, Float, Int
from albertkit.outputs import QuestionAnsweringWithAnswerabilityOutput

__all__ = ["AnswerabilityHead"]

_MASKED = np.float32(-1e30)  # the score of a token that may be no end of an answer, as Google has it


@dataclass(frozen=True, eq=False)
class AnswerabilityHead:
    """Start, end and answer class.

    Attributes:
        start: H → 1.
        end_hidden: H → H, the part of the end's first layer that sees the end.
        end_start: H → H without bias, the part that sees the start.
        end_norm: LayerNorm over H.
        end: H → 1.
        class_hidden: 2 H → H over the mean start and ``[CLS]``.
        class_kernel: ``[H, 1]``, without a bias.
    """

    start: Linear
    end_hidden: Linear
    end_start: Float[np.ndarray, "H H"]
    end_norm: LayerNorm
    end: Linear
    class_hidden: Linear
    class_kernel: Float[np.ndarray, "H 1"]

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, np.ndarray], config: AlbertConfig) -> AnswerabilityHead:
        """Find the head among the contract's parameters."""
        both = parameters["end_logits.dense_0.weight"].T
        return cls(
            start=Linear.named("start_logits.dense", parameters),
            end_hidden=Linear(both[: config.hidden_size], parameters["end_logits.dense_0.bias"]),
            end_start=both[config.hidden_size :],
            end_norm=LayerNorm.named("end_logits.LayerNorm", parameters, config.layer_norm_eps),
            end=Linear.named("end_logits.dense_1", parameters),
            class_hidden=Linear.named("answer_class.dense_0", parameters),
            class_kernel=parameters["answer_class.dense_1.weight"].T,
        )

    def __call__(
        self,
        hidden: Float[np.ndarray, "T H"],
        cu_seqlens: Int[np.ndarray, " B1"],
        allowed: Bool[np.ndarray, " T"],
        num_starts: int = 5,
        num_ends: int = 5,
    ) -> QuestionAnsweringWithAnswerabilityOutput:
        """Find the likeliest answers of every sequence.

        Args:
            hidden: The encoder's output.
            cu_seqlens: ``[B + 1]`` boundaries of the sequences.
            allowed: Where an answer may start and end: ``[CLS]`` and the passage.
            num_starts: K, of which a sequence of fewer tokens leaves the last ones empty, with log-probability -1e30.
            num_ends: K2, likewise.

        Returns:
            The four of the beam, whose indices count from the first token of their sequence, and ``cls_logits``.
        """
        start_logits = np.where(allowed, self.start(hidden)[:, 0], _MASKED)
        end_hidden = self.end_hidden(hidden)
        count = len(cu_seqlens) - 1
        starts, ends = _empty_beam((count, num_starts)), _empty_beam((count, num_starts, num_ends))
        means = np.empty((count, hidden.shape[1]), np.float32)
        for row, (first, last) in enumerate(pairwise(cu_seqlens.tolist())):
            tokens = slice(first, last)
            log_probs = _log_softmax(start_logits[tokens])
            means[row] = np.exp(log_probs) @ hidden[tokens]
            kept = _keep_best(log_probs, starts, (row,))
            of_start = hidden[tokens][kept] @ self.end_start
            pairs = self.end_norm(np.tanh(end_hidden[tokens] + of_start[:, None, :]))
            for place, logits in enumerate(self.end(pairs)[..., 0]):
                _keep_best(_log_softmax(np.where(allowed[tokens], logits, _MASKED)), ends, (row, place))
        both = np.concatenate([means, hidden[cu_seqlens[:-1]]], axis=1)
        return QuestionAnsweringWithAnswerabilityOutput(
            start_top_log_probs=starts[0],
            start_top_index=starts[1],
            end_top_log_probs=ends[0],
            end_top_index=ends[1],
            cls_logits=(np.tanh(self.class_hidden(both)) @ self.class_kernel)[:, 0],
        )


Beam = tuple[np.ndarray, np.ndarray]


def _empty_beam(shape: tuple[int, ...]) -> Beam:
    """Log-probabilities and indices, to be filled."""
    return np.full(shape, _MASKED), np.zeros(shape, np.int64)


def _keep_best(log_probs: Float[np.ndarray, " L"], beam: Beam, place: tuple[int, ...]) -> Int[np.ndarray, " K"]:
    """Put the largest values into ``beam`` at ``place``, best first, and return where they stand."""
    best: np.ndarray = np.argsort(-log_probs, kind="stable")[: beam[0].shape[-1]]
    beam[0][place][: len(best)] = log_probs[best]
    beam[1][place][: len(best)] = best
    return best


def _log_softmax(logits: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
    shifted = logits - logits.max()
    normalized: np.ndarray = shifted - np.log(np.exp(shifted).sum())
    return normalized
