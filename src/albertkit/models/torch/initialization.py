"""How the parameters of a new model are drawn."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from albertkit.checkpoints.parameters import Parameter
from albertkit.config import AlbertConfig

__all__ = ["draw_parameters"]

_WORD_EMBEDDINGS = "albert.embeddings.word_embeddings.weight"


@torch.no_grad()
def draw_parameters(tensors: Mapping[str, Tensor], contract: list[Parameter], config: AlbertConfig) -> None:
    """Fill tensors in place with initial values from PyTorch's default generator.

    Embeddings and kernels: Google's normal of ``initializer_range`` cut at two deviations (modeling.py, create_initializer),
    or, by the huggingface convention, the whole normal with the padding entry at 0. Scales 1, biases 0.

    Args:
        tensors: Contract name → tensor.
        contract: The kinds; what is not among ``tensors`` is left alone.
        config: The deviation and the convention.
    """
    deviation = config.initializer_range
    for parameter in contract:
        tensor = tensors.get(parameter.name)
        if tensor is None:
            continue
        if parameter.kind in ("scale", "bias"):
            tensor.fill_(1.0 if parameter.kind == "scale" else 0.0)
        elif config.training_convention == "google":
            nn.init.trunc_normal_(tensor, std=deviation, a=-2 * deviation, b=2 * deviation)
        else:
            nn.init.normal_(tensor, std=deviation)
            if parameter.name == _WORD_EMBEDDINGS:
                tensor[config.pad_token_id] = 0.0
