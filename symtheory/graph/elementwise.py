"""The elementwise calculus: a parametrization that acts coordinate by coordinate, described by one coordinate."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp


@dataclass(frozen=True)
class ElementwiseModel:
    """One coordinate of a coordinatewise parametrization; every coordinate of the predictor looks the same.

    coordinates: one real symbol per parameter, named as the parameter.
    predictor: the scalar w = φ(θ) of that coordinate.
    generators: k×k rational matrices A (k parameters) whose vector fields X(θ) = A θ satisfy dφ(X) = 0.
    """

    coordinates: tuple[sp.Symbol, ...]
    predictor: sp.Expr
    generators: tuple[sp.Matrix, ...] = ()

    @property
    def dimension(self) -> int:
        """Number of parameters per coordinate."""
        return len(self.coordinates)

    def gradient(self) -> sp.Matrix:
        """Column ∂φ/∂θ_i, length k."""
        return sp.Matrix([sp.diff(self.predictor, symbol) for symbol in self.coordinates])

    def vector_field(self, generator: sp.Matrix) -> sp.Matrix:
        """Column X(θ) = A θ, length k."""
        return generator * sp.Matrix(self.coordinates)
