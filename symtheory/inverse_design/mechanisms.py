"""What each mechanism asks of φ so that its bias is the target."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.inverse_design.profile import Profile, invert, profile_by_speed
from symtheory.inverse_design.target import PROBES, SIZE, Target


def mirror_speed(target: Target) -> sp.Expr:
    """(dθ/dw)² = Q''(w) for w > 0: JJᵀ of the parametrization is the inverse Hessian of the potential."""
    squared = sp.diff(target.positive, SIZE, 2)
    if sp.simplify(squared) == 0:
        raise DerivationError(
            f"Q = {target.expression} has Q'' = 0: mirror flow needs a strictly convex potential; |w| is the limit of "
            "small starts of a difference of squares, which the target abs(w)*log(abs(w)) gives"
        )
    return squared


def label_noise_speed(target: Target) -> sp.Expr:
    """(dθ/dw)² = 1/R(w) for w > 0: label noise minimises the sum of φ'² over the coordinates."""
    return 1 / target.positive


SPEEDS: dict[str, Callable[[Target], sp.Expr]] = {"mirror": mirror_speed, "label_noise": label_noise_speed}
"""Mechanism name → (dθ/dw)², where that is what the target gives."""


def weight_decay_profile(target: Target) -> Profile:
    """θ² = R(w) − R(0): decay adds λ/2 Σ θ² to the loss, whatever constant R has.

    Where R'(0+) = 0, one odd copy passes w = 0 in finite time and covers both signs; a second copy would have to rest
    at a point where φ'' is infinite, about which gradient descent swings. Elsewhere one copy would stop at zero.
    """
    lowest = sp.limit(target.positive, SIZE, 0, "+")
    if not lowest.is_finite:
        raise DerivationError(
            f"R = {target.expression} tends to {lowest} at w = 0, and ‖θ‖² on a fibre is never negative: "
            "weight decay cannot give it"
        )
    squared = sp.simplify(target.positive - lowest)
    values = [squared.subs(SIZE, probe).evalf() for probe in (sp.Rational(1, 64), *PROBES)]
    if not all(low < high for low, high in zip([0, *values], values, strict=False)):
        raise DerivationError(f"R = {target.expression} does not grow with w > 0: θ² = R(w) − R(0) has no inverse")
    is_flat = sp.limit(squared / SIZE, SIZE, 0, "+") == 0
    return invert(sp.powdenest(sp.sqrt(squared)), target, is_odd=is_flat)


def closed_profile(target: Target, mechanism: str) -> Profile:
    """φ for one coordinate in closed form."""
    if mechanism == "weight_decay":
        return weight_decay_profile(target)
    return profile_by_speed(SPEEDS[mechanism](target), target)
