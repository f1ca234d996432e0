"""Attention over packed tokens as a few dense matrix products: sequences of nearly the same length stand in one block.

One gather brings queries, keys and values from the order of the tokens into that of the blocks, and another the results back;
where is worked out once for all layers. A sequence that is shorter than its block repeats its last token, which a mask hides.
In bfloat16 two batched products with a softmax between them take half the time of PyTorch's fused kernel (2.13, AVX-512), and
of short sequences in float32 no more; so these go this way. That kernel takes long sequences in float32 one by one from where
their tokens lie, and a short one alone in any type: of sixteen tokens the gathers would cost more than the rest.

Shapes: T tokens · B sequences of a block · L its length · N heads · D head size · R rows of all blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from albertkit.models.shapes import Float, Int

__all__ = ["Attend", "AttentionBlocks", "plan_attention"]

Attend = Callable[[Tensor], Tensor]
"""``[T, 3ND]`` to ``[T, ND]``: lets every token look at its own sequence, given its query, key and value side by side."""

_STEP = 8
"""Sequences whose lengths round up to the same multiple of it share a block: few blocks, and little to mask."""

_SLOW_NARROW = range(16, 96)
"""Lengths at which PyTorch's softmax takes up to three times as long in bfloat16 as by way of float32 (2.13, AVX-512)."""

_SHORT = 64
"""Most tokens of a sequence that goes to the fused kernel if it is alone."""

_LONG = 64
"""Fewest tokens of each sequence where all go to the fused kernel, one by one, in float32."""


def plan_attention(lengths: Sequence[int], heads: tuple[int, int], dtype: torch.dtype) -> Attend:
    """The quickest way for sequences of these lengths; the arguments are those of :class:`AttentionBlocks`."""
    long = dtype == torch.float32 and min(lengths) >= _LONG
    if long or (len(lengths) == 1 and lengths[0] <= _SHORT):
        return partial(_attend_each, lengths=lengths, heads=heads)
    return AttentionBlocks(lengths, heads, dtype).attend


def _attend_each(projected: Float[Tensor, "T 3ND"], lengths: Sequence[int], heads: tuple[int, int]) -> Float[Tensor, "T ND"]:
    contexts = []
    for rows in projected.split_with_sizes(lengths):
        query, key, value = rows.view(1, -1, 3, *heads).permute(2, 0, 3, 1, 4).unbind(0)
        contexts.append(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(len(rows), -1))
    return torch.cat(contexts)


@dataclass(frozen=True, eq=False)
class _Block:
    """One dense block.

    Attributes:
        rows: The first of its rows, and the one after the last.
        shape: ``(B * N, L)``.
        bias: ``[B * N, 1, L]``, -inf where a key is a repetition; ``None`` if none is.
    """

    rows: tuple[int, int]
    shape: tuple[int, int]
    bias: Float[Tensor, "BN 1 L"] | None


class AttentionBlocks:
    """How the sequences of a packed batch stand in blocks.

    Args:
        lengths: Of the sequences, in their order; similar ones side by side.
        heads: N and D.
        dtype: Of the tokens.
    """

    def __init__(self, lengths: Sequence[int], heads: tuple[int, int], dtype: torch.dtype) -> None:
        self.heads = heads
        gather, scatter, blocks = [], [], []
        starts = np.concatenate([[0], np.cumsum(lengths)])
        row = first = 0
        for _, run in groupby(lengths, key=lambda length: -(-length // _STEP)):
            sizes = np.array(list(run))
            places, real = _place(starts[first : first + len(sizes)], sizes)
            count, longest = places.shape
            rows = row + np.arange(count * heads[0] * longest).reshape(count, heads[0], longest)
            gather.append(np.repeat(places[:, None], heads[0], axis=1).ravel())
            scatter.append(rows.swapaxes(1, 2)[real])
            bias = None if real.all() else _hide(real, heads[0], dtype)
            blocks.append(_Block((row, row + rows.size), (count * heads[0], longest), bias))
            row, first = row + rows.size, first + len(sizes)
        self.blocks = tuple(blocks)
        self.gather = self._find_rows(np.concatenate(gather))
        self.scatter: Int[Tensor, " TN"] = torch.from_numpy(np.concatenate(scatter).ravel())

    def _find_rows(self, places: np.ndarray) -> Int[Tensor, " 3R"]:
        """Which of the ``T * 3 * N`` rows of queries, keys and values each row of the blocks is, from its token."""
        heads = self.heads[0]
        head = np.concatenate([np.repeat(np.tile(np.arange(heads), b.shape[0] // heads), b.shape[1]) for b in self.blocks])
        query = places * 3 * heads + head
        return torch.from_numpy(np.concatenate([query, query + heads, query + 2 * heads]))

    def attend(self, projected: Float[Tensor, "T 3ND"]) -> Float[Tensor, "T ND"]:
        """Let every token look at its own sequence.

        Args:
            projected: Queries, keys and values of each token, side by side.
        """
        size = self.heads[1]
        query, key, value = projected.view(-1, size).index_select(0, self.gather).view(3, -1, size)
        context = torch.empty_like(query)
        nothing = query.new_zeros(1)
        for block in self.blocks:
            first, last = block.rows
            q, k, v, out = (rows[first:last].view(*block.shape, size) for rows in (query, key, value, context))
            bias, weight = (nothing, 0) if block.bias is None else (block.bias, 1)
            scores = torch.baddbmm(bias, q, k.transpose(1, 2), beta=weight, alpha=1 / math.sqrt(size))
            in_float32 = torch.float32 if block.shape[1] in _SLOW_NARROW else None
            torch.bmm(scores.softmax(-1, dtype=in_float32).to(v.dtype), v, out=out)
        return context.index_select(0, self.scatter).view(projected.shape[0], -1)


def _place(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The token at each place ``[B, L]`` of a block, a sequence's last one repeated, and where it is no repetition."""
    places = np.arange(lengths.max())
    return starts[:, None] + np.minimum(places, lengths[:, None] - 1), places < lengths[:, None]


def _hide(real: np.ndarray, heads: int, dtype: torch.dtype) -> Float[Tensor, "BN 1 L"]:
    """What to add to the scores, so that no query sees a repetition."""
    bias = torch.zeros(real.shape, dtype=dtype).masked_fill(torch.from_numpy(~real), -math.inf)
    return bias.repeat_interleave(heads, dim=0)[:, None]
