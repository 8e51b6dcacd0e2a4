"""Geodesics of one block: closed forms where they were derived, Taylor polynomials always."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.geometry.christoffel_symbols import ChristoffelSymbols
from symtheory.graph.symbol_names import free_name, prefixed_names


def initial_symbols(coordinates: Sequence[sp.Symbol]) -> dict[sp.Symbol, sp.Symbol]:
    """Starting values {u: u_0}, real."""
    return {symbol: sp.Symbol(f"{symbol.name}_0", real=True) for symbol in coordinates}


def velocity_symbols(coordinates: Sequence[sp.Symbol]) -> dict[sp.Symbol, sp.Symbol]:
    """Velocities {u: xi_u}, real. Raises DeclarationError when a coordinate itself is called xi_u."""
    names = prefixed_names("xi_", [symbol.name for symbol in coordinates], "velocity")
    return {symbol: sp.Symbol(names[symbol.name], real=True) for symbol in coordinates}


def target_symbols(coordinates: Sequence[sp.Symbol]) -> dict[sp.Symbol, sp.Symbol]:
    """Another point {u: other_u}, real; with underscores appended where a coordinate itself is called so."""
    taken = {symbol.name for symbol in coordinates}
    return {symbol: sp.Symbol(free_name(f"other_{symbol.name}", taken), real=True) for symbol in coordinates}


TIME = sp.Symbol("t", real=True)


@dataclass(frozen=True)
class Geodesic:
    """The geodesic γ(t) with γ(0) = u_0 and γ'(0) = ξ, coordinate by coordinate; t is dimensionless.

    closed_form: {coordinate: expression in t, the initial values and the rates}, or None.
    kind: "all" if the closed form holds for every velocity, "horizontal" if for horizontal ones alone, else None.
    reason: how the closed form was found, or why there is none.
    rates: {rate symbol: its value in initial values and velocities}, for the rates the closed form uses.
    initial, velocity: {coordinate: symbol}.
    """

    closed_form: Mapping[sp.Symbol, sp.Expr] | None
    kind: Literal["all", "horizontal"] | None
    reason: str
    christoffel: ChristoffelSymbols
    initial: Mapping[sp.Symbol, sp.Symbol]
    velocity: Mapping[sp.Symbol, sp.Symbol]
    rates: Mapping[sp.Symbol, sp.Expr]
    time: sp.Symbol = TIME

    def explicit(self) -> dict[sp.Symbol, sp.Expr]:
        """The closed form in t, initial values and velocities alone, the rates written out.

        Raises DerivationError when there is no closed form.
        """
        if self.closed_form is None:
            raise DerivationError(f"the geodesic has no closed form ({self.reason}): use taylor(order)")
        return {symbol: value.xreplace(dict(self.rates)) for symbol, value in self.closed_form.items()}

    def taylor(self, order: int) -> dict[sp.Symbol, sp.Expr]:
        """Taylor polynomial of degree `order` >= 1 in t: u_0 + ξ t − ½ Γ(ξ, ξ) t² + …

        Higher terms come from differentiating the geodesic equation. Raises DerivationError when order < 1.
        """
        if order < 1:
            raise DerivationError(f"a Taylor geodesic of order {order} does not exist: choose an order of at least 1")
        coordinates = self.christoffel.coordinates
        xi = [self.velocity[symbol] for symbol in coordinates]
        acceleration = [-value for value in self.christoffel.form(xi)]
        derivative: list[sp.Expr] = list(xi)
        start = dict(self.initial)
        result: list[sp.Expr] = [start[symbol] for symbol in coordinates]
        for degree in range(1, order + 1):
            step = self.time**degree / sp.factorial(degree)
            # The start goes in before the time does: a coordinate may be called t as well.
            result = [value + step * term.xreplace(start) for value, term in zip(result, derivative, strict=True)]
            if degree < order:
                derivative = [_along_flow(term, coordinates, xi, acceleration) for term in derivative]
        return dict(zip(coordinates, result, strict=True))


def _along_flow(
    term: sp.Expr, coordinates: Sequence[sp.Symbol], xi: Sequence[sp.Symbol], acceleration: Sequence[sp.Expr]
) -> sp.Expr:
    """Time derivative of a function of position and velocity along the geodesic flow."""
    slopes = [sp.diff(term, x) * v for x, v in zip(coordinates, xi, strict=True)]
    slopes += [sp.diff(term, v) * a for v, a in zip(xi, acceleration, strict=True)]
    return sp.factor_terms(sp.Add(*slopes))
