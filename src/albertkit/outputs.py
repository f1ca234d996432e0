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


OUTPUT_CLASSES: tuple[type[ModelOutput], ...] = (
    BaseModelOutput,
    BaseModelOutputWithPooling,
    MaskedLMOutput,
    AlbertForPreTrainingOutput,
)
"""Every concrete output class, for registration as pytrees."""


def flatten(output: ModelOutput) -> tuple[list[Any], tuple[str, ...]]:
    """Split an output into its present values and their names (a pytree's children and context)."""
    names = tuple(output.keys())
    return [getattr(output, name) for name in names], names


def unflatten(cls: type[ModelOutput], values: list[Any], names: tuple[str, ...]) -> ModelOutput:
    """Rebuild an output of class ``cls`` from what :func:`flatten` gave."""
    return cls(**dict(zip(names, values, strict=True)))
