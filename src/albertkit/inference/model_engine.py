"""What the JAX and the TensorFlow engine share, whose models have the same classes, arguments and outputs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np

from albertkit.checkpoints.huggingface import find_heads
from albertkit.checkpoints.parameters import Head
from albertkit.errors import InputError
from albertkit.hub import Name
from albertkit.inference.batching import TokenBatch
from albertkit.inference.heads import require_head
from albertkit.inference.padded_engine import PaddedEngine
from albertkit.inference.padding import PaddedBlock
from albertkit.outputs import QuestionAnsweringWithAnswerabilityOutput

__all__ = ["OUTPUTS", "ModelEngine", "pick_device"]

OUTPUTS: dict[Head | None, tuple[str, tuple[str, ...]]] = {
    None: ("AlbertModel", ("last_hidden_state",)),
    "pooler": ("AlbertModel", ("pooler_output",)),
    "masked_lm": ("AlbertForMaskedLM", ("logits",)),
    "sentence_order": ("AlbertForPreTraining", ("sop_logits",)),
    "sequence_classification": ("AlbertForSequenceClassification", ("logits",)),
    "multiple_choice": ("AlbertForMultipleChoice", ("logits",)),
    "token_classification": ("AlbertForTokenClassification", ("logits",)),
    "question_answering": ("AlbertForQuestionAnswering", ("start_logits", "end_logits")),
}
"""Head, or none → the smallest class that has it, and the outputs that are asked for."""


class ModelEngine(PaddedEngine):
    """Runs a model of a subclass's package, as it is when it is asked.

    Args:
        model: One of the package's models.
        head: The head that will be asked for.
        device: Where to compute; where the framework does by default without one.

    Raises:
        CheckpointError: If the model has no such head.
        InputError: If there is no such device.
    """

    name: ClassVar[str]
    package: ClassVar[ModuleType]

    def __init__(self, model: Any, head: Head | None = None, *, device: str | None = None) -> None:
        require_head(head, model.heads)
        self.model = model
        self.config = model.config
        self.heads = model.heads
        self._device = device

    @classmethod
    def load(cls, name: Name, head: Head | None = None, *, device: str | None = None, dtype: str | None = None) -> Self:
        """Load a checkpoint as the model that has ``head``.

        Args:
            name: A directory, an embedded model, a published name, a hub id, or a source.
            head: The head that will be asked for; ``None``: the encoder alone.
            device: ``"cpu"``, ``"gpu"``, ``"gpu:1"`` …; also called ``cuda``.
            dtype: ``float32`` (the default), ``bfloat16``, ``float16``, or ``auto`` for the file's.

        Raises:
            CheckpointError: If the checkpoint cannot be read or has no such head.
            InputError: If there is no such device or type, or the head is answerability.
        """
        if dtype == "int8":
            raise InputError(f"the {cls.name} engine has no int8", fix="use the torch or the onnx engine")
        if head == "answerability":
            raise cls._no_answerability()
        require_head(head, () if head is None else find_heads(name))
        model, options = getattr(cls.package, OUTPUTS[head][0]), {} if head else {"add_pooling_layer": False}
        with cls._on(device):
            return cls(model.from_pretrained(name, dtype=dtype or "float32", **options), head, device=device)

    def answer_spans(self, batch: TokenBatch, allowed: np.ndarray) -> QuestionAnsweringWithAnswerabilityOutput:
        """Refused: the head that finds answers in Google's way is not among this engine's."""
        raise self._no_answerability()

    @classmethod
    def _no_answerability(cls) -> InputError:
        return InputError(f"the {cls.name} engine has no answerability head", fix="use the numpy, the torch or the onnx engine")

    @staticmethod
    @abstractmethod
    def _on(device: str | None) -> AbstractContextManager[Any]:
        """Within it the framework computes on a device; an :class:`~albertkit.errors.InputError` if there is none such."""

    @abstractmethod
    def _run(self, head: Head | None, ids: np.ndarray, mask: np.ndarray, types: np.ndarray, places: np.ndarray | None) -> Any:
        """What :meth:`_compute` returns, as the framework's own array of float32; whole numbers are int32."""

    def _compute(self, head: Head | None, batch: TokenBatch, block: PaddedBlock, places: np.ndarray | None = None) -> np.ndarray:
        columns = [block.pad(batch.input_ids), block.mask, block.pad(batch.token_type_ids)]
        if head == "multiple_choice":  # [b, 1, L]: here every choice is a sequence of its own
            columns = [column[:, None] for column in columns]
        with self._on(self._device):
            ids, mask, types = (column.astype(np.int32) for column in columns)
            return np.asarray(self._run(head, ids, mask, types, places))


def pick_device(name: str, list_devices: Callable[[str], Sequence[Any]]) -> Any:
    """The device that a name of this package's means, such as ``cpu`` or ``cuda:1``.

    Args:
        name: A platform, and a number if there are several.
        list_devices: Those of a platform, ``cpu``, ``gpu`` or ``tpu``.

    Raises:
        InputError: If there is none such.
    """
    platform, _, number = name.replace("cuda", "gpu").partition(":")
    try:
        return dict(enumerate(list_devices(platform)))[int(number or 0)]
    except (RuntimeError, ValueError, KeyError):
        raise InputError("device must be one that the engine has here", received=name, fix="try cpu") from None
