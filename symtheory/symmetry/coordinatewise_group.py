"""Groups that act on each coordinate by itself: rescalings of factors, isometries of a quadratic form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

from symtheory.graph.shapes import element_count
from symtheory.graph.symbol_names import free_name
from symtheory.symmetry.factor import Factor


@dataclass(frozen=True)
class CoordinatewiseGroup(Factor):
    """Products of exp(t_a A_a) acting on the parameters (θ_1, …, θ_k) of every coordinate.

    matrices: the rational k×k generators A_a; quadratic: whether they preserve a quadratic form.
    """

    matrices: tuple[sp.ImmutableMatrix, ...]
    quadratic: bool = False

    @property
    def kind(self) -> str:
        if all(matrix.is_diagonal() for matrix in self.matrices):
            return "rescaling"
        return "isometry" if self.quadratic else "linear"

    @property
    def lives_on(self) -> str:
        return f"coordinates of ({', '.join(self.shapes)})"

    @property
    def scalings(self) -> tuple[dict[str, sp.Rational], ...]:
        diagonal = [matrix.diagonal() for matrix in self.matrices if matrix.is_diagonal()]
        return tuple(dict(zip(self.shapes, entries, strict=True)) for entries in diagonal)

    @property
    def dimension(self) -> sp.Expr:
        return len(self.matrices) * element_count(next(iter(self.shapes.values())))

    @cached_property
    def coordinates(self) -> tuple[sp.Symbol, ...]:
        return tuple(sp.Symbol(name, real=True) for name in self.shapes)

    def symbol(self, parameter: str) -> sp.Symbol:
        return sp.Symbol(parameter, real=True)

    @cached_property
    def element(self) -> tuple[sp.Symbol, ...]:
        """Coordinates t_a of a group element exp(t_1 A_1) exp(t_2 A_2) …; 0 is the identity."""
        names = ["t"] if len(self.matrices) == 1 else [f"t{index + 1}" for index in range(len(self.matrices))]
        return tuple(sp.Symbol(free_name(name, self.shapes), real=True) for name in names)

    @property
    def generators(self) -> tuple[dict[str, sp.Expr], ...]:
        fields = [matrix * sp.Matrix(self.coordinates) for matrix in self.matrices]
        return tuple(
            {name: entry for name, entry in zip(self.shapes, field, strict=True) if entry != 0} for field in fields
        )

    def act(self, g: Any, point: Mapping[str, Any]) -> dict[str, Any]:
        """θ ↦ exp(g_1 A_1) exp(g_2 A_2) … θ; g: one number or expression per generator (bare for one generator)."""
        values = tuple(g) if isinstance(g, tuple | list) else (g,)
        moved = sp.Matrix([point[name] for name in self.shapes])
        for t, matrix in reversed(list(zip(values, self.matrices, strict=True))):
            moved = _exponential(t, matrix) * moved
        return {**point, **dict(zip(self.shapes, moved, strict=True))}

    @property
    def charges(self) -> dict[str, sp.Expr]:
        """θᵀ A_a θ for every symmetric generator, per coordinate."""
        theta = sp.Matrix(self.coordinates)
        symmetric = [matrix for matrix in self.matrices if matrix.is_symmetric()]
        names = [self.name] if len(symmetric) == 1 else [f"{self.name}_{i + 1}" for i in range(len(symmetric))]
        return {name: sp.expand((theta.T * matrix * theta)[0]) for name, matrix in zip(names, symmetric, strict=True)}


def _exponential(t: Any, matrix: sp.ImmutableMatrix) -> sp.Matrix:
    """exp(t A) in closed form."""
    size = matrix.shape[0]
    if matrix.is_diagonal():
        return sp.diag(*(sp.exp(t * entry) for entry in matrix.diagonal()))
    square = (matrix**2)[0, 0]
    if square > 0 and matrix**2 == square * sp.eye(size):
        # A² = s·1 sums to cosh and sinh; the general exponential finds the same slowly and in exponentials.
        root = sp.sqrt(square)
        return sp.cosh(root * t) * sp.eye(size) + sp.sinh(root * t) / root * matrix
    return (t * matrix).exp()
