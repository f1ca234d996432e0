"""The fixed test of a pre-trained model: the same held-out examples with the same masks every time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from albertkit.data.batches import PretrainingData
from albertkit.data.examples import PretrainingBatch
from albertkit.errors import ConfigError, DataError
from albertkit.models.torch import AlbertForPreTraining
from albertkit.models.torch.losses import IGNORED
from albertkit.training.batches import to_tensors
from albertkit.training.loop import choose_device
from albertkit.training.recipe import EvaluationRecipe, Recipe
from albertkit.training.start import check_pieces

__all__ = ["Scores", "digest_of", "evaluate", "evaluate_checkpoint", "held_out_batches"]


@dataclass(frozen=True)
class Scores:
    """Means over the held-out examples, by the names of Google's run_pretraining.py."""

    masked_lm_accuracy: float
    """Share of predicted tokens whose likeliest entry is the right one."""
    majority_accuracy: float
    """What it would be for one who always answers the commonest of these tokens."""
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
    digest: str
    """SHA-256 of the examples (:func:`digest_of`): scores compare if and only if these are equal."""

    @property
    def masked_lm_error(self) -> float:
        """Standard error of :attr:`masked_lm_accuracy`, the predicted tokens taken as independent."""
        return _standard_error(self.masked_lm_accuracy, self.predicted_tokens)

    @property
    def sentence_order_error(self) -> float:
        """Standard error of :attr:`sentence_order_accuracy`."""
        return _standard_error(self.sentence_order_accuracy, self.sequences)

    def __str__(self) -> str:
        return (
            f"masked LM accuracy {self.masked_lm_accuracy:.2%} ± {self.masked_lm_error:.2%}"
            f" (commonest token {self.majority_accuracy:.2%}), loss {self.masked_lm_loss:.3f};"
            f" sentence order accuracy {self.sentence_order_accuracy:.1%} ± {self.sentence_order_error:.1%},"
            f" loss {self.sentence_order_loss:.3f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Name → value."""
        return asdict(self)


def held_out_batches(data: PretrainingData, recipe: EvaluationRecipe) -> list[PretrainingBatch]:
    """Make the examples of the test once.

    Args:
        data: The held-out split, with the recipe's own options and seed.
        recipe: How many.

    Raises:
        DataError: If there are none, or others than the recipe's ``digest`` says.
    """
    number = min(recipe.num_examples, data.num_examples(0))
    batches = list(data.batches(tokens_per_batch=recipe.tokens_per_batch, stop_example=number))
    if not batches:
        raise DataError(
            "the held-out documents must give an example", received="none", fix="raise data.held_out and prepare again"
        )
    if recipe.digest not in (None, digest_of(batches)):
        raise DataError(
            f"the held-out examples must be those of evaluation.digest ({recipe.digest})",
            received=digest_of(batches),
            fix="prepare with the recipe's own text, tokenizer and held_out, or set evaluation.digest to null",
        )
    return batches


def evaluate_checkpoint(name: str | Path, recipe: Recipe) -> Scores:
    """Score a checkpoint on the held-out documents of a recipe, as the recipe's own run would.

    Args:
        name: Directory, embedded model, published name or hub id.
        recipe: Its prepared data, evaluation, device and number type are used.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
        ConfigError: If the data were prepared with another tokenizer, or the sequences are too long for the model.
        DataError: If the prepared data are missing or damaged, or hold no such documents.
        TrainingError: If the device cannot be used.
    """
    evaluation, prepared = recipe.evaluation, Path(recipe.data.output)
    data = PretrainingData(prepared, split="held_out", options=evaluation.examples, seed=evaluation.seed)
    check_pieces(name, prepared)
    model = AlbertForPreTraining.from_pretrained(name).to(choose_device(recipe.training.device))
    if evaluation.max_seq_length > model.config.max_position_embeddings:
        raise ConfigError(
            "evaluation.max_seq_length must fit into the checkpoint's max_position_embeddings",
            received=f"{evaluation.max_seq_length} and {model.config.max_position_embeddings}",
        )
    dtype = torch.bfloat16 if recipe.training.dtype == "bfloat16" else torch.float32
    return evaluate(model, held_out_batches(data, evaluation), dtype=dtype)


def digest_of(batches: Sequence[PretrainingBatch]) -> str:
    """SHA-256 of examples, whatever their order and their division into batches.

    It is that of the rising SHA-256 of all examples, each over ids, token types, labels and sentence order as little-endian
    32-bit numbers.

    Args:
        batches: From :func:`held_out_batches`.
    """
    digests = []
    for batch in batches:
        for number, order in enumerate(batch.sentence_order_label):
            inside = slice(*batch.cu_seqlens[number : number + 2])
            parts = (batch.input_ids[inside], batch.token_type_ids[inside], batch.labels[inside], order)
            digests.append(hashlib.sha256(b"".join(part.astype("<i4").tobytes() for part in parts)).digest())
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


@torch.no_grad()
def evaluate(model: AlbertForPreTraining, batches: Sequence[PretrainingBatch], *, dtype: torch.dtype = torch.float32) -> Scores:
    """Score a model; it is left in the mode it was in.

    Args:
        model: The model.
        batches: From :func:`held_out_batches`.
        dtype: What the matrix products are computed in.
    """
    was_training = model.training
    model.eval()
    sums = torch.zeros(6, dtype=torch.float64)
    counts = torch.zeros(model.config.vocab_size, dtype=torch.int64)
    for batch in batches:
        sums += _score(model, batch, dtype)
        labels = torch.from_numpy(batch.labels)
        counts += labels[labels != IGNORED].bincount(minlength=len(counts))
    model.train(was_training)
    right, loss, predicted, order_right, order_loss, sequences = sums.tolist()
    return Scores(
        masked_lm_accuracy=right / max(predicted, 1),
        majority_accuracy=int(counts.max()) / max(predicted, 1),
        masked_lm_loss=loss / max(predicted, 1),
        sentence_order_accuracy=order_right / sequences,
        sentence_order_loss=order_loss / sequences,
        predicted_tokens=int(predicted),
        sequences=int(sequences),
        digest=digest_of(batches),
    )


def _score(model: AlbertForPreTraining, batch: PretrainingBatch, dtype: torch.dtype) -> Tensor:
    """Sums of a batch: right, loss and number of predicted tokens, then of sequences."""
    device = model.device
    tensors = to_tensors(batch, device)
    order = tensors.pop("sentence_order_label").long()
    labels = tensors["labels"]
    targets = labels[labels != IGNORED].long().to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        output = model(**tensors, labelled_only=True)
    parts = []
    for logits, right in ((output.prediction_logits, targets), (output.sop_logits, order)):
        loss = torch.nn.functional.cross_entropy(logits.float(), right, reduction="sum")
        parts += [(logits.argmax(-1) == right).sum(), loss, torch.tensor(len(right))]
    return torch.stack([part.double().cpu() for part in parts])


def _standard_error(share: float, number: int) -> float:
    return math.sqrt(share * (1 - share) / max(number, 1))
