"""Matrix symbols that know more of themselves than their size: symmetric, diagonal, skew, centring."""

from __future__ import annotations

import sympy as sp


class SymmetricSymbol(sp.MatrixSymbol):
    """A square matrix that is its own transpose, such as a Gram matrix."""

    def _eval_transpose(self) -> SymmetricSymbol:
        return self


class DiagonalSymbol(SymmetricSymbol):
    """A diagonal matrix; diagonal matrices commute with each other."""


class SkewSymbol(sp.MatrixSymbol):
    """A square matrix that is minus its own transpose, an element of the Lie algebra of rotations."""


class CenteringSymbol(SymmetricSymbol):
    """The projection 1 − 𝟙𝟙ᵀ/k that takes the mean away; it is its own square and has no inverse."""

    def value(self) -> sp.MatrixExpr:
        """The projection written out."""
        size = self.shape[0]
        return sp.Identity(size) - sp.OneMatrix(size, size) / size
