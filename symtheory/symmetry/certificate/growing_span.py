"""How many directions a family of random vectors spans, when it is drawn level after level until a level adds none."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat

import numpy as np

from symtheory.errors import CertificateError

# Vectors drawn beyond the dimension still missing; each lies outside what is spanned but for an unlucky draw.
SPARE = 10
# Vectors drawn for each dimension where the predictor has pieces.
PIECEWISE = 4


def growing_span(
    draw: Callable[[int, int], np.ndarray], size: int, levels: int, rank: Callable[[np.ndarray], int], has_pieces: bool
) -> int:
    """Dimension of the span of all levels, given that a level which adds nothing is followed by none that does.

    draw: a count and a level 0, 1, … to vectors (count, size); rank: of a matrix (rows, size); has_pieces: whether
    one draw sees one piece of a piecewise predictor only. Raises ``CertificateError`` when level ``levels`` still
    adds directions.
    """
    drawn: list[np.ndarray] = []
    found = 0
    for level in range(levels + 1):
        before = found
        # Most levels that add nothing are told by a few vectors. Where there are pieces, rare ones give some directions
        # to few samples only, and a small batch could miss them and end the search.
        for count in repeat(PIECEWISE * size) if has_pieces else (SPARE, size - found + SPARE):
            if found == size:
                break
            drawn.append(draw(count, level))
            found, last = rank(np.concatenate(drawn)), found
            if found == last:
                break
        if found in (before, size):
            return found
    raise CertificateError(f"brackets of {levels} fields still add directions ({found} of {size}): bind smaller sizes")
