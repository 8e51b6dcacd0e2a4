"""The forward road for designs of single coordinates: derive the bias of what was declared and compare."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import sympy as sp

from symtheory.errors import DerivationError
from symtheory.inverse_design.agreement import CLOSE, DIGITS, agreement, grid
from symtheory.inverse_design.design_record import Design
from symtheory.inverse_design.profile import THETA, Profile
from symtheory.inverse_design.target import SIZE, Target
from symtheory.parametrization import Parametrization
from symtheory.predictions.formula import Formula
from symtheory.predictions.prediction import Prediction
from symtheory.predictions.symbols import ALPHA, MIRROR, PREDICTOR

START = sp.Rational(7, 10)
"""Scale of the start at which mirror potentials are compared."""

FRACTIONS = tuple(sp.Rational(numerator, 10) for numerator in (-9, -5, -2, 1, 4, 8))


def confirm_coordinates(design: Design, profile: Profile | None) -> str:
    """How the forward derivation gave the target back, in words. Raises ``DerivationError`` where it does not."""
    core = Parametrization(design.core, name="designed")
    if design.mechanism == "mirror":
        assert profile is not None  # products are not offered for mirror flow
        return _confirm_mirror(core, design.target, profile)
    prediction = core.predictions()[design.mechanism]
    derived = _expression(prediction, design.mechanism)
    wanted = wanted_penalty(design.target, design.mechanism)
    how = agreement(derived.subs(PREDICTOR, SIZE), wanted, _points(profile))
    if profile is None or profile.signs in ("odd", "difference"):
        agreement(derived.subs(PREDICTOR, -SIZE), wanted, _points(profile))
    return f"{prediction.title} of this declaration is the target, {how}"


def _expression(prediction: Prediction, name: str) -> sp.Expr:
    """A formula of one coordinate that a prediction carries."""
    formula = prediction.formulas[name]
    if not isinstance(formula, Formula) or not isinstance(formula.results, sp.Expr):
        raise DerivationError(f"{prediction.title} of this declaration is no function of one coordinate")
    return formula.results


def wanted_penalty(target: Target, mechanism: str) -> sp.Expr:
    """The target for w > 0, less its value at 0 for weight decay."""
    if mechanism != "weight_decay":
        return target.positive
    return target.positive - sp.limit(target.positive, SIZE, 0, "+")


def _points(profile: Profile | None) -> list[sp.Expr] | None:
    """Values that w takes; None where it takes all positive ones."""
    if profile is None or profile.signs in ("odd", "difference"):
        return None
    values = [sp.Abs(profile.function.subs(THETA, point)).evalf(DIGITS) for point in grid(-1.5, 0.5)]
    return [value for value in values if 1e-6 < value < 1e6]


def _confirm_mirror(core: Parametrization, target: Target, profile: Profile) -> str:
    """One copy: 1/JJᵀ on the fibre, which is a point, is Q''. Two: w(τ) is that of the infimal convolution."""
    curvature = sp.diff(target.positive, SIZE, 2)
    if profile.signs != "difference":
        kernel = _expression(core.predictions()["label_noise"], "label_noise")
        how = agreement(1 / kernel.subs(PREDICTOR, SIZE), curvature, _points(profile))
        return f"1/JJᵀ of this declaration as a function of w is Q'' of the target, {how}"
    prediction = core.predictions()["mirror"]
    derived = _expression(prediction, "mirror_inverse")
    start = profile.function.subs(THETA, START).evalf(DIGITS)
    slope = sp.lambdify(SIZE, sp.diff(target.positive, SIZE), "mpmath")
    count = 0
    with mpmath.workdps(DIGITS):
        for fraction in FRACTIONS:
            time = fraction * _reach(slope, start)
            predicted = mpmath.mpmathify(derived.subs({ALPHA: START, MIRROR: time}).evalf(DIGITS))
            wanted = _invert(slope, slope(start) + time, start) - _invert(slope, slope(start) - time, start)
            if abs(predicted - wanted) > CLOSE * abs(wanted):
                raise DerivationError(
                    f"the forward derivation gives w = {derived} after the time {MIRROR}, and two copies under the "
                    f"target {target.expression} have w = {mpmath.nstr(wanted, 6)}, not {mpmath.nstr(predicted, 6)}"
                )
            count += 1
    return f"{prediction.title} of this declaration is that of two copies under the target, at {count} points to 1e-10"


def _reach(slope: Callable[[object], mpmath.mpf], start: sp.Expr) -> mpmath.mpf:
    """A time in which neither copy comes to an end: what Q' changes over between a quarter and four times the start."""
    middle = slope(mpmath.mpmathify(start))
    low, high = slope(mpmath.mpmathify(start) / 4), slope(4 * mpmath.mpmathify(start))
    return min(middle - low, high - middle)


def _invert(slope: Callable[[object], mpmath.mpf], value: mpmath.mpf, start: sp.Expr) -> mpmath.mpf:
    """a between a quarter and four times the start with Q'(a) = value, by bisection: Q' increases."""
    low, high = mpmath.mpmathify(start) / 4, 4 * mpmath.mpmathify(start)
    for _ in range(4 * DIGITS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < value else (low, middle)
    return (low + high) / 2
