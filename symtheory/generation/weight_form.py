"""Tensors of a geometry written in its weight coordinates, each of which code computes once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from symtheory.geometry import ElementwiseGeometry, WeightCoordinates, weight_coordinates


@dataclass(frozen=True)
class WeightForm:
    """A geometry in weight coordinates p = M θ; `p` are symbols for them.

    What is handed out for code keeps sums whole (``UnevaluatedExpr``), so that SymPy does not multiply them out.
    """

    geometry: ElementwiseGeometry
    coordinates: WeightCoordinates
    p: tuple[sp.Symbol, ...]

    @classmethod
    def of(cls, geometry: ElementwiseGeometry) -> WeightForm:
        """Raises DerivationError where there are no weight coordinates."""
        p = tuple(sp.Dummy(f"p{index}", real=True) for index in range(len(geometry.coordinates)))
        return cls(geometry, weight_coordinates(geometry.model), p)

    def at(self, expression: sp.Expr) -> sp.Expr:
        """An expression in the parameters, in p."""
        return expression.xreplace(dict(zip(self.geometry.coordinates, self.coordinates.back(self.p), strict=True)))

    def metric(self) -> sp.Matrix:
        """k×k matrix of the metric along p, in p."""
        inverse = self.coordinates.matrix.inv()
        return (inverse.T * self.geometry.metric.applyfunc(self.at) * inverse).applyfunc(sp.factor)

    def needs_every_weight(self) -> bool:
        """Whether the metric is defined only where no weight coordinate is zero."""
        conditions = self.geometry.domain_conditions
        return all(any(sp.expand(c - x) == 0 or sp.expand(c + x) == 0 for c in conditions) for x in self.point())

    def point(self) -> tuple[sp.Expr, ...]:
        """The weight coordinates of the point."""
        return self.coordinates.of(self.geometry.coordinates)

    def inner(self, xi: Sequence[sp.Expr], zeta: Sequence[sp.Expr]) -> sp.Expr:
        """g(ξ, ζ) in the weight coordinates of the point and of both velocities."""
        here = {symbol: whole(value) for symbol, value in zip(self.p, self.point(), strict=True)}
        left, right = (tuple(map(whole, self.coordinates.of(velocity))) for velocity in (xi, zeta))
        entries = self.metric().todok().items()
        return sp.Add(*(value.xreplace(here) * left[i] * right[j] for (i, j), value in entries))

    def frame(self, z: Sequence[sp.Expr]) -> list[sp.Expr]:
        """Along the parameters the tangent of length |z| whose weight components are z_i/√g_ii, for a diagonal g."""
        here = {symbol: whole(value) for symbol, value in zip(self.p, self.point(), strict=True)}
        entries = self.metric().diagonal()
        return self.back([value / sp.sqrt(entry.xreplace(here)) for value, entry in zip(z, entries, strict=True)])

    def back(self, components: Sequence[sp.Expr]) -> list[sp.Expr]:
        """Weight components as those along the parameters: whole combinations over one common denominator."""
        inverse = self.coordinates.matrix.inv()
        denominator = sp.ilcm(1, *(entry.q for entry in inverse))
        if denominator == 1:
            return list(inverse * sp.Matrix(components))
        rows = (inverse * denominator).tolist()
        parts = [whole(value) for value in components]
        return [whole(sp.Add(*map(sp.Mul, row, parts))) / denominator for row in rows]


def whole(expression: sp.Expr) -> sp.Expr:
    """The expression as one factor or term, whatever it is made of."""
    return expression if expression.is_Symbol else sp.UnevaluatedExpr(expression)
