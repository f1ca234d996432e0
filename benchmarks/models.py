"""The models that are timed: random weights in known sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from albertkit import AlbertConfig

SIZES: dict[str, dict[str, int]] = {
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "mini": {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 8, "intermediate_size": 1024},
    "tiny": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
}
"""Of albert-base; of the embedded model; and one to try a script out with."""


def make_model(directory: Path, architecture: str, size: str, **overrides: Any) -> Path:
    """Draw and keep the weights of a model, without dropout between its layers.

    Args:
        directory: Where to.
        architecture: Class of the model.
        size: A key of :data:`SIZES`.
        overrides: Fields of the configuration.
    """
    import torch

    import albertkit

    torch.manual_seed(0)
    config = AlbertConfig(hidden_act="gelu_new", **SIZES[size] | overrides)
    getattr(albertkit, architecture)(config).save_pretrained(directory)
    return directory
