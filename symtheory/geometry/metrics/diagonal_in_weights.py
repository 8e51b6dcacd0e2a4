"""A metric that is diagonal in weight coordinates, written in the model's own."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symtheory.symmetry.weight_coordinates import WeightCoordinates


def diagonal_in_weights(weights: WeightCoordinates, coefficients: Sequence[sp.Expr]) -> sp.ImmutableMatrix:
    """k×k matrix of Σ a_i dp_i² with p = M θ, that is Mᵀ diag(a) M; sums of fractions are brought together."""
    matrix = weights.matrix.T * sp.diag(*coefficients) * weights.matrix
    return sp.ImmutableMatrix(matrix.applyfunc(lambda entry: sp.factor(entry) if entry.is_Add else entry))
