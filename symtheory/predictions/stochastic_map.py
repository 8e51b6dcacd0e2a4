"""A declared stochastic map: state variables, what one step makes of them, and the standard normal noise it draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy as sp

MEAN = sp.Function("E")
"""E(monomial): the stationary mean of a monomial in the state."""


@dataclass(frozen=True)
class StochasticMap:
    """update: state variable → its value after one step, a polynomial in state and noise; noise: independent standard
    normal variables, drawn anew at every step."""

    update: Mapping[sp.Symbol, sp.Expr]
    noise: tuple[sp.Symbol, ...] = ()

    @property
    def state(self) -> tuple[sp.Symbol, ...]:
        """The state variables."""
        return tuple(self.update)

    def after(self, observable: sp.Expr) -> sp.Expr:
        """The observable after one step, as a polynomial in state and noise."""
        return sp.expand(observable.subs(self.update, simultaneous=True))

    def mean_after(self, observable: sp.Expr) -> sp.Expr:
        """Its conditional mean, given the state before: E ξⁿ = (n − 1)!! for even n, else zero."""
        value = self.after(observable)
        if not self.noise:
            return value
        terms = sp.Poly(value, *self.noise).terms()
        even = ((powers, c) for powers, c in terms if all(n % 2 == 0 for n in powers))
        return sp.expand(sp.Add(*(c * sp.Mul(*(sp.factorial2(n - 1) for n in powers)) for powers, c in even)))

    def mean_change(self, observable: sp.Expr) -> sp.Expr:
        """The conditional mean of its change, whose stationary mean vanishes exactly."""
        return sp.expand(self.mean_after(observable) - observable)

    def stationarity(self, observable: sp.Expr) -> sp.Expr:
        """What vanishes in every stationary state with these moments, written in E(monomial)."""
        return stationary_mean(self.mean_change(observable), self.state)

    def reflected_fixed_points(self, variable: sp.Symbol) -> list[dict[sp.Symbol, sp.Expr]]:
        """The points that a step without noise takes to themselves with the sign of one variable changed."""
        silent = dict.fromkeys(self.noise, 0)
        signs = {symbol: -1 if symbol == variable else 1 for symbol in self.state}
        equations = [value.subs(silent) - signs[symbol] * symbol for symbol, value in self.update.items()]
        return [dict(found) for found in sp.solve(equations, list(self.state), dict=True)]


def stationary_mean(polynomial: sp.Expr, state: Iterable[sp.Symbol]) -> sp.Expr:
    """A polynomial in the state with every monomial replaced by its stationary mean E(monomial)."""
    variables = tuple(state)
    total = sp.Integer(0)
    for powers, coefficient in sp.Poly(polynomial, *variables).terms():
        monomial = sp.Mul(*(v**p for v, p in zip(variables, powers, strict=True)))
        total += coefficient * (MEAN(monomial) if any(powers) else 1)
    return total
