"""The tasks by name, and the making of a pipeline."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from albertkit.checkpoints.huggingface import find_heads
from albertkit.checkpoints.parameters import PRETRAINING_HEADS, Head
from albertkit.errors import InputError, suggest
from albertkit.hub import DEFAULT_MODEL, Name, Source
from albertkit.inference import load_engine
from albertkit.pipelines.base import Pipeline, RunSettings
from albertkit.tokenization import AlbertTokenizer

__all__ = ["ALIASES", "PIPELINES", "class_name", "module_name", "pipeline"]

_TASKS = (
    "fill-mask",
    "text-classification",
    "token-classification",
    "question-answering",
    "zero-shot-classification",
    "feature-extraction",
    "sentence-similarity",
    "multiple-choice",
    "sentence-order",
    "pseudo-log-likelihood",
)
"""In this order a head finds its task where none is named."""


def module_name(task: str) -> str:
    """The module of a task."""
    return f"albertkit.pipelines.{task.replace('-', '_')}"


def class_name(task: str) -> str:
    """What the names of a task's classes begin with."""
    return task.title().replace("-", "")


class _Pipelines(Mapping[str, type[Pipeline[Any]]]):
    """The tasks' pipelines, each loaded when it is asked for."""

    def __getitem__(self, task: str) -> type[Pipeline[Any]]:
        if task not in _TASKS:
            raise KeyError(task)
        kind: type[Pipeline[Any]] = getattr(importlib.import_module(module_name(task)), f"{class_name(task)}Pipeline")
        return kind

    def __iter__(self) -> Iterator[str]:
        return iter(_TASKS)

    def __len__(self) -> int:
        return len(_TASKS)


PIPELINES: Mapping[str, type[Pipeline[Any]]] = _Pipelines()
"""Task, by the hub's name → its pipeline."""

ALIASES = {"ner": "token-classification", "sentiment-analysis": "text-classification"}
"""Other names that the hub knows tasks by."""


def pipeline(
    task: str | None = None,
    model: Any = None,
    tokenizer: AlbertTokenizer | Name | None = None,
    *,
    engine: str = "auto",
    device: Any = None,
    device_map: str | None = None,
    dtype: Any = None,
    torch_dtype: Any = None,
    revision: str | None = None,
    token: str | None = None,
    allow_pickle: bool = False,
    token_budget: int = RunSettings.token_budget,
    batch_size: int | None = None,
    progress: bool = False,
    errors: str = "raise",
    **options: Any,
) -> Any:
    """Make a pipeline for a task.

    Args:
        task: A key of :data:`PIPELINES` or of :data:`ALIASES`; what the checkpoint's head is for where none is given.
        model: A directory, an embedded model, a published name, a hub id, a source, or a model of this package, of PyTorch,
            JAX or TensorFlow; the embedded default where none is given.
        tokenizer: A tokenizer, or where to load it from; the model's own where none is given.
        engine: ``"auto"``, ``"numpy"``, ``"torch"``, ``"onnx"``, ``"jax"`` or ``"tensorflow"``.
        device: Where to run: ``"cpu"``, ``"cuda:0"`` …, or the number of a GPU (-1: the CPU).
        device_map: ``"auto"``: a GPU if there is one; or a device.
        dtype: ``"float32"``, ``"bfloat16"``, ``"float16"`` or ``"auto"``, or PyTorch's own type.
        torch_dtype: The older name of ``dtype``.
        revision: Branch, tag or commit of a hub repository.
        token: For a private repository.
        allow_pickle: Read ``pytorch_model.bin`` where there is no safetensors file.
        token_budget: See :class:`~albertkit.pipelines.base.RunSettings`.
        batch_size: The same.
        progress: The same.
        errors: The same.
        options: Options of the task, such as ``top_k``, which calls then need not repeat.

    Returns:
        The task's :class:`~albertkit.pipelines.base.Pipeline`.

    Raises:
        InputError: If the task or an option is unknown, or a model object comes without its tokenizer.
        CheckpointError: If the model cannot be found or read, or lacks the head that the task needs.
    """
    if dtype is not None and torch_dtype is not None:
        raise InputError("dtype and torch_dtype are two names of one argument", received="both", fix="give dtype alone")
    if model is None or isinstance(model, str | Path | Source):
        model = Source.of(model or DEFAULT_MODEL, revision, token=token, allow_pickle=allow_pickle)
    kind = _find_pipeline(task, model)
    settings = RunSettings(token_budget=token_budget, batch_size=batch_size, progress=progress, errors=errors)
    chosen = kind.make_options(model if isinstance(model, Source) else None, options)
    if tokenizer is None and not isinstance(model, Source):
        raise InputError("a model object needs its tokenizer", received="none", fix="give tokenizer=… too")
    wanted = dtype if dtype is not None else torch_dtype
    loaded = load_engine(
        model,
        next((head for head in kind.other_heads if head in _find_heads(model)), kind.head),
        engine=engine,
        device=_name_device(device, device_map),
        dtype=None if wanted is None else str(wanted).removeprefix("torch."),
    )
    if tokenizer is None:
        tokenizer = model
    elif isinstance(tokenizer, str | Path) and isinstance(model, Source):
        tokenizer = replace(model, name=tokenizer)
    if not isinstance(tokenizer, AlbertTokenizer):
        tokenizer = AlbertTokenizer.from_pretrained(tokenizer)
    return kind(loaded, tokenizer, chosen, settings)


def _find_pipeline(task: str | None, model: Any) -> type[Pipeline[Any]]:
    """The pipeline of a task; without one, of the head that the model has."""
    name = ALIASES.get(str(task), task)
    if name is None:
        by_head = {head: kind.task for kind in reversed(list(PIPELINES.values())) for head in (kind.head, *kind.other_heads)}
        heads = sorted(_find_heads(model), key=PRETRAINING_HEADS.__contains__)  # what it was fine-tuned for first
        name = next((by_head[head] for head in heads if head in by_head), "feature-extraction")
    if name not in PIPELINES:
        names = (*PIPELINES, *ALIASES)
        raise InputError(f"task must be one of {', '.join(names)}", received=repr(task), fix=suggest(task, names))
    return PIPELINES[name]


def _find_heads(model: Any) -> tuple[Head, ...]:
    heads: tuple[Head, ...] = find_heads(model) if isinstance(model, Source) else getattr(model, "heads", ())
    return heads


def _name_device(device: Any, device_map: str | None) -> str | None:
    """A device by PyTorch's name, as any of the ways in which users give it."""
    if device is not None and device_map is not None:
        raise InputError("device and device_map say the same thing", received="both", fix="give device alone")
    if type(device) is int:
        return "cpu" if device < 0 else f"cuda:{device}"
    chosen = device if device is not None else device_map
    return None if chosen is None else str(chosen)
