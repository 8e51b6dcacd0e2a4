"""The function φ of one parameter that a target asks for, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sympy as sp
from sympy.integrals.manualintegrate import manualintegrate

from symtheory.errors import DerivationError
from symtheory.inverse_design.no_closed_form import NoClosedForm
from symtheory.inverse_design.target import PROBES, SIZE, Target
from symtheory.predictions.inversion import closed_inverse

THETA = sp.Symbol("theta", real=True)
"""The parameter of φ."""

RADIUS = sp.Dummy("theta", positive=True)
"""θ > 0, on which φ is inverted first."""

Signs = Literal["odd", "difference", "positive"]
"""How w gets its sign: φ is odd; w is a difference of two copies of φ ≥ 0; w > 0 only."""


@dataclass(frozen=True)
class Profile:
    """function: φ in ``THETA``; signs: see ``Signs``."""

    function: sp.Expr
    signs: Signs

    @property
    def domain(self) -> str:
        """The values that w takes, in words."""
        return "w > 0" if self.signs == "positive" else "every real w"


def profile_by_speed(squared: sp.Expr, target: Target) -> Profile:
    """φ from (dθ/dw)² for w > 0.

    Raises ``DerivationError`` where this is not positive, and where the quadrature or its inverse is not closed.
    """
    require_positive(squared, target)
    speed = sp.powdenest(sp.sqrt(sp.simplify(squared)))
    primitive = _primitive(speed, SIZE, target)
    at_zero = sp.limit(primitive, SIZE, 0, "+")
    if at_zero.is_finite:
        return invert(sp.simplify(primitive - at_zero), target)
    function = closed_inverse(primitive, SIZE, THETA, PROBES)
    if function is None:
        raise _no_inverse(primitive, target)
    return Profile(function, "positive")


def invert(radius: sp.Expr, target: Target, is_odd: bool | None = None) -> Profile:
    """φ as the inverse of θ(w), w > 0, with θ(0) = 0, continued to θ < 0 as the target wants it.

    is_odd: whether one odd copy serves both signs of an even target; by default where it moves at θ = 0.
    """
    on_branch = closed_inverse(radius, SIZE, RADIUS, PROBES)
    if on_branch is None:
        raise _no_inverse(radius, target)
    on_branch = sp.simplify(on_branch)
    if not target.is_even:
        return Profile(_even(on_branch), "positive")
    if is_odd is None:
        slope = sp.limit(radius / SIZE, SIZE, 0, "+")
        is_odd = bool(slope.is_finite and slope.is_positive)
    if is_odd:
        return Profile(_odd(on_branch), "odd")
    return Profile(_even(on_branch), "difference")


def _odd(on_branch: sp.Expr) -> sp.Expr:
    """The odd continuation, without a kink at θ = 0 where one can be avoided."""
    function = on_branch.subs(RADIUS, THETA)
    if sp.simplify(function + function.subs(THETA, -THETA)) == 0:
        return function
    root, power = on_branch.as_base_exp()
    # √g(θ) with g ~ θ² is θ √(g/θ²), which is smooth where the first form has a kink.
    ratio = (root / RADIUS ** (1 / power)) ** power if power.is_number and power.is_positive else on_branch / RADIUS
    return THETA * _even(ratio)


def _even(on_branch: sp.Expr) -> sp.Expr:
    function = on_branch.subs(RADIUS, THETA)
    if sp.simplify(function - function.subs(THETA, -THETA)) == 0:
        return function
    return on_branch.subs(RADIUS, sp.Abs(THETA))


def require_positive(squared: sp.Expr, target: Target) -> None:
    """``DerivationError`` with a point where (dθ/dw)² is not a positive number."""
    for probe in PROBES:
        value = squared.subs(SIZE, probe).evalf()
        if not (value.is_number and value.is_finite and value > 0):
            raise DerivationError(
                f"the target {target.expression} asks for (dθ/dw)² = {sp.simplify(squared)}, which is not positive "
                f"and finite at w = {probe}"
            )


def _primitive(speed: sp.Expr, variable: sp.Symbol, target: Target) -> sp.Expr:
    for integrate in (manualintegrate, sp.integrate):
        found = integrate(speed, variable)
        if not found.has(sp.Integral, sp.Piecewise):
            return found
    raise NoClosedForm(
        f"the target {target.expression} asks for θ = ∫ {speed} dw, which has no elementary closed form: "
        "numeric=True gives a monotone spline"
    )


def _no_inverse(radius: sp.Expr, target: Target) -> NoClosedForm:
    return NoClosedForm(
        f"the target {target.expression} asks for θ(w) = {radius}, which has no closed inverse: "
        "numeric=True gives a monotone spline"
    )
