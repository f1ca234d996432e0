"""The fixed test of a pre-trained model: the same held-out examples with the same masks every time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from albertkit.data.batches import PretrainingData
from albertkit.data.examples import PretrainingBatch
from albertkit.errors import DataError
from albertkit.models.torch import AlbertForPreTraining
from albertkit.models.torch.losses import IGNORED
from albertkit.training.batches import to_tensors
from albertkit.training.recipe import EvaluationRecipe

__all__ = ["Scores", "evaluate", "held_out_batches"]


@dataclass(frozen=True)
class Scores:
    """Means over the held-out examples, by the names of Google's run_pretraining.py."""

    masked_lm_accuracy: float
    """Share of predicted tokens whose likeliest entry is the right one."""
    masked_lm_loss: float
    """Cross-entropy in nats over predicted tokens."""
    sentence_order_accuracy: float
    """Share of sequences whose order is told right."""
    sentence_order_loss: float
    """Cross-entropy in nats over sequences."""
    predicted_tokens: int
    """Number of predicted tokens."""
    sequences: int
    """Number of sequences."""

    def __str__(self) -> str:
        return (
            f"masked LM accuracy {self.masked_lm_accuracy:.2%}, loss {self.masked_lm_loss:.3f};"
            f" sentence order accuracy {self.sentence_order_accuracy:.2%}, loss {self.sentence_order_loss:.3f}"
        )

    def to_dict(self) -> dict[str, float]:
        """Name → value."""
        return asdict(self)


def held_out_batches(data: PretrainingData, recipe: EvaluationRecipe) -> list[PretrainingBatch]:
    """Make the examples of the test once.

    Args:
        data: The held-out split, with the recipe's own options and seed.
        recipe: How many.

    Raises:
        DataError: If there are none.
    """
    number = min(recipe.num_examples, data.num_examples(0))
    batches = list(data.batches(tokens_per_batch=recipe.tokens_per_batch, stop_example=number))
    if not batches:
        raise DataError(
            "the held-out documents must give an example", received="none", fix="raise data.held_out and prepare again"
        )
    return batches


@torch.no_grad()
def evaluate(model: AlbertForPreTraining, batches: Iterable[PretrainingBatch], *, dtype: torch.dtype = torch.float32) -> Scores:
    """Score a model; it is left in the mode it was in.

    Args:
        model: The model.
        batches: From :func:`held_out_batches`.
        dtype: What the matrix products are computed in.
    """
    was_training = model.training
    model.eval()
    sums = torch.zeros(6, dtype=torch.float64)
    for scores in _score(model, batches, dtype):
        sums += scores
    model.train(was_training)
    right, loss, predicted, order_right, order_loss, sequences = sums.tolist()
    return Scores(
        masked_lm_accuracy=right / max(predicted, 1),
        masked_lm_loss=loss / max(predicted, 1),
        sentence_order_accuracy=order_right / sequences,
        sentence_order_loss=order_loss / sequences,
        predicted_tokens=int(predicted),
        sequences=int(sequences),
    )


def _score(model: AlbertForPreTraining, batches: Iterable[PretrainingBatch], dtype: torch.dtype) -> Iterator[Tensor]:
    """Sums of each batch: right, loss and number of predicted tokens, then of sequences."""
    device = model.device
    for batch in batches:
        tensors = to_tensors(batch, device)
        order = tensors.pop("sentence_order_label").long()
        labels = tensors["labels"]
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            output = model(**tensors, labelled_only=True)
        parts = []
        for logits, right in ((output.prediction_logits, labels[labels != IGNORED].long()), (output.sop_logits, order)):
            loss = torch.nn.functional.cross_entropy(logits.float(), right, reduction="sum")
            parts += [(logits.argmax(-1) == right).sum(), loss, torch.tensor(len(right))]
        yield torch.stack([part.double().cpu() for part in parts])
