"""Orbit-volume term of isotropic noise: the logarithm of how densely gauge slices are packed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import sympy as sp
from sympy.polys.matrices import DomainMatrix

from symtheory.errors import DerivationError
from symtheory.geometry.localization import FACTORED_TERMS
from symtheory.graph.elementwise import ElementwiseModel


def gauge_correction(model: ElementwiseModel, charges: Sequence[sp.Expr]) -> sp.Expr:
    """½ log det(∇c ∇cᵀ) of one coordinate, c the charges: an expression in its k parameters, dimensionless.

    Under isotropic Langevin noise the density on a slice of fixed charges, with respect to the slice's own volume,
    is exp(−L/T − this). Raises ``DerivationError`` without charges, or where they depend on each other.
    Source: Aladrah et al. 2026 (2601.06597).
    """
    if not charges:
        raise DerivationError("there is no charge, so there is no gauge slice to correct for")
    jacobian = sp.Matrix([[sp.diff(charge, symbol) for symbol in model.coordinates] for charge in charges])
    gram = gram_determinant(jacobian)
    if gram == 0:
        raise DerivationError(f"the {len(charges)} charges depend on each other, so they are no gauge condition")
    return sp.log(sp.factor(gram) if len(sp.Add.make_args(gram)) <= FACTORED_TERMS else gram) / 2


def gram_determinant(jacobian: sp.Matrix) -> sp.Expr:
    """det(J Jᵀ) of an m×k matrix, m <= k, as the sum of the squares of its m×m minors (Cauchy and Binet).

    Charges of a torus have minors of one term each, and their sum has few; the determinant of J Jᵀ itself passes
    through many that cancel.
    """
    matrix = DomainMatrix.from_Matrix(jacobian)
    rows, columns = matrix.shape
    minors = [matrix.extract(list(range(rows)), list(chosen)).det() for chosen in combinations(range(columns), rows)]
    return sp.expand(matrix.domain.to_sympy(sum((minor**2 for minor in minors), matrix.domain.zero)))


def field_determinant(fields: sp.Matrix) -> tuple[int, sp.Expr]:
    """Rank r of an m×k matrix at a generic point, and the product of the nonzero eigenvalues of F Fᵀ there.

    It is the sum of the squares of all r×r minors: the r-th elementary symmetric function of the eigenvalues.
    """
    rank = fields.rank()
    rows = combinations(range(fields.rows), rank)
    return rank, sp.expand(
        sp.Add(*(gram_determinant(fields.extract(list(chosen), list(range(fields.cols)))) for chosen in rows))
    )
