"""Second moments that the linear step of SGD leaves unchanged: δ' = δ − ηm', m' = μm + Hδ + ξ with E ξξᵀ = C."""

from __future__ import annotations

from functools import cache

import sympy as sp

from symtheory.matrix_calculus.polynomial import identity, letter
from symtheory.matrix_calculus.symbols import SymmetricSymbol
from symtheory.predictions.equation import equation
from symtheory.predictions.symbols import ETA

MOMENTUM = sp.Symbol("mu", nonnegative=True)
"""μ of the heavy ball, in [0, 1)."""

CURVATURE, OTHER = sp.symbols("h k", positive=True)
"""Two eigenvalues of the Hessian, weight decay included."""

SIZE = sp.Symbol("D", integer=True, positive=True)
HESSIAN, NOISE, COVARIANCE = (SymmetricSymbol(name, SIZE, SIZE) for name in ("H", "C", "Sigma"))


@cache
def matrix_relation() -> sp.Eq:
    """HΣ + ΣH − ηHΣH = ηC, for matrices that need not commute.

    Σ = E δδᵀ has to be that of (1 − ηH)δ − ηξ as well, with ξ independent of δ and of mean zero. Both sides are
    expanded in noncommuting symbols and divided by η.
    """
    hessian, noise, covariance = map(letter, (HESSIAN, NOISE, COVARIANCE))
    kept = identity(SIZE) - hessian * ETA
    lost = (covariance - kept @ covariance @ kept.T) * (1 / ETA)
    return equation(lost.replaced({}).expression(), (noise * ETA).expression())


@cache
def moment_factor() -> sp.Expr:
    """Σ_ij/C_ij in the eigenbasis of H, in the curvatures h, k of the two directions, η and μ.

    There the four moments E δδ, E δm, E mδ, E mm of a pair of directions close among themselves. For μ = 0 it is
    η/(h + k − ηhk).
    """
    moments = sp.symbols("p q r s")
    position, position_speed, speed_position, speed = moments
    # m' = μm + hδ + ξ in one direction, with k in the other; δ' = δ − ηm'.
    after_speed = (
        MOMENTUM**2 * speed
        + MOMENTUM * (OTHER * speed_position + CURVATURE * position_speed)
        + CURVATURE * OTHER * position
        + 1
    )
    after_mixed = MOMENTUM * position_speed + OTHER * position - ETA * after_speed
    after_mixed_back = MOMENTUM * speed_position + CURVATURE * position - ETA * after_speed
    after_position = (
        position
        - ETA * (MOMENTUM * position_speed + OTHER * position)
        - ETA * (MOMENTUM * speed_position + CURVATURE * position)
        + ETA**2 * after_speed
    )
    conditions = [
        after_position - position,
        after_mixed - position_speed,
        after_mixed_back - speed_position,
        after_speed - speed,
    ]
    ((solution, *_),) = sp.linsolve(conditions, moments)
    return with_positive_factors(solution)


def with_positive_factors(expression: sp.Expr) -> sp.Expr:
    """The factored form in which every factor is positive for small η and μ: 1 − μ rather than μ − 1."""
    near = {MOMENTUM: 0, ETA: sp.Rational(1, 100), CURVATURE: 1, OTHER: 1}
    factors, sign = [], 1
    for factor in sp.Mul.make_args(sp.factor(expression)):
        base, exponent = factor.as_base_exp()
        if base.subs(near).is_negative and exponent.is_Integer:
            base, sign = sp.expand(-base), sign * (-1) ** exponent
        factors.append(base**exponent)
    return sp.Mul(sign, *factors)


@cache
def continuous_factor() -> sp.Expr:
    """The factor of the diffusion in continuous time: the leading term of ``moment_factor`` in η."""
    return with_positive_factors(ETA * sp.cancel(moment_factor() / ETA).subs(ETA, 0))


@cache
def largest_curvature() -> sp.Expr:
    """ηh at which the factor of a single direction diverges: stationarity needs less."""
    product = sp.Symbol("x", positive=True)
    inverse = sp.cancel(1 / moment_factor().subs(OTHER, CURVATURE)).subs(CURVATURE, product / ETA)
    (bound,) = sp.solve(sp.numer(sp.together(inverse)), product)
    return sp.factor(bound)
