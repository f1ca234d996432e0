"""Array types that carry shapes, ``Float[Tensor, "B L H"]``, for type checkers and for the test-suite.

At run time the names stand for nothing and cost nothing: annotations are never evaluated. The test-suite puts jaxtyping's
own types here before any model is imported, so that every shape is checked there.

Letters: B batch · L sequence · T tokens of a packed batch · E embedding · H hidden · F intermediate · N heads · D head size ·
V vocabulary · S positions · G groups · P masked positions · C classes or choices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped
else:
    Bool = Float = Int = Shaped = None

__all__ = ["Bool", "Float", "Int", "Shaped"]
