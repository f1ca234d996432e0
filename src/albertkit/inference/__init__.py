"""Running models for predictions: the engine protocol and one file per engine."""

from __future__ import annotations

from albertkit.inference.batching import TokenBatch, plan_batches
from albertkit.inference.engine import ENGINES, Engine, load_engine

__all__ = ["ENGINES", "Engine", "TokenBatch", "load_engine", "plan_batches"]
