"""Engines: one way to run a model for predictions, NumPy arrays in and out, whatever computes them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from albertkit import optional
from albertkit.checkpoints.exported import is_only_exported
from albertkit.checkpoints.parameters import Head
from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.hub import Name, Source
from albertkit.inference.batching import TokenBatch
from albertkit.outputs import QuestionAnsweringWithAnswerabilityOutput

__all__ = ["ENGINES", "SWITCH_TOKENS", "Engine", "load_engine"]

ENGINES = ("auto", "numpy", "torch", "onnx")
"""Names of the engines; ``auto`` takes NumPy for a few short texts, PyTorch where it is loaded or the work is large, and
ONNX Runtime only where an exported model is all there is."""

SWITCH_TOKENS = 4096
"""Tokens after which ``auto`` goes from NumPy to an installed PyTorch, whose import costs about what it saves until then."""


class Engine(Protocol):
    """What a pipeline needs of a model. All engines agree within 1e-5 in float32."""

    @property
    def config(self) -> AlbertConfig:
        """The model's configuration."""
        ...

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads that the model has."""
        ...

    @property
    def name(self) -> str:
        """Which of :data:`ENGINES` computes."""
        ...

    def hidden_states(self, batch: TokenBatch) -> np.ndarray:
        """Last hidden states ``[T, H]`` of every token."""
        ...

    def logits(self, head: Head, batch: TokenBatch, positions: np.ndarray | None = None) -> np.ndarray:
        """Scores of a head, float32.

        - ``masked_lm``: over the vocabulary ``[P, V]`` at ``positions [P]`` of the packed batch;
        - ``sentence_order``: ``[B, 2]``, 0 = segments in order, 1 = swapped;
        - ``sequence_classification``: ``[B, C]``; ``multiple_choice``: ``[B, 1]``, a sequence for each choice;
        - ``token_classification``: ``[T, C]``; ``question_answering``: ``[T, 2]``, of an answer's first and last token.

        Raises:
            CheckpointError: If the model has no such head.
            InputError: If the head is answerability, which :meth:`answer_spans` asks.
        """
        ...

    def answer_spans(self, batch: TokenBatch, allowed: np.ndarray) -> QuestionAnsweringWithAnswerabilityOutput:
        """The five likeliest starts of an answer with the five likeliest ends of each, and whether there is one.

        Args:
            batch: Questions with their passages.
            allowed: ``[T]`` bool, where an answer may start and end: ``[CLS]`` and the passage.

        Returns:
            Arrays; places count from the first token of their sequence, and a log-probability of -1e30 marks one that is none.

        Raises:
            CheckpointError: If the model has no answerability head.
        """
        ...


def load_engine(
    model: Any, head: Head | None = None, *, engine: str = "auto", device: str | None = None, dtype: str | None = None
) -> Engine:
    """Load a model on an engine.

    Args:
        model: A directory, an embedded model, a published name, a hub id, a :class:`~albertkit.hub.Source`, or a PyTorch model
            of this package.
        head: The head that will be asked for; ``None``: hidden states only.
        engine: One of :data:`ENGINES`.
        device: A PyTorch device, ``"cpu"``, ``"cuda:0"`` …; NumPy runs on the CPU only.
        dtype: ``"float32"``, ``"bfloat16"``, ``"float16"``, ``"int8"`` or ``"auto"`` (the file's) with PyTorch; ``"float32"`` or
            ``"int8"`` with ONNX Runtime; NumPy computes in float32 only.

    Raises:
        InputError: If the engine is unknown or cannot run on that device or in that type.
        MissingExtraError: If the engine's framework is not installed.
        CheckpointError: If the model cannot be found or read, or has no such head.
    """
    if engine not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)}", received=repr(engine))
    if not isinstance(model, str | Path | Source):
        return _engine_of_model(model, head, engine, device, dtype)
    numpy_can = device in (None, "cpu") and dtype in (None, "float32")
    if engine == "numpy" and not numpy_can:
        raise InputError(
            "the numpy engine runs in float32 on the CPU",
            received=f"device={device!r} and dtype={dtype!r}",
            fix='use engine="torch"',
        )
    if engine == "onnx" or (engine == "auto" and is_only_exported(model)):
        return _load_onnx(model, head, device, dtype)
    if engine == "torch" or (engine == "auto" and (not numpy_can or "torch" in sys.modules)):
        return _load_torch(model, head, device, dtype)
    from albertkit.inference.numpy_engine import NumPyEngine

    loaded = NumPyEngine.load(model, head)
    if engine == "auto" and optional.is_installed("torch"):
        return AutoEngine(loaded, lambda: _load_torch(model, head, device, dtype))
    return loaded


class AutoEngine:
    """Answers with NumPy at once, and goes over to PyTorch when the work turns out large."""

    def __init__(self, first: Engine, load_second: Callable[[], Engine]) -> None:
        self._engine = first
        self._load_second: Callable[[], Engine] | None = load_second
        self._tokens = 0
        self.config = first.config
        self.heads = first.heads

    @property
    def name(self) -> str:
        """Name of the engine in use now."""
        return self._engine.name

    def _engine_for(self, batch: TokenBatch) -> Engine:
        self._tokens += len(batch.input_ids)
        if self._load_second is not None and self._tokens > SWITCH_TOKENS:
            self._engine, self._load_second = self._load_second(), None
        return self._engine

    def hidden_states(self, batch: TokenBatch) -> np.ndarray:
        """See :class:`Engine`."""
        return self._engine_for(batch).hidden_states(batch)

    def logits(self, head: Head, batch: TokenBatch, positions: np.ndarray | None = None) -> np.ndarray:
        """See :class:`Engine`."""
        return self._engine_for(batch).logits(head, batch, positions)

    def answer_spans(self, batch: TokenBatch, allowed: np.ndarray) -> QuestionAnsweringWithAnswerabilityOutput:
        """See :class:`Engine`."""
        return self._engine_for(batch).answer_spans(batch, allowed)


def _load_onnx(name: Name, head: Head | None, device: str | None, dtype: str | None) -> Engine:
    if device not in (None, "cpu"):
        raise InputError("the onnx engine runs on the CPU", received=f"device={device!r}", fix='use engine="torch"')
    optional.require("onnxruntime", "The onnx engine")
    from albertkit.inference.onnx_engine import OnnxEngine

    return OnnxEngine.load(name, head, dtype=dtype)


def _load_torch(name: Name, head: Head | None, device: str | None, dtype: str | None) -> Engine:
    optional.require("torch", "The torch engine")
    from albertkit.inference.torch_engine import TorchEngine

    return TorchEngine.load(name, head, device=device, dtype=dtype)


def _engine_of_model(model: Any, head: Head | None, engine: str, device: str | None, dtype: str | None) -> Engine:
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        raise InputError(
            "model must be a name, a directory or a PyTorch model of albertkit", received=f"a {type(model).__name__}"
        )
    if engine in ("numpy", "onnx"):
        raise InputError("a PyTorch model runs on the torch engine", received=f'engine="{engine}"', fix="leave engine out")
    from albertkit.inference.torch_engine import TorchEngine

    return TorchEngine(model, head, device=device, dtype=dtype)
