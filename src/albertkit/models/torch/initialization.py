"""How the parameters of a new model are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import chain, count

import torch
from torch import Tensor, nn

from albertkit.checkpoints.parameters import Parameter
from albertkit.config import AlbertConfig
from albertkit.errors import ConfigError

__all__ = ["draw_local_attention", "draw_parameters"]

_EMBEDDINGS = "albert.embeddings"
_WORD_EMBEDDINGS = f"{_EMBEDDINGS}.word_embeddings.weight"
_MAPPING = "albert.encoder.embedding_hidden_mapping_in.weight"
_PARTS = ("query", "key", "value", "dense")
_FREE_HEADS = 4  # one head in so many stays as it was drawn
_SHARP, _WIDE = 6.2, 2.6  # scores at the distance a head looks for; far away they are near 0
_VALUE_GAIN = 0.5  # of what attention adds, relative to what it reads


@torch.no_grad()
def draw_parameters(tensors: Mapping[str, Tensor], contract: list[Parameter], config: AlbertConfig) -> None:
    """Fill tensors in place with initial values from PyTorch's default generator.

    Embeddings and kernels: Google's normal of ``initializer_range`` cut at two deviations (modeling.py, create_initializer),
    or, by the huggingface convention, the whole normal with the padding entry at 0. Scales 1, biases 0.

    Args:
        tensors: Contract name → tensor.
        contract: The kinds; what is not among ``tensors``, or has no memory yet, is left alone.
        config: The deviation and the convention.
    """
    deviation = config.initializer_range
    for parameter in contract:
        tensor = tensors.get(parameter.name)
        if tensor is None or tensor.is_meta:
            continue
        if parameter.kind in ("scale", "bias"):
            tensor.fill_(1.0 if parameter.kind == "scale" else 0.0)
        elif config.training_convention == "google":
            _draw_truncated_normal(tensor, deviation)
        else:
            nn.init.normal_(tensor, std=deviation)
            if parameter.name == _WORD_EMBEDDINGS:
                tensor[config.pad_token_id] = 0.0


def _draw_truncated_normal(tensor: Tensor, deviation: float) -> None:
    """A normal cut at two deviations: what falls outside, one value in 22, is drawn again.

    ``torch.nn.init.trunc_normal_`` inverts the error function at every value, which takes several times as long.
    """
    tensor.normal_(std=deviation)
    values = tensor.view(-1)
    outside = (values.abs() > 2 * deviation).nonzero().flatten()
    while len(outside):
        values[outside] = torch.empty_like(outside, dtype=values.dtype).normal_(std=deviation)
        outside = outside[values[outside].abs() > 2 * deviation]


@torch.no_grad()
def draw_local_attention(tensors: Mapping[str, Tensor], config: AlbertConfig) -> None:
    """Let three heads in four look at neighbouring tokens from the start, over what :func:`draw_parameters` has drawn.

    A masked token can only be told from its neighbours, and a new model must first find out how to look at them: the early
    plateau of the loss. Here positions are sinusoids (arXiv:1706.03762 §3.5), for which a step of n positions is a rotation.
    Queries and keys of a head read nothing but the positions, the query turned by n: its scores are highest at distance n.
    Heads look at -1, +1, the surroundings, -2, +2, -3 … Values and output are orthogonal. Everything is trained afterwards.
    The idea of starting from attention as trained models show it is that of arXiv:2305.09828 (mimetic initialisation).

    Args:
        tensors: Contract name → tensor of a whole encoder.
        config: Sizes and the deviation.

    Raises:
        ConfigError: If positions are not absolute, or heads are wider than the embeddings.
    """
    width, size = config.embedding_size, config.head_size // 2 * 2
    if config.position_embedding_type != "absolute" or size > width:
        raise ConfigError(
            "local attention needs absolute positions and heads no wider than the embeddings",
            received=f"{config.position_embedding_type}, heads of {config.head_size}, embeddings of {width}",
            fix="use truncated_normal",
        )
    frequencies = math.pi * ((torch.arange(size // 2) + 0.5) / (size // 2)) ** 2
    angles = torch.arange(config.max_position_embeddings)[:, None] * frequencies
    waves = torch.stack([angles.cos(), angles.sin()], dim=-1).flatten(1)  # [S, size], norm √(size / 2)
    basis = _orthogonal(size, width)
    length = config.initializer_range * math.sqrt(width)  # as long as the other two embeddings
    tensors[f"{_EMBEDDINGS}.position_embeddings.weight"].copy_(waves @ basis * (length / math.sqrt(size / 2)))
    mapping = _orthogonal(config.hidden_size, width)
    tensors[_MAPPING].copy_(mapping * math.sqrt(config.hidden_size / width))
    reader = basis @ mapping.T  # [size, H]: from hidden states to the waves
    for name in tensors:
        prefix, found, rest = name.partition("attention.query.weight")
        if found and not rest:
            _draw_attention({part: tensors[f"{prefix}attention.{part}.weight"] for part in _PARTS}, reader, frequencies, config)


def _draw_attention(kernels: Mapping[str, Tensor], reader: Tensor, frequencies: Tensor, config: AlbertConfig) -> None:
    """One layer's attention: rotated readers of positions, orthogonal values."""
    heads, size = config.num_attention_heads, len(reader)
    query, key = (kernels[part].view(heads, config.head_size, config.hidden_size) for part in ("query", "key"))
    offsets = _offsets()
    for head in range(heads - max(1, heads // _FREE_HEADS)):
        offset, peak = next(offsets)
        # Positions are a third of what LayerNorm leaves of the embeddings: their part of a hidden state has the norm √(H / 3).
        gain = math.sqrt(peak * math.sqrt(config.head_size) / (config.hidden_size / 3))
        query[head, :size] = gain * _rotation(frequencies * offset) @ reader
        key[head, :size] = gain * reader
        query[head, size:] = key[head, size:] = 0.0
    kernels["value"].copy_(_orthogonal(config.hidden_size, config.hidden_size))
    kernels["dense"].copy_(_VALUE_GAIN * _orthogonal(config.hidden_size, config.hidden_size))


def _offsets() -> Iterator[tuple[int, float]]:
    """Distance and highest score of each head, in order."""
    further = chain.from_iterable(((-distance, _SHARP), (distance, _SHARP)) for distance in count(2))
    return chain([(-1, _SHARP), (1, _SHARP), (0, _WIDE)], further)


def _rotation(angles: Tensor) -> Tensor:
    """The matrix that turns each pair (cos, sin) by its angle, shape [2 K, 2 K]."""
    cos, sin = angles.cos().repeat_interleave(2), angles.sin()
    matrix = torch.diag(cos)
    even = torch.arange(0, len(cos), 2)
    matrix[even, even + 1], matrix[even + 1, even] = -sin, sin
    return matrix


def _orthogonal(rows: int, columns: int) -> Tensor:
    return nn.init.orthogonal_(torch.empty(rows, columns))
