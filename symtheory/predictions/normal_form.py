"""What gradient descent at the edge of stability does to two numbers: the position x along the top eigenvector of the
Hessian, and the distance y of its eigenvalue S from where the oscillation along it starts to grow.

x = u·(θ − θ*), y = S − 2(1 + μ)/η with heavy-ball momentum μ; p = x + x₋ and q = y − y₋ with the values of a step
before. α = −∇L·∇S is the rate at which training sharpens, β = ‖∇S⊥‖² the square of the part of ∇S that is orthogonal to
u. Without momentum and noise the law was found by Damian, Nichani and Lee (2209.15594); the derivation here is our own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.predictions.stationary_second_moments import MOMENTUM, largest_curvature
from symtheory.predictions.stochastic_map import StochasticMap
from symtheory.predictions.symbols import ETA

X, Y = sp.Symbol("x", real=True), sp.Symbol("y", real=True)
SUM, CHANGE = sp.Symbol("p", real=True), sp.Symbol("q", real=True)
"""x plus what it was a step before, and y less what it was."""

XI = sp.Symbol("xi", real=True)
"""Standard normal noise."""

SHARPENING = sp.Symbol("alpha", positive=True)
STABILIZATION = sp.Symbol("beta", positive=True)
NOISE = sp.Symbol("sigma_u", positive=True)
"""Standard deviation of the batch gradient along u."""

_ORDER = sp.Symbol("epsilon", positive=True)
_ALONG = sp.Symbol("s", real=True)
SPEED = sp.Symbol("v", real=True)
"""x less what it was a step before."""


@cache
def critical_sharpness() -> sp.Expr:
    """The curvature from which the oscillation grows: 2/η without momentum."""
    return largest_curvature() / ETA


def taylor_loss(degree: int = 4) -> sp.Expr:
    """L around a point of the edge, in x and the coordinate s along ∇S⊥, as a polynomial with free coefficients.

    Fixed are what the names say: no slope along u, u an eigenvector of critical eigenvalue, ∂S/∂s = √β, ∂L/∂s = −α/√β.
    """
    fixed = {
        (1, 0): sp.Integer(0),
        (1, 1): sp.Integer(0),
        (2, 0): critical_sharpness(),
        (2, 1): sp.sqrt(STABILIZATION),
        (0, 1): -SHARPENING / sp.sqrt(STABILIZATION),
        (0, 0): sp.Integer(0),
    }
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    return sp.Add(
        *(
            fixed.get((i, j), sp.Symbol(f"L_{i}{j}", real=True)) * X**i * _ALONG**j / sp.factorial(i) / sp.factorial(j)
            for i, j in powers
        )
    )


@cache
def normal_form() -> StochasticMap:
    """p' = −μp − ηxy + ησξ, x' = p' − x, q' = μq + η(α − βx²/2), y' = y + q': the step of SGD with heavy-ball momentum
    on ``taylor_loss``, to leading order; without momentum x' = −(1 + ηy)x + ησξ.

    Orders are counted in ε: x and y are of order ε, α, ησ and the curvature along s of order ε², the third derivative
    along s of order ε. A step keeps the leading change of each, ε² in all. What then is left of L's other coefficients
    changes sign with x or does not where the step does the opposite, so that two steps cancel it: it goes away in
    coordinates that differ by terms of second order.
    """
    loss = taylor_loss()
    straight = {sp.Symbol("L_02", real=True): 2, sp.Symbol("L_03", real=True): 1}
    scaled = {
        X: _ORDER * X,
        _ALONG: _ORDER * Y / sp.sqrt(STABILIZATION),
        SHARPENING: _ORDER**2 * SHARPENING,
        **{coefficient: _ORDER**order * coefficient for coefficient, order in straight.items()},
    }
    slope = {symbol: sp.diff(loss, symbol).subs(scaled, simultaneous=True) for symbol in (X, _ALONG)}
    pull = {
        SPEED: -ETA * slope[X] + _ORDER**2 * ETA * NOISE * XI,
        CHANGE: -ETA * sp.sqrt(STABILIZATION) * slope[_ALONG],
    }
    speeds = {v: MOMENTUM * v + sp.expand(truncated(force, 2) / _ORDER) for v, force in pull.items()}
    update = without_cancelling_terms({X: X + speeds[SPEED], Y: Y + speeds[CHANGE], **speeds})
    # In the sum of two positions the oscillation has gone: of the linear part −μp is left.
    step = {symbol: value.subs({SPEED: 2 * X - SUM, _ORDER: 1}) for symbol, value in update.items()}
    return StochasticMap(
        {
            X: sp.collect(sp.expand(step[X]), X),
            Y: _with_factored_rest(step[Y], Y + MOMENTUM * CHANGE),
            SUM: sp.collect(sp.expand(2 * step[X] - step[SPEED]), X),
            CHANGE: _with_factored_rest(step[CHANGE], MOMENTUM * CHANGE),
        },
        (XI,),
    )


def _with_factored_rest(expression: sp.Expr, kept: sp.Expr) -> sp.Expr:
    return kept + sp.factor(sp.expand(expression - kept))


def truncated(expression: sp.Expr, order: int) -> sp.Expr:
    """A polynomial in ε without the powers above the order."""
    return sp.Add(*(c * _ORDER**n for (n,), c in sp.Poly(sp.expand(expression), _ORDER).terms() if n <= order))


def without_cancelling_terms(update: Mapping[sp.Symbol, sp.Expr]) -> dict[sp.Symbol, sp.Expr]:
    """A step with the linear part of heavy-ball descent and ε(quadratic) in coordinates in which the quadratic terms
    that cancel have gone: even ones in x and its speed where x is changed, odd ones where y is.

    Every coordinate is shifted by ε times a quadratic form of these terms; that its coefficients can be chosen so is
    what is found out here. The other terms stay as they are: shifts of one kind change terms of this kind alone.
    """
    waving, steady = (X, SPEED), (Y, CHANGE)
    even, odd = [*_products(waving, waving), *_products(steady, steady)], _products(waving, steady)
    linear = {symbol: value.subs(_ORDER, 0) for symbol, value in update.items()}
    found = {}
    for pair, cancelling in ((waving, even), (steady, odd)):
        shift = {symbol: _quadratic_form(f"kappa_{symbol}", cancelling) for symbol in pair}
        equations = []
        for symbol in pair:
            back = sp.Add(*(sp.diff(linear[symbol], other) * shift[other] for other in pair))
            shifted = shift[symbol].subs(linear, simultaneous=True) - back
            second = sp.Poly(update[symbol].coeff(_ORDER, 1), *update)
            moved = second + sp.Poly(sp.expand(shifted), *update)
            equations += [moved.coeff_monomial(m) for m in cancelling]
            kept = second - sp.Poly(sp.Add(*(second.coeff_monomial(m) * m for m in cancelling)), *update)
            found[symbol] = linear[symbol] + _ORDER * kept.as_expr()
        unknown = [k for form in shift.values() for k in form.free_symbols - set(update)]
        if not sp.linsolve(equations, unknown):
            raise DerivationError("quadratic terms of the step resonate with its linear part and do not cancel")
    return {symbol: found[symbol] for symbol in update}


def _quadratic_form(name: str, monomials: Iterable[sp.Expr]) -> sp.Expr:
    return sp.Add(*(sp.Symbol(f"{name}_{k}", real=True) * m for k, m in enumerate(monomials)))


def _products(left: Iterable[sp.Symbol], right: Iterable[sp.Symbol]) -> list[sp.Expr]:
    return list(dict.fromkeys(a * b for a in left for b in right))
