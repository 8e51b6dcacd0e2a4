"""All linear vector fields that annihilate a polynomial of one coordinate, by exact linear algebra."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symtheory.graph.elementwise import ElementwiseModel
from symtheory.symmetry.solutions import is_in_span, nullspace


def annihilating_matrices(model: ElementwiseModel) -> tuple[sp.ImmutableMatrix, ...] | None:
    """Basis of {A : ∇φ(θ)·Aθ = 0}, symmetric members first; None when φ is no polynomial.

    Every member generates a symmetry of φ, and every linear symmetry of one coordinate is in the span: the entries
    of A are the unknowns and the coefficients of the polynomial ∇φ·Aθ are the equations.
    """
    if not model.predictor.is_polynomial(*model.coordinates):
        return None
    k = model.dimension
    gradient = model.gradient()
    columns = [
        sp.Poly(gradient[row] * model.coordinates[column], *model.coordinates)
        for row in range(k)
        for column in range(k)
    ]
    monomials = sorted({monomial for polynomial in columns for monomial in polynomial.monoms()})
    equations = [[polynomial.coeff_monomial(monomial) for polynomial in columns] for monomial in monomials]
    if not all(entry.is_Rational for row in equations for entry in row):
        return None
    symmetric = _solve(equations + _symmetry_equations(k), k)
    everything = _solve(equations, k)
    basis = list(symmetric)
    for matrix in everything:
        if sp.Matrix([list(member) for member in [*basis, matrix]]).rank() > len(basis):
            basis.append(matrix)
    return tuple(basis)


def constant_fields(model: ElementwiseModel) -> list[list[sp.Rational]]:
    """Basis of the constants c with ∇φ(θ)·c = 0, for a polynomial φ: the shifts of one coordinate.

    Where there is none, every linear symmetry of all coordinates together acts on each coordinate by itself: a field
    on coordinate i that is linear in the parameters θ_j of another needs ∇φ(θ_i)·(A θ_j) = 0 for all θ_i and θ_j, so
    that A θ_j is such a constant.
    """
    partials = [sp.Poly(entry, *model.coordinates) for entry in model.gradient()]
    monomials = sorted({monomial for partial in partials for monomial in partial.monoms()})
    return nullspace(
        [[partial.coeff_monomial(monomial) for partial in partials] for monomial in monomials], model.dimension
    )


def affine_dimension(model: ElementwiseModel) -> int:
    """Dimension of {(A, b) : ∇φ(θ)·(Aθ + b) = 0} for a polynomial φ, multiples θ_j c of shifts c left out."""
    gradient = model.gradient()
    columns = [
        sp.Poly(partial * factor, *model.coordinates) for partial in gradient for factor in (*model.coordinates, 1)
    ]
    monomials = sorted({monomial for polynomial in columns for monomial in polynomial.monoms()})
    rows = [[polynomial.coeff_monomial(monomial) for polynomial in columns] for monomial in monomials]
    return len(nullspace(rows, len(columns))) - model.dimension * len(constant_fields(model))


def without_multiples_of_shifts(
    matrices: Sequence[sp.ImmutableMatrix], shifts: Sequence[Sequence[sp.Rational]]
) -> tuple[sp.ImmutableMatrix, ...]:
    """Of the matrices those that the fields θ_j c, c a shift, do not generate: these have the orbits of the shifts."""
    if not shifts:
        return tuple(matrices)
    k = len(shifts[0])
    unit = sp.eye(k)
    span = [list(sp.Matrix(c) * unit.row(column)) for c in shifts for column in range(k)]
    kept = []
    for matrix in matrices:
        if not is_in_span(list(matrix), span):
            span.append(list(matrix))
            kept.append(matrix)
    return tuple(kept)


def _symmetry_equations(k: int) -> list[list[sp.Integer]]:
    rows = []
    for i in range(k):
        for j in range(i):
            row = [sp.Integer(0)] * (k * k)
            row[i * k + j], row[j * k + i] = sp.Integer(1), sp.Integer(-1)
            rows.append(row)
    return rows


def _solve(equations: list[list[sp.Expr]], k: int) -> list[sp.ImmutableMatrix]:
    return [sp.ImmutableMatrix(k, k, vector) for vector in nullspace(equations, k * k)]
