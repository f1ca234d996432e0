"""Less memory in training: keep what enters a layer, and compute the rest again in the backward pass (arXiv:1604.06174)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from albertkit.errors import InputError

__all__ = ["Recomputable", "read_options"]

_OPTIONS = ("context_fn", "debug", "determinism_check", "early_stop", "preserve_rng_state")


class Recomputable(nn.Module):
    """A module that can keep nothing but its inputs for the backward pass; values and gradients are the same either way."""

    recomputation: Mapping[str, Any] | None = None
    """Options of ``torch.utils.checkpoint.checkpoint``; ``None``: keep everything."""

    def __call__(self, *inputs: Any) -> Any:
        """Run the module."""
        if self.recomputation is None or not torch.is_grad_enabled():
            return super().__call__(*inputs)
        return checkpoint(super().__call__, *inputs, use_reentrant=False, **self.recomputation)


def read_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check the options of recomputation.

    Raises:
        InputError: If one is unknown, or asks for the reentrant form.
    """
    given = dict(options or {})
    if given.pop("use_reentrant", False):
        raise InputError("layers are recomputed without reentrant autograd", received="use_reentrant=True", fix="leave it out")
    unknown = [name for name in given if name not in _OPTIONS]
    if unknown:
        raise InputError(f"gradient_checkpointing_kwargs may hold {', '.join(_OPTIONS)}", received=", ".join(unknown))
    return given
