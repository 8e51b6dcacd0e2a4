"""Chooses the derivation that gives a geometry's geodesics in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.geometry.christoffel_symbols import ChristoffelSymbols
from symtheory.geometry.geodesic import TIME, Geodesic, initial_symbols, velocity_symbols
from symtheory.geometry.geodesic_quadrature import ClosedForm, decoupled_geodesic, horizontal_geodesic
from symtheory.symmetry.weight_coordinates import WeightCoordinates, weight_coordinates

if TYPE_CHECKING:
    from symtheory.geometry.elementwise_geometry import ElementwiseGeometry


def solve_geodesic(geometry: ElementwiseGeometry, horizontal: bool) -> Geodesic:
    """Straight lines, then decoupled equations in weight coordinates, then horizontal curves at constant speed."""
    start, velocity = initial_symbols(geometry.coordinates), velocity_symbols(geometry.coordinates)
    christoffel = geometry.christoffel()

    def result(
        form: dict[sp.Symbol, sp.Expr] | None,
        kind: Literal["all", "horizontal"] | None,
        reason: str,
        rates: dict[sp.Symbol, sp.Expr],
    ) -> Geodesic:
        return Geodesic(form, kind, reason, christoffel, start, velocity, rates)

    if not horizontal and not len(christoffel):
        lines = {x: start[x] + velocity[x] * TIME for x in geometry.coordinates}
        return result(lines, "all", "the connection vanishes: straight lines", {})
    problem = _WeightProblem(geometry)
    if not horizontal:
        found = problem.decoupled()
        if found is not None:
            form, rates = problem.in_parameters(found)
            return result(form, "all", "the equations decouple in weight coordinates: quadrature", rates)
    obstacle = problem.no_horizontal_line()
    found = None if obstacle else problem.horizontal()
    if found is None:
        return result(None, None, obstacle or "the arc length of the horizontal curve has no closed inverse", {})
    form, rates = problem.in_parameters(found)
    return result(form, "horizontal", "one horizontal direction: its curve at constant speed", rates)


class _WeightProblem:
    """The geodesic problem of a geometry in weight coordinates p = M θ, with its way back."""

    def __init__(self, geometry: ElementwiseGeometry) -> None:
        self.geometry = geometry
        self.weights = _weights_or_parameters(geometry)
        coordinates = geometry.coordinates
        self.trivial = self.weights.matrix == sp.eye(len(coordinates))
        if self.trivial:
            self.coordinates = coordinates
            self.metric = geometry.metric
        else:
            names = [f"p{place}" for place in range(1, len(coordinates) + 1)]
            self.coordinates = tuple(sp.Dummy(name, real=True) for name in names)
            inverse = self.weights.matrix.inv()
            moved = geometry.metric.xreplace(dict(zip(coordinates, self.weights.back(self.coordinates), strict=True)))
            self.metric = (inverse.T * moved * inverse).applyfunc(sp.cancel)
        self.start = tuple(initial_symbols(self.coordinates).values())
        self.velocity = tuple(velocity_symbols(self.coordinates).values())

    def decoupled(self) -> ClosedForm | None:
        """Closed form for all velocities, in weight coordinates."""
        christoffel = self.geometry.christoffel()
        if not self.trivial:
            christoffel = ChristoffelSymbols(self.metric, self.coordinates)
        return decoupled_geodesic(christoffel, self.start, self.velocity)

    def no_horizontal_line(self) -> str | None:
        """Why there is no single horizontal direction, or None if there is one."""
        if not self.geometry.is_invariant():
            return "the equations are coupled and the metric is not invariant along every generator"
        dimension = self.geometry.horizontal_dimension()
        if dimension != 1:
            return f"the equations are coupled and the horizontal space has dimension {dimension}, not one"
        return None

    def horizontal(self) -> ClosedForm | None:
        """Closed form for horizontal velocities, in weight coordinates."""
        projection = self.geometry.horizontal_projection
        column = next(projection[:, j] for j in range(projection.cols) if not projection[:, j].is_zero_matrix)
        back = dict(zip(self.geometry.coordinates, self.weights.back(self.coordinates), strict=True))
        direction = [sp.cancel(value.xreplace(back)) for value in self.weights.of(column)]
        return horizontal_geodesic(self.metric, direction, self.coordinates, self.start, self.velocity)

    def in_parameters(self, found: ClosedForm) -> tuple[dict[sp.Symbol, sp.Expr], dict[sp.Symbol, sp.Expr]]:
        """The closed form and its rates in the parameters, their initial values and velocities."""
        coordinates = self.geometry.coordinates
        start, velocity = initial_symbols(coordinates), velocity_symbols(coordinates)
        meaning = dict(zip(self.start, self.weights.of(list(start.values())), strict=True))
        meaning |= dict(zip(self.velocity, self.weights.of(list(velocity.values())), strict=True))
        rates = {symbol: value.xreplace(meaning) for symbol, value in found.rates.items()}
        curves = self.weights.back(found.curves)
        form = {
            x: sp.collect(sp.expand(value.xreplace(meaning), deep=False), list(start.values()), sp.factor_terms)
            if not self.trivial
            else value.xreplace(meaning)
            for x, value in zip(coordinates, curves, strict=True)
        }
        return form, rates


def _weights_or_parameters(geometry: ElementwiseGeometry) -> WeightCoordinates:
    try:
        return weight_coordinates(geometry.model)
    except DerivationError:
        # A metric that needs no weights may still have geodesics that decouple in the parameters themselves.
        return WeightCoordinates(sp.ImmutableMatrix(sp.eye(len(geometry.coordinates))))
