"""The stationary law of the oscillation at the edge: a particle whose friction is steered by its own energy.

With time t = ηk/(1 − μ) and z = (−1)ᵏx, the normal form tends for η → 0 at fixed ησ_u² to dz = yz dt + √D dW,
dy = (α − βz²/2) dt with D = ησ_u²/(1 − μ): the equations of a Nosé–Hoover thermostat without a potential, with y the
negative friction. Its stationary law is normal. Derived here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import sympy as sp

from symtheory.predictions.normal_form import CHANGE, NOISE, SUM, X, Y, normal_form
from symtheory.predictions.stationary_second_moments import with_positive_factors
from symtheory.predictions.symbols import ETA

HEAT = sp.Symbol("D", positive=True)
"""D = ησ_u², fixed in the limit."""


@dataclass(frozen=True)
class StationaryLaw:
    """x and y independent and normal: their variances, and the mean of y; that of x is zero."""

    x_variance: sp.Expr
    y_mean: sp.Expr
    y_variance: sp.Expr

    def mean(self, polynomial: sp.Expr) -> sp.Expr:
        """The mean of a polynomial in x and y."""
        total = sp.Integer(0)
        for (i, j), coefficient in sp.Poly(sp.expand(polynomial), X, Y).terms():
            total += (
                coefficient
                * _normal_moment(i, sp.Integer(0), self.x_variance)
                * _normal_moment(j, self.y_mean, self.y_variance)
            )
        return sp.expand(total)

    @property
    def log_density(self) -> sp.Expr:
        """log p(x, y) with respect to dx dy, up to a constant."""
        return -(X**2) / (2 * self.x_variance) - (Y - self.y_mean) ** 2 / (2 * self.y_variance)


@cache
def slow_coordinates() -> dict[sp.Symbol, sp.Expr]:
    """x + cp and y + cq with the c that takes p and q out of their change, of order η then; the sign of x apart."""
    step = normal_form()
    found = {}
    for slow, fast, sign in ((X, SUM, -1), (Y, CHANGE, 1)):
        weight = sp.Symbol("c")
        change = sp.expand(sign * step.mean_after(slow + weight * fast) - (slow + weight * fast))
        (value,) = sp.solve(change.coeff(fast, 1), weight)
        found[slow] = slow + with_positive_factors(value) * fast
    return found


@cache
def limiting_drift_and_heat() -> tuple[dict[sp.Symbol, sp.Expr], sp.Expr]:
    """Drift of z and y and the diffusion of z, per unit of ηk, as η → 0 at fixed ησ_u².

    p and q relax at once, to what vanishes with η.
    """
    step, slow = normal_form(), slow_coordinates()
    in_limit = {NOISE: sp.sqrt(HEAT / ETA), SUM: 0, CHANGE: 0}

    def rate(change: sp.Expr) -> sp.Expr:
        return sp.cancel(change.subs(in_limit) / ETA).subs(ETA, 0)

    # The sign that x takes at every step is z's: the change of z is that of −x' over x.
    drift = {X: rate(-step.mean_after(slow[X]) - slow[X]), Y: rate(step.mean_change(slow[Y]))}
    heat = rate(step.mean_after(slow[X] ** 2) - step.mean_after(slow[X]) ** 2)
    return {symbol: sp.factor(value) for symbol, value in drift.items()}, sp.factor(heat)


@cache
def stationary_law() -> StationaryLaw:
    """The normal law p that solves −div(drift p) + ½D ∂²p/∂z² = 0, its three moments solved for.

    The equation over p is a polynomial in z and y, all of whose coefficients vanish.
    """
    drift, heat = limiting_drift_and_heat()
    x_variance, y_variance = sp.symbols("v_x v_y", positive=True)
    y_mean = sp.Symbol("m_y", real=True)
    log_density = StationaryLaw(x_variance, y_mean, y_variance).log_density
    slope = {symbol: sp.diff(log_density, symbol) for symbol in (X, Y)}
    flux = sp.Add(*(sp.diff(drift[symbol], symbol) + drift[symbol] * slope[symbol] for symbol in (X, Y)))
    spread = heat / 2 * (sp.diff(log_density, X, 2) + slope[X] ** 2)
    conditions = sp.Poly(sp.expand(spread - flux), X, Y).coeffs()
    (found,) = sp.solve(conditions, [x_variance, y_mean, y_variance], dict=True)
    moments = (
        with_positive_factors(found[symbol].subs(HEAT, ETA * NOISE**2)) for symbol in (x_variance, y_mean, y_variance)
    )
    return StationaryLaw(*moments)


def _normal_moment(power: int, mean: sp.Expr, variance: sp.Expr) -> sp.Expr:
    """E vⁿ for v normal."""
    even = range(0, power + 1, 2)
    return sp.Add(
        *(sp.binomial(power, k) * mean ** (power - k) * variance ** (k // 2) * sp.factorial2(k - 1) for k in even)
    )
