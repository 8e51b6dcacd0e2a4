"""The Riemannian logarithm of one block: the inverse of its exponential map, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.geometry.geodesic import initial_symbols, target_symbols
from symtheory.geometry.geodesic_solver import solve

if TYPE_CHECKING:
    from symtheory.geometry.elementwise_geometry import ElementwiseGeometry


@dataclass(frozen=True)
class LogarithmMap:
    """log_θ(θ'), the tangent ξ at θ whose geodesic is at θ', or in its orbit, when t = 1.

    Where kind is "all", exp_θ(ξ) = θ'. Where kind is "horizontal", ξ is the horizontal tangent whose geodesic ends
    where the predictor has the value φ(θ'): in the orbit of θ' if each weight coordinate of θ' has the sign of that of
    θ, else in the mirror image of that orbit, under sign flips, on the side of θ. Its length is then the distance of
    the two orbits, as every θ' of one orbit gives the same ξ.

    tangent: {coordinate: expression in the initial values and the other point}.
    kind: "all" or "horizontal", as above.
    positive: expressions that must be positive: where one is not, no such geodesic exists and ξ means nothing.
    initial, other: {coordinate: symbol} of θ and of θ'.
    """

    tangent: Mapping[sp.Symbol, sp.Expr]
    kind: Literal["all", "horizontal"]
    positive: tuple[sp.Expr, ...]
    initial: Mapping[sp.Symbol, sp.Symbol]
    other: Mapping[sp.Symbol, sp.Symbol]


def solve_logarithm(geometry: ElementwiseGeometry, horizontal: bool) -> LogarithmMap:
    """The logarithm from the quadrature F(p(t)) = F(p_0) + c t of the geodesics: c = F(p(1)) − F(p_0), pushed back.

    Raises DerivationError, saying why, when the geodesics have no closed form or the end point cannot be solved for.
    """
    solution = solve(geometry, horizontal)
    if solution.found is None or solution.kind is None:
        raise DerivationError(f"the logarithm has no closed form, since the geodesic has none ({solution.reason})")
    if solution.found.velocities is None:
        raise DerivationError(
            f"the logarithm has no closed form: the predictor {geometry.model.predictor} along a horizontal geodesic "
            "has no closed inverse"
        )
    return LogarithmMap(
        solution.problem.vector_in_parameters(solution.found.velocities),
        solution.kind,
        tuple(sp.factor(c) for c in solution.problem.conditions_in_parameters(solution.found.positive)),
        initial_symbols(geometry.coordinates),
        target_symbols(geometry.coordinates),
    )
