"""Orbit-volume term of isotropic noise: the logarithm of how densely gauge slices are packed."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel


def gauge_correction(model: ElementwiseModel, charges: Sequence[sp.Expr]) -> sp.Expr:
    """½ log det(∇c ∇cᵀ) of one coordinate, c the charges.

    Under isotropic Langevin noise the density on a slice of fixed charges, with respect to the slice's own volume,
    is exp(−L/T − this). Raises ``DerivationError`` without charges. Source: Aladrah et al. 2026 (2601.06597).
    """
    if not charges:
        raise DerivationError("there is no charge, so there is no gauge slice to correct for")
    jacobian = sp.Matrix([[sp.diff(charge, symbol) for symbol in model.coordinates] for charge in charges])
    return sp.log(sp.factor((jacobian * jacobian.T).det())) / 2
