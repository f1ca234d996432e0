"""What models return: one family of output classes for every framework.

An output behaves as users of the ecosystem know it: attributes (``out.logits``), names (``out["logits"]``), positions over
what is present (``out[0]``), ``keys()`` and ``to_tuple()``. The array type is the framework's own. Each model package
registers :data:`OUTPUT_CLASSES` with its framework as a pytree through :func:`flatten` and :func:`unflatten`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

__all__ = [
    "OUTPUT_CLASSES",
    "AlbertForPreTrainingOutput",
    "BaseModelOutput",
    "BaseModelOutputWithPooling",
    "MaskedLMOutput",
    "ModelOutput",
    "MultipleChoiceModelOutput",
    "QuestionAnsweringModelOutput",
    "QuestionAnsweringWithAnswerabilityOutput",
    "SequenceClassifierOutput",
    "TokenClassifierOutput",
    "flatten",
    "unflatten",
]


@dataclass
class ModelOutput:
    """Base of all outputs: a mapping from field name to value in which absent (``None``) fields do not count."""

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def keys(self) -> list[str]:
        """Names of the fields that are present, in order."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]

    def values(self) -> list[Any]:
        """Values of the fields that are present, in order."""
        return [getattr(self, name) for name in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """Pairs of name and value of the fields that are present, in order."""
        return [(name, getattr(self, name)) for name in self.keys()]

    def to_tuple(self) -> tuple[Any, ...]:
        """The present values as a tuple: what ``return_dict=False`` returns."""
        return tuple(self.values())

    def get(self, name: str, default: Any = None) -> Any:
        """The field called ``name`` if it is present, else ``default``."""
        return getattr(self, name) if name in self else default

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            if key not in self:
                raise KeyError(f"{type(self).__name__} has no {key!r}; it holds {', '.join(self.keys()) or 'nothing'}")
            return getattr(self, key)
        return self.to_tuple()[key]

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())


@dataclass
class BaseModelOutput(ModelOutput):
    """Hidden states of an encoder.

    Attributes:
        last_hidden_state: ``[B, L, H]``, or ``[T, H]`` for a packed batch.
        hidden_states: One entry per layer and one, first, for the projected embeddings; each as ``last_hidden_state``.
        attentions: One ``[B, N, L, L]`` entry per applied inner layer: attention probabilities.
    """

    last_hidden_state: Any = None
    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None


@dataclass
class BaseModelOutputWithPooling(ModelOutput):
    """Hidden states of an encoder with the pooled first position.

    Attributes:
        last_hidden_state: ``[B, L, H]``, or ``[T, H]`` for a packed batch.
        pooler_output: ``[B, H]``, dense and tanh over the first position; absent without a pooler.
        hidden_states: As in :class:`BaseModelOutput`.
        attentions: As in :class:`BaseModelOutput`.
    """

    last_hidden_state: Any = None
    pooler_output: Any = None
    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None


@dataclass
class MaskedLMOutput(ModelOutput):
    """Scores over the vocabulary.

    Attributes:
        loss: Scalar mean cross-entropy over the labelled positions, when labels were given.
        logits: ``[B, L, V]``; ``[T, V]`` packed; ``[P, V]`` where only the labelled positions were asked for.
        hidden_states: As in :class:`BaseModelOutput`.
        attentions: As in :class:`BaseModelOutput`.
    """

    loss: Any = None
    logits: Any = None
    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None


@dataclass
class AlbertForPreTrainingOutput(ModelOutput):
    """Scores of both pre-training objectives (arXiv:1909.11942 §3.1).

    Attributes:
        loss: Scalar; the sum of the losses whose labels were given.
        prediction_logits: Masked-LM scores, shaped as :attr:`MaskedLMOutput.logits`.
        sop_logits: ``[B, 2]``; 0 = segments in order, 1 = swapped.
        hidden_states: As in :class:`BaseModelOutput`.
        attentions: As in :class:`BaseModelOutput`.
    """

    loss: Any = None
    prediction_logits: Any = None
    sop_logits: Any = None
    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None


@dataclass
class SequenceClassifierOutput(ModelOutput):
    """Scores of the classes of a sequence.

    Attributes:
        loss: Scalar, when labels were given.
        logits: ``[B, C]``; for a regression the predicted numbers.
        hidden_states: As in :class:`BaseModelOutput`.
        attentions: As in :class:`BaseModelOutput`.
    """

    loss: Any = None
    logits: Any = None
    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None


@dataclass
class MultipleChoiceModelOutput(ModelOutput):
    """Scores of the choices.

    Attributes:
        loss: Scalar mean cross-entropy, when labels were given.
        logits: ``[B, C]``, one score for each choice.
        hidden_states: As in :class:`BaseModelOutput`, of ``B * C`` sequences.
        attentions: As in :class:`BaseModelOutput`, of ``B * C`` sequences.
    """

    loss: Any = None
    logits: Any = None
    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None


@dataclass
class TokenClassifierOutput(ModelOutput):
    """Scores of the classes of every token.

    Attributes:
        loss: Scalar mean cross-entropy over the labelled positions, when labels were given.
        logits: ``[B, L, C]``; ``[T, C]`` packed.
        hidden_states: As in :class:`BaseModelOutput`.
        attentions: As in :class:`BaseModelOutput`.
    """

    loss: Any = None
    logits: Any = None
    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None


@dataclass
class QuestionAnsweringModelOutput(ModelOutput):
    """Scores of every token as an answer's first and as its last.

    Attributes:
        loss: Scalar; the mean of the losses of both ends, when their positions were given.
        start_logits: ``[B, L]``; ``[T]`` packed.
        end_logits: ``[B, L]``; ``[T]`` packed.
        hidden_states: As in :class:`BaseModelOutput`.
        attentions: As in :class:`BaseModelOutput`.
    """

    loss: Any = None
    start_logits: Any = None
    end_logits: Any = None
    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None


@dataclass
class QuestionAnsweringWithAnswerabilityOutput(ModelOutput):
    """The likeliest answers, K starts with K2 ends each, and whether there is none (run_squad_v2.py).

    The fields are those of the same head elsewhere (XLNet), but the ends keep their two axes: ``end_top_index[:, i]`` are the
    ends of the answers that start at ``start_top_index[:, i]``. The four of the beam are absent when positions were given.

    Attributes:
        loss: Scalar; (start + end) / 2 + no answer / 2, of the parts whose labels were given.
        start_top_log_probs: ``[B, K]`` log-probabilities of the likeliest starts, best first.
        start_top_index: ``[B, K]`` their positions.
        end_top_log_probs: ``[B, K, K2]`` log-probabilities of the likeliest ends of each start, best first.
        end_top_index: ``[B, K, K2]`` their positions.
        cls_logits: ``[B]``; sigmoid gives the probability that there is no answer.
        hidden_states: As in :class:`BaseModelOutput`.
        attentions: As in :class:`BaseModelOutput`.
    """

    loss: Any = None
    start_top_log_probs: Any = None
    start_top_index: Any = None
    end_top_log_probs: Any = None
    end_top_index: Any = None
    cls_logits: Any = None
    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None


OUTPUT_CLASSES: tuple[type[ModelOutput], ...] = (
    BaseModelOutput,
    BaseModelOutputWithPooling,
    MaskedLMOutput,
    AlbertForPreTrainingOutput,
    SequenceClassifierOutput,
    MultipleChoiceModelOutput,
    TokenClassifierOutput,
    QuestionAnsweringModelOutput,
    QuestionAnsweringWithAnswerabilityOutput,
)
"""Every concrete output class, for registration as pytrees."""


def flatten(output: ModelOutput) -> tuple[list[Any], tuple[str, ...]]:
    """Split an output into its present values and their names (a pytree's children and context)."""
    names = tuple(output.keys())
    return [getattr(output, name) for name in names], names


def unflatten(cls: type[ModelOutput], values: list[Any], names: tuple[str, ...]) -> ModelOutput:
    """Rebuild an output of class ``cls`` from what :func:`flatten` gave."""
    return cls(**dict(zip(names, values, strict=True)))
