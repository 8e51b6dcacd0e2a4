"""Chooses the derivation that gives a geometry's geodesics in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.geometry.christoffel_symbols import ChristoffelSymbols
from symtheory.geometry.geodesic import Geodesic, initial_symbols, target_symbols, velocity_symbols
from symtheory.geometry.geodesic_quadrature import ClosedForm, Ends, decoupled_geodesic, horizontal_geodesic
from symtheory.symmetry.weight_coordinates import WeightCoordinates, weight_coordinates

if TYPE_CHECKING:
    from symtheory.geometry.elementwise_geometry import ElementwiseGeometry


@dataclass(frozen=True)
class Solution:
    """What solving a geometry's geodesic equation gave: the closed form in weight coordinates, or None, and why.

    kind: "all" if it holds for every velocity, "horizontal" if for horizontal ones alone, None without a closed form.
    """

    problem: WeightProblem
    found: ClosedForm | None
    kind: Literal["all", "horizontal"] | None
    reason: str


def solve(geometry: ElementwiseGeometry, horizontal: bool) -> Solution:
    """Straight lines, then decoupled equations in weight coordinates, then horizontal curves at constant speed."""
    if not horizontal and not len(geometry.christoffel()):
        problem = WeightProblem(geometry, _parameters(geometry))
        return Solution(problem, problem.decoupled(), "all", "the connection vanishes: straight lines")
    problem = WeightProblem(geometry, _weights_or_parameters(geometry))
    if not horizontal:
        found = problem.decoupled()
        if found is not None:
            return Solution(problem, found, "all", "the equations decouple in weight coordinates: quadrature")
    obstacle = problem.no_horizontal_line()
    found = None if obstacle else problem.horizontal()
    if found is None:
        reason = obstacle or "the arc length of the horizontal curve has no closed inverse"
        return Solution(problem, None, None, reason)
    return Solution(problem, found, "horizontal", "one horizontal direction: its curve at constant speed")


def solve_geodesic(geometry: ElementwiseGeometry, horizontal: bool) -> Geodesic:
    """The geodesic in the parameters, with the closed form that was found."""
    start, velocity = initial_symbols(geometry.coordinates), velocity_symbols(geometry.coordinates)
    solution = solve(geometry, horizontal)
    form: dict[sp.Symbol, sp.Expr] | None = None
    rates: dict[sp.Symbol, sp.Expr] = {}
    if solution.found is not None:
        form, rates = solution.problem.in_parameters(solution.found)
    return Geodesic(form, solution.kind, solution.reason, geometry.christoffel(), start, velocity, rates)


class WeightProblem:
    """The geodesic problem of a geometry in weight coordinates p = M θ, with its way back."""

    def __init__(self, geometry: ElementwiseGeometry, weights: WeightCoordinates) -> None:
        self.geometry = geometry
        self.weights = weights
        coordinates = geometry.coordinates
        self.trivial = self.weights.matrix == sp.eye(len(coordinates))
        if self.trivial:
            self.coordinates = coordinates
            self.metric = geometry.metric
        else:
            names = [f"p{place}" for place in range(1, len(coordinates) + 1)]
            self.coordinates = tuple(sp.Dummy(name, real=True) for name in names)
            inverse = self.weights.matrix.inv()
            moved = geometry.metric.xreplace(self._back())
            self.metric = (inverse.T * moved * inverse).applyfunc(sp.cancel)
        self.ends = Ends(
            tuple(initial_symbols(self.coordinates).values()),
            tuple(velocity_symbols(self.coordinates).values()),
            tuple(target_symbols(self.coordinates).values()),
        )

    def decoupled(self) -> ClosedForm | None:
        """Closed form for all velocities, in weight coordinates."""
        christoffel = self.geometry.christoffel()
        if not self.trivial:
            christoffel = ChristoffelSymbols(self.metric, self.coordinates)
        return decoupled_geodesic(christoffel, self.ends)

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
        direction = [sp.cancel(value.xreplace(self._back())) for value in self.weights.of(column)]
        predictor = self.geometry.model.predictor.xreplace(self._back())
        return horizontal_geodesic(self.metric, direction, self.coordinates, self.ends, predictor)

    def in_parameters(self, found: ClosedForm) -> tuple[dict[sp.Symbol, sp.Expr], dict[sp.Symbol, sp.Expr]]:
        """The closed form and its rates in the parameters, their initial values and velocities."""
        rates = {symbol: value.xreplace(self._meaning()) for symbol, value in found.rates.items()}
        return self.vector_in_parameters(found.curves), rates

    def conditions_in_parameters(self, conditions: Sequence[sp.Expr]) -> tuple[sp.Expr, ...]:
        """Conditions ``ClosedForm.positive`` in initial values and end points of the parameters."""
        return tuple(condition.xreplace(self._meaning()) for condition in conditions)

    def vector_in_parameters(self, vector: Sequence[sp.Expr]) -> dict[sp.Symbol, sp.Expr]:
        """Weight components of a point or of a velocity, as those along the parameters, in their symbols."""
        coordinates, meaning = self.geometry.coordinates, self._meaning()
        start = list(initial_symbols(coordinates).values())
        return {
            x: sp.collect(sp.expand(value.xreplace(meaning), deep=False), start, sp.factor_terms)
            if not self.trivial
            else value.xreplace(meaning)
            for x, value in zip(coordinates, self.weights.back(vector), strict=True)
        }

    def _back(self) -> dict[sp.Symbol, sp.Expr]:
        """The parameters in weight coordinates."""
        return dict(zip(self.geometry.coordinates, self.weights.back(self.coordinates), strict=True))

    def _meaning(self) -> dict[sp.Symbol, sp.Expr]:
        """The symbols of a closed form in those of the parameters."""
        coordinates = self.geometry.coordinates
        meaning: dict[sp.Symbol, sp.Expr] = {}
        for symbols, own in (
            (self.ends.start, initial_symbols(coordinates)),
            (self.ends.velocity, velocity_symbols(coordinates)),
            (self.ends.end, target_symbols(coordinates)),
        ):
            meaning |= dict(zip(symbols, self.weights.of(list(own.values())), strict=True))
        return meaning


def _parameters(geometry: ElementwiseGeometry) -> WeightCoordinates:
    return WeightCoordinates(sp.ImmutableMatrix(sp.eye(len(geometry.coordinates))))


def _weights_or_parameters(geometry: ElementwiseGeometry) -> WeightCoordinates:
    try:
        return weight_coordinates(geometry.model)
    except DerivationError:
        # A metric that needs no weights may still have geodesics that decouple in the parameters themselves.
        return _parameters(geometry)
