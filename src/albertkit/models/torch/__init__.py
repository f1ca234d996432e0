"""ALBERT in PyTorch. Read :mod:`albertkit.models.torch.encoder` first."""

from __future__ import annotations

from functools import partial

from albertkit.optional import require

require("torch", "The PyTorch model")

from torch.utils._pytree import register_pytree_node  # noqa: E402

from albertkit.models.torch.answerability import AlbertForQuestionAnsweringWithAnswerability  # noqa: E402
from albertkit.models.torch.models import AlbertForMaskedLM, AlbertForPreTraining, AlbertModel  # noqa: E402
from albertkit.models.torch.tasks import (  # noqa: E402
    AlbertForMultipleChoice,
    AlbertForQuestionAnswering,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)
from albertkit.models.torch.weights import AlbertPreTrainedModel  # noqa: E402
from albertkit.outputs import OUTPUT_CLASSES, flatten, unflatten  # noqa: E402

__all__ = [
    "AlbertForMaskedLM",
    "AlbertForMultipleChoice",
    "AlbertForPreTraining",
    "AlbertForQuestionAnswering",
    "AlbertForQuestionAnsweringWithAnswerability",
    "AlbertForSequenceClassification",
    "AlbertForTokenClassification",
    "AlbertModel",
    "AlbertPreTrainedModel",
]

for output_class in OUTPUT_CLASSES:
    register_pytree_node(
        output_class,
        flatten,
        partial(unflatten, output_class),
        serialized_type_name=f"albertkit.{output_class.__name__}",
        to_dumpable_context=list,
        from_dumpable_context=tuple,
    )
