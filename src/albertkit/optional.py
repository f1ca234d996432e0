"""Optional dependencies: import one by name, or say which ``pip install`` brings it."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

__all__ = ["EXTRAS", "MissingExtraError", "is_installed", "require"]

EXTRAS: dict[str, str] = {
    "torch": "torch",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "jax": "jax",
    "flax": "jax",
    "optax": "jax",
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "h5py": "formats",
    "msgpack": "formats",
    "tokenizers": "wordpiece",
    "tensorboard": "train",
    "psutil": "train",
    "matplotlib": "train",
    "shtab": "completion",
    "peft": "peft",
    "datasets": "data",
    "pyarrow": "data",
}
"""Importable module → the extra of albertkit that installs it."""


class MissingExtraError(ImportError):
    """A feature was used whose optional dependency is not installed; the message is the command that installs it."""


def is_installed(module: str) -> bool:
    """Tell whether ``module`` could be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def require(module: str, purpose: str | None = None) -> Any:
    """Import ``module`` and return it.

    Args:
        module: The importable name, a key of :data:`EXTRAS`.
        purpose: What needs it, for the message ("bfloat16 training"); the module's own name when absent.

    Raises:
        MissingExtraError: If it is not installed; the message holds the ``pip install`` command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        extra = EXTRAS[module.partition(".")[0]]
        raise MissingExtraError(
            f'{purpose or "This"} needs {module}, which is not installed; run: pip install "albertkit[{extra}]"'
        ) from None
