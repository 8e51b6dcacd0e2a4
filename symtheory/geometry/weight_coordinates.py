"""Weight coordinates: linear coordinates p in which every generator is diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sympy as sp
from sympy.polys.matrices import DomainMatrix

from symtheory.errors import MetricError

if TYPE_CHECKING:
    from symtheory.graph.elementwise import ElementwiseModel


@dataclass(frozen=True)
class WeightCoordinates:
    """p = M θ with M a k×k integer matrix, so that a generator acts as p_i ↦ λ_i p_i.

    matrix: M, its rows primitive integer vectors with a positive first nonzero entry.
    """

    matrix: sp.ImmutableMatrix

    def of(self, point: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
        """The k weight coordinates M θ of a point or of a velocity with k components."""
        return tuple(self.matrix * sp.Matrix(point))

    def back(self, weights: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
        """The point M^{-1} p with k components that has the given weight coordinates."""
        return tuple(self.matrix.inv() * sp.Matrix(weights))


def weight_coordinates(model: ElementwiseModel) -> WeightCoordinates:
    """Joint eigenbasis of the generators over the rationals; the parameters themselves where there are none.

    Raises MetricError when the generators do not commute or are not diagonalizable over the rationals.
    """
    size = len(model.coordinates)
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
    rows = [_primitive(row) for space in spaces for row in _reduced(space)]
    rows.sort(key=_leading_position)
    return WeightCoordinates(sp.ImmutableMatrix(rows))


def _check_commuting(generators: Sequence[sp.Matrix]) -> None:
    for place, first in enumerate(generators):
        for second in generators[place + 1 :]:
            if first * second != second * first:
                raise MetricError(
                    f"generators {first.tolist()} and {second.tolist()} do not commute, so they have no common weight "
                    "coordinates: use 'euclidean' or a Metric of your own"
                )


def _rational_eigenvalues(generator: sp.Matrix) -> list[object]:
    _, factors = generator.charpoly().factor_list()
    if any(factor.degree() > 1 for factor, _ in factors):
        raise _not_diagonalizable(generator)
    return [sp.QQ.from_sympy(-factor.nth(0) / factor.nth(1)) for factor, _ in factors]


def _not_diagonalizable(generator: sp.Matrix) -> MetricError:
    remedy = (
        "the euclidean metric is invariant under this rotation already: use 'euclidean'"
        if -generator == generator.T
        else "use 'euclidean' or a Metric of your own"
    )
    return MetricError(f"the generator {generator.tolist()} is not diagonalizable over the rationals: {remedy}")


def _reduced(space: DomainMatrix) -> list[list[sp.Expr]]:
    reduced, _ = space.rref()
    return [list(row) for row in reduced.to_Matrix().tolist()]


def _primitive(row: Sequence[sp.Expr]) -> list[sp.Expr]:
    """The integer multiple with no common divisor; row reduction has made its first nonzero entry positive."""
    scale = sp.ilcm(1, *(entry.q for entry in row))
    integers = [entry * scale for entry in row]
    return [entry / sp.igcd(0, *integers) for entry in integers]


def _leading_position(row: Sequence[sp.Expr]) -> int:
    return next(place for place, entry in enumerate(row) if entry != 0)
