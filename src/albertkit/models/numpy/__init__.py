"""ALBERT in NumPy, for inference: the engine of the core, and an oracle one can read."""

from __future__ import annotations

from albertkit.models.numpy.models import AlbertNumPy

__all__ = ["AlbertNumPy"]
