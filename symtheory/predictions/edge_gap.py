"""How far below the edge the sharpness settles: exactly in terms of moments, to leading order, and to the next."""

from __future__ import annotations

from functools import cache

import sympy as sp

from symtheory.matrix_calculus.polynomial import identity, letter
from symtheory.matrix_calculus.symbols import SymmetricSymbol
from symtheory.predictions.equation import equation
from symtheory.predictions.normal_form import NOISE, X, Y, normal_form
from symtheory.predictions.stationary_second_moments import (
    CURVATURE,
    OTHER,
    largest_curvature,
    moment_factor,
    with_positive_factors,
)
from symtheory.predictions.stochastic_map import MEAN, StochasticMap
from symtheory.predictions.symbols import ETA
from symtheory.predictions.thermostat import stationary_law

GAP = sp.Symbol("gap")
"""Sharpness at which the oscillation starts to grow, less the stationary mean of the sharpness: −E y."""

MIXED = sp.Symbol("M", nonnegative=True)
"""E(x²y²)."""

SPREAD = sp.Symbol("V", nonnegative=True)
"""Var(x²)."""

DRIFT_NOISE = sp.Symbol("sigma_s", positive=True)
"""Standard deviation of ∇S⊥·g, with the batch gradient g."""

_ZETA = sp.Symbol("zeta", real=True)


@cache
def stationary_oscillation() -> sp.Expr:
    """E x², from the stationary mean of the change of y: exact in the normal form."""
    return sp.solve(normal_form().stationarity(Y), MEAN(X**2))[0]


@cache
def fixed_point() -> tuple[sp.Expr, sp.Expr]:
    """(x², y) where the step without noise changes nothing but the sign of x."""
    ((square, height),) = {(sp.expand(point[X] ** 2), point[Y]) for point in normal_form().reflected_fixed_points(X)}
    return square, height


@cache
def exact_gap() -> sp.Expr:
    """−E y in ``MIXED`` and ``SPREAD``: the stationary means of the changes of y, x² and y², solved for E y."""
    step = normal_form()
    unknown = (MEAN(X**2), MEAN(X**2 * Y), MEAN(Y))
    (found,) = sp.linsolve([step.stationarity(observable) for observable in (Y, X**2, Y**2)], unknown)
    fourth = SPREAD + found[0] ** 2
    return sp.expand(-found[2].subs({MEAN(X**4): fourth, MEAN(X**2 * Y**2): MIXED}))


@cache
def drift_noise_gap() -> sp.Expr:
    """What noise in y itself, of variance η²σ_s² a step and independent of ξ, adds to the exact gap."""
    step = normal_form()
    stirred = StochasticMap({**step.update, Y: step.update[Y] + ETA * DRIFT_NOISE * _ZETA}, (*step.noise, _ZETA))
    unknown = (MEAN(X**2), MEAN(X**2 * Y), MEAN(Y))
    gaps = [
        -next(iter(sp.linsolve([noisy.stationarity(observable) for observable in (Y, X**2, Y**2)], unknown)))[2]
        for noisy in (stirred, step)
    ]
    return sp.factor(gaps[0] - gaps[1])


@cache
def leading_gap() -> sp.Expr:
    """The gap as η → 0 at fixed ησ_u²: minus the mean of y in the limiting law."""
    return sp.factor(-stationary_law().y_mean)


@cache
def corrected_gap() -> sp.Expr:
    """The gap with its next order in η: the exact one with the moments of the limiting law in it."""
    law = stationary_law()
    second = law.mean(X**2)
    moments = {MIXED: law.mean(X**2 * Y**2), SPREAD: law.mean(X**4) - second**2}
    return sp.factor(leading_gap()) * sp.expand(sp.cancel(exact_gap().subs(moments) / leading_gap()))


@cache
def critical_sharpness() -> sp.Expr:
    """The curvature from which the oscillation grows: 2/η without momentum."""
    return largest_curvature() / ETA


@cache
def gap_with_momentum() -> sp.Expr:
    """The leading gap under heavy-ball momentum μ.

    At curvature S − y below the edge the oscillation has the variance that ``moment_factor`` gives, with a pole at y =
    0; its residue balances E x² = 2α/β.
    """
    variance = NOISE**2 * moment_factor().subs(OTHER, CURVATURE)
    below = sp.Symbol("d", positive=True)
    residue = sp.cancel(below * variance.subs(CURVATURE, critical_sharpness() - below)).subs(below, 0)
    return with_positive_factors(residue / stationary_oscillation())


@cache
def matrix_gap_relation() -> sp.Eq:
    """Several critical directions: ΓX + XΓ = ηC to leading order, with X = E xxᵀ and Y ≈ −Γ independent of x.

    x' = −(I + ηY)x + ηξ with E ξξᵀ = C has to leave X unchanged; what stays is of first order in η, where C counts as
    1/η.
    """
    size = sp.Symbol("k", integer=True, positive=True)
    gap, noise, covariance = (SymmetricSymbol(name, size, size) for name in ("Gamma", "C", "X"))
    kept = identity(size) - letter(gap) * ETA
    lost = letter(covariance) - kept @ letter(covariance) @ kept.T
    quadratic = letter(gap) @ letter(covariance) @ letter(gap) * ETA
    return equation((lost * (1 / ETA) + quadratic).expression(), ETA * noise)
