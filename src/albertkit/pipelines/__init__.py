"""Pipelines: text in, answers out, one file per task; they speak to an engine, never to a framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from albertkit.errors import InputError, suggest
from albertkit.hub import DEFAULT_MODEL
from albertkit.inference import load_engine
from albertkit.pipelines.fill_mask import FillMaskPipeline
from albertkit.tokenization import AlbertTokenizer

__all__ = ["PIPELINES", "FillMaskPipeline", "pipeline"]

PIPELINES = {"fill-mask": FillMaskPipeline}
"""Task, by the hub's name → its pipeline."""


def pipeline(
    task: str,
    model: Any = None,
    tokenizer: AlbertTokenizer | str | Path | None = None,
    *,
    engine: str = "auto",
    device: str | None = None,
    dtype: Any = None,
    torch_dtype: Any = None,
    revision: str | None = None,
) -> FillMaskPipeline:
    """Make a pipeline for a task.

    Args:
        task: ``"fill-mask"``.
        model: A directory, an embedded model, a published name, a hub id, or a PyTorch model of this package; the embedded
            default where none is given.
        tokenizer: A tokenizer, or where to load it from; the model's own where none is given.
        engine: ``"auto"``, ``"numpy"`` or ``"torch"``.
        device: Where to run: ``"cpu"``, ``"cuda:0"`` …
        dtype: ``"float32"``, ``"bfloat16"``, ``"float16"`` or ``"auto"``, or PyTorch's own type.
        torch_dtype: The older name of ``dtype``.
        revision: Branch, tag or commit of a hub repository.

    Raises:
        InputError: If the task is unknown, or a model object comes without its tokenizer.
        CheckpointError: If the model cannot be found or read.
    """
    if task not in PIPELINES:
        raise InputError(f"task must be one of {', '.join(PIPELINES)}", received=repr(task), fix=suggest(task, PIPELINES))
    if dtype is not None and torch_dtype is not None:
        raise InputError("dtype and torch_dtype are two names of one argument", received="both", fix="give dtype alone")
    model = DEFAULT_MODEL if model is None else model
    if tokenizer is None and not isinstance(model, str | Path):
        raise InputError("a model object needs its tokenizer", received="none", fix="give tokenizer=… too")
    chosen = dtype if dtype is not None else torch_dtype
    loaded = load_engine(
        model,
        engine=engine,
        device=None if device is None else str(device),
        dtype=None if chosen is None else str(chosen).removeprefix("torch."),
        revision=revision,
    )
    if not isinstance(tokenizer, AlbertTokenizer):
        tokenizer = AlbertTokenizer.from_pretrained(model if tokenizer is None else tokenizer, revision=revision)
    return PIPELINES[task](loaded, tokenizer)
