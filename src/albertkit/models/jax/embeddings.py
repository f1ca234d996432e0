"""Factorised embeddings: E-wide sums of word, token type and position (arXiv:1909.11942 §3.1; modeling.py, embedding_*).

Shapes: B batch · L sequence · E embedding.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from albertkit.config import AlbertConfig
from albertkit.models.jax.initialization import make_norm, make_table
from albertkit.models.jax.inputs import Batch
from albertkit.models.shapes import Float, Int

__all__ = ["AlbertEmbeddings"]


class AlbertEmbeddings(nnx.Module):
    """Word + token type + position → LayerNorm → dropout, all E wide.

    With relative positions the encoder's attention knows them, and none are added here.
    """

    def __init__(self, config: AlbertConfig, *, dtype: np.dtype, rngs: nnx.Rngs) -> None:
        width, padding = config.embedding_size, config.pad_token_id
        self.word_embeddings = make_table(config, config.vocab_size, width, dtype, rngs, padding_idx=padding)
        self.position_embeddings = make_table(config, config.max_position_embeddings, width, dtype, rngs)
        self.token_type_embeddings = make_table(config, config.type_vocab_size, width, dtype, rngs)
        self.LayerNorm = make_norm(config, width, dtype, rngs)
        self.dropout = nnx.Dropout(config.hidden_dropout_prob)
        self.absolute = config.position_embedding_type == "absolute"
        self.padding_idx = padding

    def __call__(self, batch: Batch, key: Array | None = None) -> Float[Array, "B L E"]:
        """Embed tokens.

        Args:
            batch: What the caller gave.
            key: Of the dropout; ``None``: without.
        """
        words = batch.tokens if batch.tokens.ndim == 3 else self._read_words(batch.tokens)
        types, positions = self.token_type_embeddings, self.position_embeddings
        embedded = words + (types.embedding[0] if batch.token_type_ids is None else _look_up(types, batch.token_type_ids))
        if self.absolute:
            places = jnp.arange(words.shape[1]) if batch.position_ids is None else batch.position_ids
            embedded = embedded + _look_up(positions, places)
        return self.dropout(self.LayerNorm(embedded), deterministic=key is None, rngs=key)

    def _read_words(self, input_ids: Int[Array, "B L"]) -> Float[Array, "B L E"]:
        """Word embeddings; that of padding learns nothing from being read."""
        words = _look_up(self.word_embeddings, input_ids)
        return jnp.where((input_ids == self.padding_idx)[..., None], jax.lax.stop_gradient(words), words)


def _look_up(table: nnx.Embed, numbers: Int[Array, "*items"]) -> Float[Array, "*items E"]:
    """Rows of a table; over a mesh whose axes are explicit, as ``jax.make_mesh`` makes them, they lie where their numbers do."""
    here = jax.typeof(numbers).sharding
    out_sharding = here.update(spec=(*here.spec, None)) if any(here.spec) else None
    rows: Array = table.embedding[...].astype(table.dtype)
    return rows.at[numbers].get(mode="fill", out_sharding=out_sharding)  # what is out of range is not a number
