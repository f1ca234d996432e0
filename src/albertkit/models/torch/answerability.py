"""Google's head for questions that may have no answer (SQuAD 2.0; run_squad_v2.py).

Shapes: B batch · L sequence · E embedding · H hidden · K likeliest starts · K2 likeliest ends of each.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.models.inputs import check_shape
from albertkit.models.shapes import Bool, Float, Int, Shaped
from albertkit.models.torch.heads import AlbertAnswerClass, AlbertEndLogits, AlbertStartLogits
from albertkit.models.torch.inputs import check_probabilities, read_column, read_spans
from albertkit.models.torch.losses import mean_binary_cross_entropy, span_loss
from albertkit.models.torch.models import AlbertWithHeads
from albertkit.outputs import QuestionAnsweringWithAnswerabilityOutput

__all__ = ["AlbertForQuestionAnsweringWithAnswerability"]

_NEVER = -1e30
"""Score of a token that may not be an answer's end, as Google's."""


class AlbertForQuestionAnsweringWithAnswerability(AlbertWithHeads):
    """The encoder, without a pooler, with scores of an answer's first token, of its last given the first, and of no answer.

    With positions, the ends are scored from the right starts (teacher forcing); without, from the likeliest ones: a beam.
    Padded batches only: its probabilities run along a sequence.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config, HEADS_OF_CLASS["AlbertForQuestionAnsweringWithAnswerability"])
        self.start_logits = AlbertStartLogits(config)
        self.end_logits = AlbertEndLogits(config)
        self.answer_class = AlbertAnswerClass(config)
        self._initialize_heads()

    def forward(
        self,
        input_ids: Int[Tensor, "B L"] | None = None,
        attention_mask: Shaped[Tensor, "..."] | None = None,
        token_type_ids: Int[Tensor, "..."] | None = None,
        position_ids: Int[Tensor, "..."] | None = None,
        head_mask: Float[Tensor, "..."] | None = None,
        inputs_embeds: Float[Tensor, "... E"] | None = None,
        start_positions: Shaped[Tensor, "..."] | None = None,
        end_positions: Shaped[Tensor, "..."] | None = None,
        is_impossible: Shaped[Tensor, "..."] | None = None,
        p_mask: Shaped[Tensor, "..."] | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        num_starts: int = 5,
        num_ends: int = 5,
    ) -> QuestionAnsweringWithAnswerabilityOutput | tuple[Any, ...]:
        """Find the likeliest answers, or score the right ones.

        Beside the arguments of :mod:`albertkit.models.torch.models`:

        - ``start_positions [B]``, ``end_positions [B]``: the right places; one beyond the sequence is ignored.
        - ``is_impossible [B]``: 1 where the question has no answer.
        - ``p_mask [B, L]``: not 0 where no answer may start or end: the question, ``[SEP]``; padding never may.
        - ``num_starts`` and ``num_ends``: K and K2, the width of the beam.
        """
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, head_mask, inputs_embeds)
        encoded = self.albert(*inputs, output_attentions, output_hidden_states, True)
        hidden = encoded.last_hidden_state
        barred = _read_barred(attention_mask, p_mask, hidden)
        start_scores = self.start_logits(hidden).float().masked_fill(barred, _NEVER)
        likely_start = torch.einsum("bl,blh->bh", start_scores.softmax(-1).to(hidden.dtype), hidden)
        output = QuestionAnsweringWithAnswerabilityOutput(
            cls_logits=self.answer_class(likely_start, hidden[:, 0]),
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )
        if start_positions is None and end_positions is None:
            self._search(output, hidden, start_scores, barred, (num_starts, num_ends))
        else:
            starts, ends = read_spans(start_positions, end_positions, hidden.shape[0])
            end_scores = self._score_ends(hidden, starts.clamp(0, hidden.shape[1] - 1)[:, None], barred)[:, 0]
            output.loss = (span_loss(start_scores, starts, hidden.shape[1]) + span_loss(end_scores, ends, hidden.shape[1])) / 2
        if is_impossible is not None:
            none = read_column("is_impossible", is_impossible, hidden.shape[0])
            check_probabilities("is_impossible", none, (hidden.shape[0],))
            of_class = mean_binary_cross_entropy(output.cls_logits, none) / 2  # by half, so as to weigh as one end does
            output.loss = of_class if output.loss is None else output.loss + of_class
        return self._as_asked(output, return_dict)

    def _score_ends(
        self, hidden: Float[Tensor, "B L H"], starts: Int[Tensor, "B K"], barred: Bool[Tensor, "B L"]
    ) -> Float[Tensor, "B K L"]:
        """Score every token as the end of the answers that start at ``starts``."""
        at_start = hidden.gather(1, starts[..., None].long().expand(-1, -1, hidden.shape[-1]))
        scores: Tensor = self.end_logits(hidden, at_start).float().masked_fill(barred[:, None], _NEVER)
        return scores

    def _search(
        self,
        output: QuestionAnsweringWithAnswerabilityOutput,
        hidden: Float[Tensor, "B L H"],
        start_scores: Float[Tensor, "B L"],
        barred: Bool[Tensor, "B L"],
        widths: tuple[int, int],
    ) -> None:
        """Put the beam into ``output``: the likeliest starts, and the likeliest ends of each, as many as there are tokens."""
        if min(widths) < 1:
            raise InputError("num_starts and num_ends must be at least 1", received=f"{widths[0]} and {widths[1]}")
        length = hidden.shape[1]  # compared, since a traced min() would make the beam's width depend on it
        num_starts, num_ends = (width if width <= length else length for width in widths)
        output.start_top_log_probs, output.start_top_index = start_scores.log_softmax(-1).topk(num_starts)
        end_scores = self._score_ends(hidden, output.start_top_index, barred)
        output.end_top_log_probs, output.end_top_index = end_scores.log_softmax(-1).topk(num_ends)


def _read_barred(attention_mask: Tensor | None, p_mask: Tensor | None, hidden: Float[Tensor, "B L H"]) -> Bool[Tensor, "B L"]:
    """True where no answer may start or end: what ``p_mask`` names, and padding."""
    barred = hidden.new_zeros(hidden.shape[:2], dtype=torch.bool)
    if p_mask is not None:
        check_shape("p_mask", p_mask.shape, hidden.shape[:2], "the tokens [batch, sequence]")
        barred = barred | (p_mask != 0)
    return barred if attention_mask is None else barred | (attention_mask == 0)
