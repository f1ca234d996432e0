"""Attention over packed tokens for a training step on the CPU, with its backward pass.

In float32 PyTorch's fused kernel is the fastest. In bfloat16 its backward pass is slow (PyTorch 2.13), and plain products of
matrices take half the time: a few sequences at once, so that their scores stay in cache; the probabilities are computed again in
the backward pass, since they would take more memory than all else that a layer keeps.

Shapes: T tokens of a packed batch · R rows, those of the tokens and some to spare · B sequences of a block · L their length ·
N heads · D head size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby

import torch
import torch.nn.functional as F
from torch import Tensor

from albertkit.models.shapes import Float

__all__ = ["Attend", "attend_in_blocks", "attend_with_kernel"]

Backward = Callable[[Tensor], Tensor]
"""From the gradient of what attention gave, ``[R, ND]``, to that of what it was given, ``[R, 3ND]``."""
Attend = Callable[[Tensor], tuple[Tensor, Backward]]
"""From queries, keys and values of each token, side by side, to what attention gives, and its backward pass."""

_STEP = 32
"""Lengths of blocks are multiples of it: oneDNN keeps what it makes for every new shape, so there are to be few."""
_BLOCK_TOKENS = 512
"""Most tokens of a block; a longer sequence stands alone."""


def attend_with_kernel(groups: Sequence[tuple[int, int]], heads: tuple[int, int]) -> Attend:
    """Attention by PyTorch's fused kernel, one length at a time.

    Args:
        groups: ``(number of sequences, their length)``, in the order of the tokens.
        heads: N and D.
    """
    sizes = [count * length for count, length in groups]

    def attend(projected: Float[Tensor, "R 3ND"]) -> tuple[Float[Tensor, "R ND"], Backward]:
        with torch.enable_grad():
            given = projected.detach().requires_grad_()
            *parts, spare = given.split_with_sizes([*sizes, len(given) - sum(sizes)])
            contexts = []
            for part, group in zip(parts, groups, strict=True):
                query, key, value = part.view(*group, 3, *heads).permute(2, 0, 3, 1, 4)  # [B, N, L, D] each
                contexts.append(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(0, 1).flatten(1))
            if len(spare):  # of no meaning, but of the right shape
                contexts.append(spare[:, : heads[0] * heads[1]])
            context = contexts[0] if len(contexts) == 1 else torch.cat(contexts)
        return context.detach(), lambda gradient: torch.autograd.grad(context, given, gradient)[0]

    return attend


def attend_in_blocks(groups: Sequence[tuple[int, int]], heads: tuple[int, int]) -> Attend:
    """Attention by plain products, a few sequences of nearly the same length at once.

    Args:
        groups: ``(number of sequences, their length)``, in the order of the tokens.
        heads: N and D.
    """
    blocks = []
    first = 0
    for lengths in _cut(groups):
        last = first + sum(lengths)
        blocks.append((slice(first, last), _Block(lengths, heads)))
        first = last

    def attend(projected: Float[Tensor, "R 3ND"]) -> tuple[Float[Tensor, "R ND"], Backward]:
        context = projected.new_zeros(len(projected), heads[0] * heads[1])
        kept = []
        for tokens, block in blocks:
            context[tokens], rows = block.attend(projected[tokens])
            kept.append(rows)

        def go_back(gradient: Float[Tensor, "R ND"]) -> Float[Tensor, "R 3ND"]:
            backward = projected.new_zeros(projected.shape)
            for (tokens, block), rows in zip(blocks, kept, strict=True):
                backward[tokens] = block.differentiate(gradient[tokens], context[tokens], rows)
            return backward

        return context, go_back

    return attend


def _cut(groups: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Lengths of each block's sequences, whose number is a power of two, again for few shapes."""
    lengths = chain.from_iterable([length] * count for count, length in groups)
    for rounded, run in groupby(lengths, key=_round):
        left = list(run)
        most = max(1, _BLOCK_TOKENS // rounded)
        while left:
            count = 1 << (min(len(left), most).bit_length() - 1)
            yield left[:count]
            left = left[count:]


def _round(length: int) -> int:
    return -(-length // _STEP) * _STEP


class _Block:
    """Some sequences side by side, all as long as the longest, rounded up: a shorter one repeats its last token.

    No query sees a repeated key, and what a repeated query sees is left out of the gradient.

    Args:
        lengths: Of the sequences.
        heads: N and D.
    """

    def __init__(self, lengths: list[int], heads: tuple[int, int]) -> None:
        (count, longest), (number, size) = (len(lengths), _round(max(lengths))), heads
        sizes = torch.tensor(lengths)[:, None]
        places = torch.arange(longest)
        real = places < sizes  # [B, L]
        token = sizes.cumsum(0) - sizes + places.minimum(sizes - 1)
        row = torch.arange(count * number * longest).view(count, number, longest)
        part, head = torch.arange(3)[:, None, None, None], torch.arange(number)[:, None]
        self.size = size
        self.shape = (count * number, longest, size)
        # Where each row of queries, of keys and of values [3, B, N, L] comes from, and where those of a token [T, 3, N] are.
        self.sources = ((token[:, None] * 3 + part) * number + head).flatten()
        self.places = (row.transpose(1, 2)[real][:, None] + part[:, 0, 0] * row.numel()).flatten()
        # The same of what attention gives: [B, N, L] and [T, N].
        self.context_sources = (token[:, None] * number + head).flatten()
        self.context_places = row.transpose(1, 2)[real].flatten()
        self.real = self.hidden = None
        if not bool(real.all()):
            self.real = real.repeat_interleave(number, dim=0)[:, :, None]  # [BN, L, 1]
            self.hidden = torch.zeros(self.real.shape).masked_fill(~self.real, -math.inf).mT  # [BN, 1, L]: added to the scores

    def attend(self, projected: Float[Tensor, "T 3ND"]) -> tuple[Float[Tensor, "T ND"], Float[Tensor, "3 BN L D"]]:
        """What attention gives; also given: queries, keys and values in the order of the block."""
        rows = projected.view(-1, self.size).index_select(0, self.sources).view(3, *self.shape)
        attended = torch.bmm(self._find_probabilities(rows), rows[2])
        context = attended.view(-1, self.size).index_select(0, self.context_places)
        return context.view(len(projected), -1), rows

    def differentiate(
        self, gradient: Float[Tensor, "T ND"], context: Float[Tensor, "T ND"], rows: Float[Tensor, "3 BN L D"]
    ) -> Float[Tensor, "T 3ND"]:
        """The gradient of what :meth:`attend` was given, from that of ``context``, which it gave."""
        query, key, value = rows
        outer = gradient.reshape(-1, self.size).index_select(0, self.context_sources).view(self.shape)
        # Of a softmax P, the gradient of the scores is P * (gradient of P - its mean under P); the mean is gradient · context.
        means = (gradient * context).view(-1, self.size).sum(-1, keepdim=True).index_select(0, self.context_sources)
        probabilities = self._find_probabilities(rows)
        if self.real is not None:
            probabilities *= self.real
        backward = torch.empty_like(rows)
        torch.bmm(probabilities.mT, outer, out=backward[2])
        scale = 1 / math.sqrt(self.size)
        scores = torch.baddbmm(means.view(*self.shape[:2], 1), outer, value.mT, beta=-scale, alpha=scale).mul_(probabilities)
        torch.bmm(scores, key, out=backward[0])
        torch.bmm(scores.mT, query, out=backward[1])
        return backward.view(-1, self.size).index_select(0, self.places).view(len(gradient), -1)

    def _find_probabilities(self, rows: Float[Tensor, "3 BN L D"]) -> Float[Tensor, "BN L L"]:
        query, key, _ = rows
        hidden, weight = (rows.new_zeros(1), 0) if self.hidden is None else (self.hidden.to(rows.dtype), 1)
        return torch.baddbmm(hidden, query, key.mT, beta=weight, alpha=1 / math.sqrt(self.size)).softmax(-1)
