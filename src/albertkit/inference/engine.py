"""Engines: one way to run a model for predictions, NumPy arrays in and out, whatever computes them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from albertkit import optional
from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.inference.batching import TokenBatch

__all__ = ["ENGINES", "SWITCH_TOKENS", "Engine", "load_engine"]

ENGINES = ("auto", "numpy", "torch")
"""Names of the engines; ``auto`` takes NumPy for a few short texts, PyTorch where it is loaded or the work is large."""

SWITCH_TOKENS = 4096
"""Tokens after which ``auto`` goes from NumPy to an installed PyTorch, whose import costs about what it saves until then."""


class Engine(Protocol):
    """What a pipeline needs of a model. All engines agree within 1e-5 in float32."""

    config: AlbertConfig

    @property
    def name(self) -> str:
        """Which of :data:`ENGINES` computes."""
        ...

    def hidden_states(self, batch: TokenBatch) -> np.ndarray:
        """Last hidden states ``[T, H]`` of every token."""
        ...

    def masked_lm_logits(self, batch: TokenBatch, positions: np.ndarray) -> np.ndarray:
        """Scores over the vocabulary ``[P, V]`` at ``positions [P]`` of the packed batch."""
        ...

    def sentence_order_logits(self, batch: TokenBatch) -> np.ndarray:
        """Scores ``[B, 2]``: 0 = segments in order, 1 = swapped."""
        ...


def load_engine(
    model: Any, *, engine: str = "auto", device: str | None = None, dtype: str | None = None, revision: str | None = None
) -> Engine:
    """Load a model on an engine.

    Args:
        model: A directory, an embedded model, a published name, a hub id, or a PyTorch model of this package.
        engine: One of :data:`ENGINES`.
        device: A PyTorch device, ``"cpu"``, ``"cuda:0"`` …; NumPy runs on the CPU only.
        dtype: ``"float32"``, ``"bfloat16"``, ``"float16"`` or ``"auto"`` (the file's); NumPy computes in float32 only.
        revision: Branch, tag or commit of a hub repository.

    Raises:
        InputError: If the engine is unknown or cannot run on that device or in that type.
        MissingExtraError: If the engine's framework is not installed.
        CheckpointError: If the model cannot be found or read.
    """
    if engine not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)}", received=repr(engine))
    if not isinstance(model, str | Path):
        return _engine_of_model(model, engine, device, dtype)
    numpy_can = device in (None, "cpu") and dtype in (None, "float32")
    if engine == "numpy" and not numpy_can:
        raise InputError(
            "the numpy engine runs in float32 on the CPU",
            received=f"device={device!r} and dtype={dtype!r}",
            fix='use engine="torch"',
        )
    if engine == "torch" or (engine == "auto" and (not numpy_can or "torch" in sys.modules)):
        return _load_torch(model, device, dtype, revision)
    from albertkit.inference.numpy_engine import NumPyEngine

    loaded = NumPyEngine.load(model, revision=revision)
    if engine == "auto" and optional.is_installed("torch"):
        return AutoEngine(loaded, lambda: _load_torch(model, device, dtype, revision))
    return loaded


class AutoEngine:
    """Answers with NumPy at once, and goes over to PyTorch when the work turns out large."""

    def __init__(self, first: Engine, load_second: Any) -> None:
        self._engine = first
        self._load_second = load_second
        self._tokens = 0
        self.config = first.config

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

    def masked_lm_logits(self, batch: TokenBatch, positions: np.ndarray) -> np.ndarray:
        """See :class:`Engine`."""
        return self._engine_for(batch).masked_lm_logits(batch, positions)

    def sentence_order_logits(self, batch: TokenBatch) -> np.ndarray:
        """See :class:`Engine`."""
        return self._engine_for(batch).sentence_order_logits(batch)


def _load_torch(name: str | Path, device: str | None, dtype: str | None, revision: str | None) -> Engine:
    optional.require("torch", "The torch engine")
    from albertkit.inference.torch_engine import TorchEngine

    return TorchEngine.load(name, device=device, dtype=dtype, revision=revision)


def _engine_of_model(model: Any, engine: str, device: str | None, dtype: str | None) -> Engine:
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        raise InputError(
            "model must be a name, a directory or a PyTorch model of albertkit", received=f"a {type(model).__name__}"
        )
    if engine == "numpy":
        raise InputError("a PyTorch model runs on the torch engine", received='engine="numpy"', fix="leave engine out")
    from albertkit.inference.torch_engine import TorchEngine

    return TorchEngine(model, device=device, dtype=dtype)
