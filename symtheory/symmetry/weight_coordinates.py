"""Weight coordinates: linear coordinates p in which every generator is diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy as sp
from sympy.polys.matrices import DomainMatrix

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.symmetry.solutions import primitive


@dataclass(frozen=True)
class WeightCoordinates:
    """p = M θ with M a k×k integer matrix, so that generator a acts as p_i ↦ ω_ai p_i.

    matrix: M, its rows primitive integer vectors with a positive first nonzero entry;
    weights: for every generator the rational weights (ω_a1, …, ω_ak).
    """

    matrix: sp.ImmutableMatrix
    weights: tuple[tuple[sp.Rational, ...], ...] = ()

    @cached_property
    def symbols(self) -> tuple[sp.Symbol, ...]:
        """p_1 … p_k."""
        return tuple(sp.Symbol(f"p{index}", real=True) for index in range(1, self.matrix.rows + 1))

    @cached_property
    def inverse(self) -> tuple[sp.Expr, ...]:
        """θ_1 … θ_k as expressions in ``symbols``."""
        return self.back(self.symbols)

    def of(self, point: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
        """The k weight coordinates M θ of a point or of a velocity with k components."""
        return tuple(self.matrix * sp.Matrix(point))

    def back(self, weights: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
        """The point M⁻¹ p with k components that has the given weight coordinates."""
        return tuple(self.matrix.inv() * sp.Matrix(weights))


def weight_coordinates(model: ElementwiseModel) -> WeightCoordinates:
    """Joint eigenbasis of the generators over the rationals; the parameters themselves where there are none.

    Raises ``DerivationError`` when the generators do not commute or are not diagonalizable over the rationals, as for
    a rotation (under which the Euclidean metric is invariant already).
    """
    size = model.dimension
    generators = [sp.Matrix(generator) for generator in model.generators]
    _check_commuting(generators)
    spaces = [DomainMatrix.eye(size, sp.QQ)]
    constraints = [DomainMatrix.zeros((0, size), sp.QQ)]
    for generator in generators:
        transposed = generator.T.to_DM(sp.QQ)
        shifted = [transposed - value * DomainMatrix.eye(size, sp.QQ) for value in _rational_eigenvalues(generator)]
        constraints = [held.vstack(shift) for held in constraints for shift in shifted]
        joint = [(held, held.nullspace()) for held in constraints]
        constraints = [held for held, space in joint if space.shape[0]]
        spaces = [space for _, space in joint if space.shape[0]]
        if sum(space.shape[0] for space in spaces) < size:
            raise _not_diagonalizable(generator)
    rows = sorted((primitive(row) for space in spaces for row in _reduced(space)), key=_leading_position)
    weights = tuple(tuple(_weight(row, generator) for row in rows) for generator in generators)
    return WeightCoordinates(sp.ImmutableMatrix(rows), weights)


def _check_commuting(generators: Sequence[sp.Matrix]) -> None:
    for place, first in enumerate(generators):
        for second in generators[place + 1 :]:
            if first * second != second * first:
                raise DerivationError(
                    f"generators {first.tolist()} and {second.tolist()} do not commute: "
                    "they have no common weight coordinates"
                )


def _rational_eigenvalues(generator: sp.Matrix) -> list[object]:
    _, factors = generator.charpoly().factor_list()
    if any(factor.degree() > 1 for factor, _ in factors):
        raise _not_diagonalizable(generator)
    return [sp.QQ.from_sympy(-factor.nth(0) / factor.nth(1)) for factor, _ in factors]


def _not_diagonalizable(generator: sp.Matrix) -> DerivationError:
    kind = " (a rotation)" if -generator == generator.T else ""
    return DerivationError(f"the generator {generator.tolist()}{kind} is not diagonalizable over the rationals")


def _reduced(space: DomainMatrix) -> list[list[sp.Expr]]:
    reduced, _ = space.rref()
    return [list(row) for row in reduced.to_Matrix().tolist()]


def _leading_position(row: Sequence[sp.Expr]) -> int:
    return next(place for place, entry in enumerate(row) if entry != 0)


def _weight(row: Sequence[sp.Expr], generator: sp.Matrix) -> sp.Rational:
    """ω with row · A = ω row."""
    pivot = _leading_position(row)
    return (sp.Matrix([row]) * generator)[pivot] / row[pivot]
