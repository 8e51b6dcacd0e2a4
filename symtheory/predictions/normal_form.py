"""What gradient descent at the edge of stability does to two numbers: the position x along the top eigenvector of the
Hessian, and the distance y of its eigenvalue S from where the oscillation along it starts to grow.

x = u·(θ − θ*), y = S − 2/η; α = −∇L·∇S is the rate at which training sharpens, β = ‖∇S⊥‖² the square of the part of ∇S
that is orthogonal to u. The law was found by Damian, Nichani and Lee (2209.15594); the derivation here is our own.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

from symtheory.predictions.stochastic_map import StochasticMap
from symtheory.predictions.symbols import ETA

X, Y = sp.Symbol("x", real=True), sp.Symbol("y", real=True)
XI = sp.Symbol("xi", real=True)
"""Standard normal noise."""

SHARPENING = sp.Symbol("alpha", positive=True)
STABILIZATION = sp.Symbol("beta", positive=True)
NOISE = sp.Symbol("sigma_u", positive=True)
"""Standard deviation of the batch gradient along u."""

_ORDER = sp.Symbol("epsilon", positive=True)
_ALONG = sp.Symbol("s", real=True)


def taylor_loss(degree: int = 4) -> sp.Expr:
    """L around a point of the edge, in x and the coordinate s along ∇S⊥, as a polynomial with free coefficients.

    Fixed are what the names say: no slope along u, u an eigenvector with eigenvalue 2/η, ∂S/∂s = √β, ∂L/∂s = −α/√β.
    """
    fixed = {
        (1, 0): sp.Integer(0),
        (1, 1): sp.Integer(0),
        (2, 0): 2 / ETA,
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
    """x' = −(1 + ηy)x + ησξ, y' = y + η(α − βx²/2): the step of SGD on ``taylor_loss``, to leading order.

    Orders are counted in ε: x and y are of order ε, α, ησ and the curvature along s of order ε², the third derivative
    along s of order ε. A step keeps the leading change of each, ε² in both. What then is left of L's other
    coefficients changes sign with x or does not where the step does the opposite, so that two steps cancel it: it goes
    away in coordinates x + O(x² + y²), y + O(xy).
    """
    loss = taylor_loss()
    straight = {sp.Symbol("L_02", real=True): 2, sp.Symbol("L_03", real=True): 1}
    scaled = {
        X: _ORDER * X,
        _ALONG: _ORDER * Y / sp.sqrt(STABILIZATION),
        SHARPENING: _ORDER**2 * SHARPENING,
        **{coefficient: _ORDER**order * coefficient for coefficient, order in straight.items()},
    }
    step_x = (X - ETA * sp.diff(loss, X)).subs(scaled, simultaneous=True) + _ORDER**2 * ETA * NOISE * XI
    step_s = (_ALONG - ETA * sp.diff(loss, _ALONG)).subs(scaled, simultaneous=True)
    update = {X: truncated(step_x, 2), Y: truncated(sp.sqrt(STABILIZATION) * step_s, 2)}
    update = {symbol: sp.expand(value / _ORDER) for symbol, value in update.items()}
    averaged = {symbol: value.subs(_ORDER, 1) for symbol, value in without_cancelling_terms(update).items()}
    return StochasticMap({X: sp.collect(averaged[X], X), Y: Y + sp.factor(averaged[Y] - Y)}, (XI,))


def truncated(expression: sp.Expr, order: int) -> sp.Expr:
    """A polynomial in ε without the powers above the order."""
    return sp.Add(*(c * _ORDER**n for (n,), c in sp.Poly(sp.expand(expression), _ORDER).terms() if n <= order))


def without_cancelling_terms(update: dict[sp.Symbol, sp.Expr]) -> dict[sp.Symbol, sp.Expr]:
    """The step (x, y) ↦ (−x, y) + ε(quadratic) in coordinates in which the quadratic terms that cancel have gone.

    x̃ = x + ε(κ₁x² + κ₂y²), ỹ = y + εκ₃xy, the κ solved for so that these terms vanish, to first order in ε.
    """
    kappa = sp.symbols("kappa_1:4", real=True)
    shift = {X: kappa[0] * X**2 + kappa[1] * Y**2, Y: kappa[2] * X * Y}
    to_old = {symbol: symbol - _ORDER * shift[symbol] for symbol in update}
    new = {}
    for symbol in update:
        after = update[symbol] + _ORDER * shift[symbol].subs(update, simultaneous=True)
        new[symbol] = truncated(after.subs(to_old, simultaneous=True), 1)
    cancelling = {X: (X**2, Y**2), Y: (X * Y,)}
    equations = [
        sp.Poly(new[symbol].coeff(_ORDER, 1), X, Y).coeff_monomial(monomial)
        for symbol, monomials in cancelling.items()
        for monomial in monomials
    ]
    (values,) = sp.solve(equations, kappa, dict=True)
    return {symbol: sp.expand(value.subs(values)) for symbol, value in new.items()}
