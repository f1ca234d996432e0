"""How the tokens of a padded batch lie while the layers see them one after the other, as rows.

Rows keep the layers' products plain matrices; the sizes are found once, outside the loop over layers, where XLA must know them.

Shapes: B batch · L sequence · T = B x L tokens · H hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from albertkit.models.shapes import Bool, Float, Shaped

__all__ = ["Layout"]


@dataclass(frozen=True, eq=False)
class Layout:
    """A padded batch.

    Attributes:
        sizes: B and L: numbers where they are known, else scalars.
        seen: ``[B, 1, 1, L]``, False at padding; ``None``: no padding.
    """

    sizes: tuple[Any, Any]
    seen: Bool[Any, "B 1 1 L"] | None

    @classmethod
    def of(cls, tokens: Float[Any, "B L H"], attention_mask: Shaped[Any, "B L"] | None) -> Layout:
        """The layout of a batch and of a mask in which any value but 0 marks a real token."""
        sizes = tuple(tf.shape(tokens)[axis] if tokens.shape[axis] is None else tokens.shape[axis] for axis in (0, 1))
        if attention_mask is None:
            return cls(sizes, None)
        return cls(sizes, tf.reshape(tf.cast(attention_mask, tf.bool), (sizes[0], 1, 1, sizes[1])))

    def to_rows(self, tokens: Float[Any, "B L H"]) -> Float[Any, "T H"]:
        """One row for each token."""
        return tf.reshape(tokens, (-1, tokens.shape[-1]))

    def from_rows(self, rows: Float[Any, "T H"]) -> Float[Any, "B L H"]:
        """The batch of the rows."""
        return tf.reshape(rows, (*self.sizes, rows.shape[-1]))
