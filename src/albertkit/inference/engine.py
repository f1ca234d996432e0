"""Engines: one way to run a model for predictions, NumPy arrays in and out, whatever computes them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from albertkit import optional
from albertkit.checkpoints.exported import is_only_exported
from albertkit.checkpoints.parameters import Head
from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.hub import Name, Source
from albertkit.inference.batching import TokenBatch
from albertkit.outputs import QuestionAnsweringWithAnswerabilityOutput

__all__ = ["ENGINES", "SWITCH_WORK", "Choice", "Engine", "choose_engine", "find_installed", "load_engine", "work_of_token"]

ENGINES = ("auto", "numpy", "torch", "onnx", "jax", "tensorflow")
"""Names of the engines; what ``auto`` takes is said by :func:`choose_engine`."""

SWITCH_WORK = 160_000_000
"""Work (tokens times :func:`work_of_token`) after which ``auto`` goes from NumPy to an installed PyTorch: 26,000 tokens of
albert-mini-en, 4,300 of albert-base. NumPy has then lost about what it saved at the start, so that whatever is still to come,
``auto`` takes at most twice the time of the better of the two. In fresh processes on two cores PyTorch takes 1.6 s more to start,
and saves about 60 µs a token of albert-mini-en and 400 µs of albert-base (docs/experiments.md)."""

_PACKAGES = {
    "torch": ("torch",),
    "onnx": ("onnx", "onnxruntime"),
    "jax": ("jax", "flax"),
    "tensorflow": ("tensorflow", "keras"),
}


class Choice(NamedTuple):
    """What ``auto`` takes.

    Attributes:
        engine: One of :data:`ENGINES`.
        reason: Why, as the end of a sentence.
    """

    engine: str
    reason: str


def find_installed() -> frozenset[str]:
    """The engines beside NumPy whose packages are installed; none of these is imported."""
    return frozenset(engine for engine, names in _PACKAGES.items() if all(map(optional.is_installed, names)))


def find_loaded() -> frozenset[str]:
    """Those of :func:`find_installed` whose packages the process has imported."""
    return frozenset(engine for engine, names in _PACKAGES.items() if all(name in sys.modules for name in names))


def work_of_token(config: AlbertConfig) -> int:
    """How many numbers all layers pass through their activation for a token: what PyTorch saves on NumPy grows with these.

    Matrix products, which NumPy computes nearly as fast and on every core, are the worse measure: albert-base has 18 times those
    of albert-mini-en and 6 times the activations, and PyTorch saves 7 times as much on it with two cores, 13 times with one.
    """
    return config.num_hidden_layers * config.inner_group_num * config.intermediate_size


def choose_engine(
    work: float,
    device: str | None = None,
    dtype: str | None = None,
    *,
    installed: Container[str],
    loaded: Container[str],
    is_only_exported: bool = False,
) -> Choice:
    """The rule by which ``auto`` picks.

    An exported model runs on ONNX Runtime. Other devices than the CPU and other types than float32 are PyTorch's, but for int8
    where ONNX Runtime alone is installed. Else PyTorch computes where it is loaded already or worth its import, and NumPy where
    it is not; in float32 ONNX Runtime is no faster than NumPy. JAX and TensorFlow first compile a program for every shape of a
    batch, so that they are taken only in PyTorch's place: where it is not installed and they are loaded already.

    Args:
        work: Done and at hand: tokens times :func:`work_of_token`.
        device: As :func:`load_engine` takes it.
        dtype: As :func:`load_engine` takes it.
        installed: From :func:`find_installed`.
        loaded: From :func:`find_loaded`.
        is_only_exported: Whether the checkpoint is an exported model without weights.
    """
    if is_only_exported:
        return Choice("onnx", "the checkpoint is an exported model without weights")
    if dtype == "int8" and device in (None, "cpu") and "torch" not in installed and "onnx" in installed:
        return Choice("onnx", "it has int8, and PyTorch is not installed")
    compiled = [engine for engine in ("jax", "tensorflow") if engine in loaded and "torch" not in installed and dtype != "int8"]
    framework = next(iter(compiled), "torch")
    if device not in (None, "cpu"):
        return Choice(framework, "NumPy and ONNX Runtime compute on the CPU only")
    if dtype not in (None, "float32"):
        return Choice(framework, "NumPy computes in float32 only")
    if "torch" in loaded:
        return Choice("torch", "it is the fastest, and loaded already")
    if work <= SWITCH_WORK:
        return Choice("numpy", "it is done before PyTorch would be imported")
    if "torch" not in installed:
        return Choice("numpy", 'PyTorch, which is faster, is not installed; pip install "albertkit[torch]" brings it')
    return Choice("torch", "it is the fastest, and worth its import by then")


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
        model: A directory, an embedded model, a published name, a hub id, a :class:`~albertkit.hub.Source`, or a model of this
            package, of PyTorch, JAX or TensorFlow.
        head: The head that will be asked for; ``None``: hidden states only.
        engine: One of :data:`ENGINES`.
        device: ``"cpu"``, ``"cuda:0"`` …; NumPy and ONNX Runtime compute on the CPU only.
        dtype: ``"float32"``, ``"bfloat16"``, ``"float16"``, ``"int8"`` or ``"auto"`` (the file's) with PyTorch, and without int8
            with JAX and TensorFlow; ``"float32"`` or ``"int8"`` with ONNX Runtime; NumPy computes in float32 only.

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
    installed = find_installed()
    chosen = engine
    if engine == "auto":
        loaded, exported = find_loaded(), is_only_exported(model)
        chosen, _ = choose_engine(0, device, dtype, installed=installed, loaded=loaded, is_only_exported=exported)
    if chosen in _LOADERS:
        return _LOADERS[chosen](model, head, device, dtype)
    from albertkit.inference.numpy_engine import NumPyEngine

    first = NumPyEngine.load(model, head)
    if engine == "auto" and "torch" in installed:
        return AutoEngine(first, partial(_load_torch, model, head, device, dtype))
    return first


class AutoEngine:
    """Answers with NumPy at once, and goes over to PyTorch when :func:`choose_engine` says so of the work so far."""

    def __init__(self, first: Engine, load_second: Callable[[], Engine]) -> None:
        self._engine = first
        self._load_second: Callable[[], Engine] | None = load_second
        self._work = 0
        self.config = first.config
        self.heads = first.heads

    @property
    def name(self) -> str:
        """Name of the engine in use now."""
        return self._engine.name

    def _engine_for(self, batch: TokenBatch) -> Engine:
        load_second = self._load_second  # another thread may go over meanwhile
        if load_second is not None:
            self._work += len(batch.input_ids) * work_of_token(self.config)
            choice = choose_engine(self._work, installed=("torch",), loaded=find_loaded())
            if choice.engine == "torch":
                self._engine, self._load_second = load_second(), None
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


def _load_jax(name: Name, head: Head | None, device: str | None, dtype: str | None) -> Engine:
    optional.require("flax", "The jax engine")
    from albertkit.inference.jax_engine import JaxEngine

    return JaxEngine.load(name, head, device=device, dtype=dtype)


def _load_tensorflow(name: Name, head: Head | None, device: str | None, dtype: str | None) -> Engine:
    optional.require("tensorflow", "The tensorflow engine")
    from albertkit.inference.tensorflow_engine import TensorFlowEngine

    return TensorFlowEngine.load(name, head, device=device, dtype=dtype)


_LOADERS = {"torch": _load_torch, "onnx": _load_onnx, "jax": _load_jax, "tensorflow": _load_tensorflow}


def _engine_of_model(model: Any, head: Head | None, engine: str, device: str | None, dtype: str | None) -> Engine:
    for name in ("torch", "jax", "tensorflow"):
        package = sys.modules.get(f"albertkit.models.{name}")  # without which there is no model of it
        if package is not None and isinstance(model, package.AlbertPreTrainedModel):
            break
    else:
        raise InputError("model must be a name, a directory or a model of albertkit", received=f"a {type(model).__name__}")
    if engine not in ("auto", name):
        raise InputError(f"this model runs on the {name} engine", received=f'engine="{engine}"', fix="leave engine out")
    if name == "torch":
        from albertkit.inference.torch_engine import TorchEngine

        return TorchEngine(model, head, device=device, dtype=dtype)
    if dtype is not None:
        raise InputError(f"a model on the {name} engine computes in its own type", received=f"dtype={dtype!r}", fix="load it so")
    if name == "jax":
        from albertkit.inference.jax_engine import JaxEngine

        return JaxEngine(model, head, device=device)
    from albertkit.inference.tensorflow_engine import TensorFlowEngine

    return TensorFlowEngine(model, head, device=device)
