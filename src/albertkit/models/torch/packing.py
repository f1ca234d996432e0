"""The two layouts of a batch, and the ways between them.

::

    padded  [B, L, …]     the cat sat  .  .      . = padding, which a mask hides
                          dogs  .   .  .  .
                          a long walk in rain

    packed  [T, …]        the cat sat dogs a long walk in rain        cu_seqlens = 0 3 4 9

Linear layers, norms and activations treat each token alone, so only attention asks which layout it has. Padding costs its
full share of compute and of memory; packing has none to pay for. Attention over a packed batch is one call on GPUs that have a
kernel for it. Elsewhere it takes the sequences of equal length together, one dense block for each length, so the encoder sees
them sorted by length (:meth:`Packed.sort`) and the model puts the results back in the caller's order (:meth:`Packed.restore`).

Shapes: B batch · L sequence · T tokens of a packed batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from albertkit import optional
from albertkit.errors import InputError
from albertkit.models.inputs import check_shape
from albertkit.models.lengths import group_by_length
from albertkit.models.shapes import Bool, Int, Shaped

__all__ = ["Layout", "Packed", "Padded", "pack", "send", "unpack"]


@dataclass(frozen=True, eq=False)
class Padded:
    """Sequences side by side, as long as the longest.

    Attributes:
        mask: ``[B, L]``, true at real tokens; ``None`` when all are real.
    """

    mask: Bool[Tensor, "B L"] | None

    @classmethod
    def from_attention_mask(cls, attention_mask: Tensor | None, shape: Sequence[int]) -> Padded:
        """Read a user's mask, in which any value but 0 marks a real token.

        Raises:
            InputError: If its shape is not ``shape``, that of the tokens.
        """
        if attention_mask is None:
            return cls(None)
        check_shape("attention_mask", attention_mask.shape, shape, "the tokens [batch, sequence]")
        return cls(attention_mask != 0)


@dataclass(frozen=True, eq=False)
class Packed:
    """Sequences end to end; the first fields are those of :class:`~albertkit.models.lengths.LengthGroups`, on the tokens' device.

    Attributes:
        cu_seqlens: ``[B + 1]`` boundaries in the encoder's order, int32.
        longest: Length of the longest sequence.
        varlen: Attention over all sequences at once, where the device has it: ``torch.nn.attention.varlen.varlen_attn``.
    """

    groups: tuple[tuple[int, int], ...]
    position_ids: Int[Tensor, " T"]
    order: Int[Tensor, " T"] | None
    inverse: Int[Tensor, " T"] | None
    first_tokens: Int[Tensor, " B"]
    cu_seqlens: Int[Tensor, " B1"]
    longest: int
    varlen: Callable[..., Tensor] | None

    @classmethod
    def from_cu_seqlens(cls, cu_seqlens: Int[Tensor, "..."], tokens: int, device: torch.device) -> Packed:
        """Work out, once for a batch, how its sequences group by length.

        Args:
            cu_seqlens: ``[B + 1]`` boundaries; on the CPU they cost no synchronisation with ``device``.
            tokens: T.
            device: Where the tokens are.

        Raises:
            InputError: If the boundaries do not rise from 0 to ``tokens``.
        """
        lengths = group_by_length(cu_seqlens.flatten().tolist(), tokens)
        counts, each = zip(*lengths.groups, strict=True)
        boundaries = np.append(0, np.repeat(each, counts).cumsum()).astype(np.int32)
        return cls(
            groups=lengths.groups,
            position_ids=send(torch.from_numpy(lengths.position_ids), device),
            order=None if lengths.order is None else send(torch.from_numpy(lengths.order), device),
            inverse=None if lengths.inverse is None else send(torch.from_numpy(lengths.inverse), device),
            first_tokens=send(torch.from_numpy(lengths.first_tokens), device),
            cu_seqlens=send(torch.from_numpy(boundaries), device),
            longest=lengths.longest,
            varlen=_find_varlen(device),
        )

    def sort(self, tokens: Shaped[Tensor, "T ..."]) -> Shaped[Tensor, "T ..."]:
        """Bring what stands in the caller's order into the encoder's."""
        return tokens if self.order is None else tokens.index_select(0, self.order)

    def restore(self, tokens: Shaped[Tensor, "T ..."]) -> Shaped[Tensor, "T ..."]:
        """Bring what stands in the encoder's order back into the caller's."""
        return tokens if self.inverse is None else tokens.index_select(0, self.inverse)

    def split(self, tokens: Shaped[Tensor, "T ..."]) -> list[Tensor]:
        """Views ``[sequences, length, …]``, one for each length; ``tokens`` are in the encoder's order."""
        if len(self.groups) == 1:
            return [torch.unflatten(tokens, 0, self.groups[0])]
        parts = tokens.split_with_sizes([count * length for count, length in self.groups])
        return [torch.unflatten(part, 0, group) for part, group in zip(parts, self.groups, strict=True)]

    def join(self, blocks: list[Tensor]) -> Shaped[Tensor, "T ..."]:
        """Undo :meth:`split`."""
        flat = [block.flatten(0, 1) for block in blocks]
        return flat[0] if len(flat) == 1 else torch.cat(flat)


Layout = Padded | Packed
"""How the tokens of a batch lie in memory."""


def send(tensor: Shaped[Tensor, "..."], device: torch.device) -> Shaped[Tensor, "..."]:
    """A tensor on ``device``; from the CPU to a GPU by way of pinned memory, so that neither waits for the other.

    A plain copy waits until the GPU has done all that it was given before.
    """
    if tensor.device.type == "cpu" and device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


@cache
def _find_varlen(device: torch.device) -> Callable[..., Tensor] | None:
    """PyTorch's variable-length attention if ``device`` has flash attention (arXiv:2307.08691), which it is made of.

    Its module loads PyTorch's compiler, a second that nobody is to spend without such a GPU.
    """
    if device.type != "cuda" or not torch.backends.cuda.is_flash_attention_available():
        return None
    if torch.cuda.get_device_capability(device) < (8, 0):
        return None
    attend: Callable[..., Tensor] = optional.require("torch.nn.attention.varlen").varlen_attn
    return attend


def pack(padded: Shaped[Tensor, "B L ..."], mask: Shaped[Tensor, "B L"]) -> tuple[Shaped[Tensor, "T ..."], Int[Tensor, " B1"]]:
    """Take the padding out of a batch that is padded on the right.

    Args:
        padded: ``[B, L, …]``: ids, labels, embeddings.
        mask: ``[B, L]``, not 0 at real tokens.

    Returns:
        The tokens ``[T, …]`` and ``cu_seqlens [B + 1]`` (int32).

    Raises:
        InputError: If a row of the mask is empty or has padding before a real token.
    """
    real = mask != 0
    lengths = real.sum(dim=1)
    right_padded = torch.arange(real.shape[1], device=real.device) < lengths[:, None]
    if not torch.equal(real, right_padded) or not bool(lengths.all()):
        raise InputError(
            "only a batch padded on the right, with a token in every row, can be packed",
            received="a mask with a gap or an empty row",
        )
    cu_seqlens = torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
    return padded[real], cu_seqlens


def unpack(tokens: Shaped[Tensor, "T ..."], cu_seqlens: Int[Tensor, " B1"], fill: float = 0.0) -> Shaped[Tensor, "B L ..."]:
    """Put a packed batch side by side, padded on the right with ``fill`` up to its longest sequence.

    Args:
        tokens: ``[T, …]``.
        cu_seqlens: ``[B + 1]`` boundaries.
        fill: The value of padding.

    Raises:
        InputError: If the boundaries do not rise from 0 to T.
    """
    boundaries = cu_seqlens.tolist()
    group_by_length(boundaries, tokens.shape[0])  # for its checks
    rows = tokens.split_with_sizes([last - first for first, last in pairwise(boundaries)])
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=fill)
