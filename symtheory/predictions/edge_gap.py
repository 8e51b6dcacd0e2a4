"""How far below the edge the sharpness settles: exactly in terms of moments, to leading order, and to the next."""

from __future__ import annotations

from functools import cache

import sympy as sp

from symtheory.matrix_calculus.polynomial import identity, letter
from symtheory.matrix_calculus.symbols import SymmetricSymbol
from symtheory.predictions.equation import equation
from symtheory.predictions.normal_form import CHANGE, NOISE, SUM, X, Y, normal_form
from symtheory.predictions.stationary_second_moments import with_positive_factors
from symtheory.predictions.stochastic_map import MEAN, StochasticMap
from symtheory.predictions.symbols import ETA
from symtheory.predictions.thermostat import HEAT, slow_coordinates, stationary_law

GAP = sp.Symbol("gap")
"""Sharpness at which the oscillation starts to grow, less the stationary mean of the sharpness: −E y."""

MIXED = sp.Symbol("M", nonnegative=True)
"""E(x²y²)."""

SPREAD = sp.Symbol("V", nonnegative=True)
"""Var(x²)."""

MEMORY = sp.Symbol("W", real=True)
"""E(xyp − x²q), of the order of η; without momentum it does not enter."""

DRIFT_NOISE = sp.Symbol("sigma_s", positive=True)
"""Standard deviation of ∇S⊥·g, with the batch gradient g."""

_ZETA = sp.Symbol("zeta", real=True)
_ROOT = sp.Symbol("sqrt_eta", positive=True)


@cache
def stationary_oscillation() -> sp.Expr:
    """E x², from the stationary means of the changes of y and q: exact in the normal form."""
    step = normal_form()
    unknown = (MEAN(X**2), MEAN(CHANGE))
    return next(iter(sp.linsolve([step.stationarity(observable) for observable in (Y, CHANGE)], unknown)))[0]


@cache
def fixed_point() -> tuple[sp.Expr, sp.Expr]:
    """(x², y) where the step without noise changes nothing but the sign of x."""
    ((square, height),) = {(sp.expand(point[X] ** 2), point[Y]) for point in normal_form().reflected_fixed_points(X)}
    return square, height


@cache
def exact_gap() -> sp.Expr:
    """−E y in ``MIXED``, ``SPREAD`` and ``MEMORY``."""
    return sp.Add(*map(with_positive_factors, sp.Add.make_args(sp.expand(_exact_gap(normal_form())))))


def _exact_gap(step: StochasticMap) -> sp.Expr:
    """The stationary means of the changes of y, q and of the squares of the state, solved for E y."""
    solved: dict[sp.Expr, sp.Expr] = {
        MEAN(X**4): SPREAD + stationary_oscillation() ** 2,
        MEAN(X**2 * Y**2): MIXED,
        MEAN(X * Y * SUM): MEMORY + MEAN(X**2 * CHANGE),
    }
    # Each triple closes once the means before it are known.
    for observables, unknown in (
        ((Y, CHANGE), (X**2, CHANGE)),
        ((X**2, X * SUM, SUM**2), (X**2 * Y, X * SUM, SUM**2)),
        ((Y**2, Y * CHANGE, CHANGE**2), (Y, Y * CHANGE, CHANGE**2)),
    ):
        means = [MEAN(monomial) for monomial in unknown]
        (values,) = sp.linsolve([step.stationarity(observable).subs(solved) for observable in observables], means)
        solved |= dict(zip(means, values, strict=True))
    return sp.cancel(-solved[MEAN(Y)])


@cache
def drift_noise_gap() -> sp.Expr:
    """What noise in y itself, of variance η²σ_s² a step and independent of ξ, adds to the exact gap."""
    step = normal_form()
    push = ETA * DRIFT_NOISE * _ZETA
    stirred = {**step.update, Y: step.update[Y] + push, CHANGE: step.update[CHANGE] + push}
    return with_positive_factors(_exact_gap(StochasticMap(stirred, (*step.noise, _ZETA))) - exact_gap())


@cache
def leading_gap() -> sp.Expr:
    """The gap as η → 0 at fixed ησ_u²: minus the mean of y in the limiting law."""
    return with_positive_factors(-stationary_law().y_mean)


@cache
def limiting_memory() -> sp.Expr:
    """``MEMORY`` to leading order in η, from moments of the limiting law.

    p is of order √η, as the noise of a step, q of order η. Their means with x and y follow from stationary means of
    which the lowest orders are kept; that of xyp vanishes to order √η.
    """
    step = normal_form()
    size = {SUM: _ROOT, CHANGE: _ROOT**2}
    scaled = {symbol: size.get(symbol, 1) * symbol for symbol in step.state}
    in_limit = {NOISE: sp.sqrt(HEAT) / _ROOT, ETA: _ROOT**2, **scaled}
    limit = StochasticMap(
        {s: sp.expand(value.subs(in_limit, simultaneous=True) / size.get(s, 1)) for s, value in step.update.items()},
        step.noise,
    )
    kept = {X * Y * SUM: 1, SUM**2 * Y: 0, X**2 * CHANGE: 0}
    conditions = []
    for observable, order in kept.items():
        terms = sp.Poly(limit.stationarity(observable), _ROOT).terms()
        conditions.append(sp.Add(*(c * _ROOT**n for (n,), c in terms if n <= order)))
    (found,) = sp.linsolve(conditions, [MEAN(observable) for observable in kept])
    law = stationary_law()
    memory = _ROOT * found[0] - _ROOT**2 * found[2]
    means = {mean: law.mean(mean.args[0]) for mean in memory.atoms(MEAN)}
    return sp.factor(memory.subs(means).subs({HEAT: ETA * NOISE**2, _ROOT: sp.sqrt(ETA)}))


@cache
def corrected_gap() -> sp.Expr:
    """The gap with its next order in η: the exact one with the moments of the limiting law in it."""
    law = stationary_law()
    second = law.mean(X**2)
    moments = {
        MIXED: law.mean(X**2 * Y**2),
        SPREAD: law.mean(X**4) - second**2,
        MEMORY: limiting_memory(),
    }
    ratio = sp.apart(sp.cancel(exact_gap().subs(moments) / leading_gap()), NOISE)
    return leading_gap() * sp.Add(*map(with_positive_factors, sp.Add.make_args(ratio)))


@cache
def matrix_gap_relation() -> sp.Eq:
    """Several critical directions: ΓX + XΓ = ηC/(1 − μ) to leading order, with X = E xxᵀ and Y ≈ −Γ independent of x.

    x' = −(I + hY)x + hξ with E ξξᵀ = C has to leave X unchanged, h = η/(1 − μ) for the slow coordinate; what stays is
    of first order in η, where C counts as 1/η.
    """
    size = sp.Symbol("k", integer=True, positive=True)
    gap, noise, covariance = (SymmetricSymbol(name, size, size) for name in ("Gamma", "C", "X"))
    step = ETA * (1 + sp.diff(slow_coordinates()[X], SUM))
    kept = identity(size) - letter(gap) * step
    lost = letter(covariance) - kept @ letter(covariance) @ kept.T
    quadratic = letter(gap) @ letter(covariance) @ letter(gap) * step
    return equation((lost * (1 / step) + quadratic).expression(), with_positive_factors(step) * noise)
