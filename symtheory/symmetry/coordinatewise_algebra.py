"""All linear vector fields that annihilate a polynomial of one coordinate, by exact linear algebra."""

from __future__ import annotations

import sympy as sp

from symtheory.graph.elementwise import ElementwiseModel
from symtheory.symmetry.solutions import nullspace


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


def has_independent_partials(model: ElementwiseModel) -> bool:
    """Whether no constant combination of the ∂φ/∂θ_i of a polynomial vanishes.

    Then every linear symmetry of all coordinates together acts on each coordinate by itself: a field on coordinate i
    that is linear in the parameters θ_j of another would need ∇φ(θ_i)·(A θ_j) = 0 for all θ_i and θ_j.
    """
    partials = [sp.Poly(entry, *model.coordinates) for entry in model.gradient()]
    monomials = sorted({monomial for partial in partials for monomial in partial.monoms()})
    rows = [[partial.coeff_monomial(monomial) for partial in partials] for monomial in monomials]
    return bool(sp.Matrix(rows).rank() == model.dimension)


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
