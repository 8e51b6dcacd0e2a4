"""Closed inverses of functions of one variable, each tried at points before it is believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy as sp

DIGITS = 30
AGREE = 1e-18  # relative error of an inverse at the points, evaluated with 30 digits


def closed_inverse(
    expression: sp.Expr, variable: sp.Symbol, value: sp.Symbol, points: Sequence[sp.Expr]
) -> sp.Expr | None:
    """x(value) with expression(x) = value on the branch through ``points``, or None where none was found.

    Undoes one function after another where the variable occurs once, and else solves an equation of first or second
    degree in the variable or in its exponential. Roots are taken as if every base were positive; the points, which
    must lie on one monotone branch, decide whether that was right.
    """
    for candidate in _candidates(sp.powsimp(expression), variable, value):
        if all(_agrees(candidate, expression, variable, value, point) for point in points):
            return candidate
    return None


def _candidates(expression: sp.Expr, variable: sp.Symbol, value: sp.Symbol) -> Iterator[sp.Expr]:
    unwound = _unwind(expression, variable, value)
    if unwound is not None:
        yield unwound
    chart = sp.Dummy("z", positive=True)
    for substituted, back in ((expression.subs(variable, chart), chart), _in_exponentials(expression, variable, chart)):
        for root in _roots(substituted, chart, value):
            yield root if back == chart else sp.log(root) * back


def _unwind(expression: sp.Expr, variable: sp.Symbol, value: sp.Expr) -> sp.Expr | None:
    """The inverse where the variable occurs once."""
    while expression != variable:
        if isinstance(expression, sp.Add | sp.Mul):
            rest, inner = expression.as_independent(variable)
            if inner.func == expression.func:
                return None
            value = value - rest if isinstance(expression, sp.Add) else value / rest
        elif isinstance(expression, sp.exp):
            inner, value = expression.args[0], sp.log(value)
        elif isinstance(expression, sp.Pow) and not expression.exp.has(variable):
            inner, value = expression.base, sp.powdenest(value ** (1 / expression.exp))
        elif len(expression.args) == 1 and hasattr(expression, "inverse"):
            inner, value = expression.args[0], expression.inverse()(value)
        else:
            return None
        expression = inner
    return value


def _in_exponentials(expression: sp.Expr, variable: sp.Symbol, chart: sp.Symbol) -> tuple[sp.Expr, sp.Expr]:
    """The expression in z = exp(x/c), and c, so that x = c log z."""
    written = expression.rewrite(sp.exp)
    rates = [power.args[0] / variable for power in written.atoms(sp.exp)]
    if not rates or any(rate.has(variable) or not rate.is_number for rate in rates):
        return sp.nan, sp.Integer(1)
    unit = min((sp.Abs(rate) for rate in rates), key=float)
    return written.subs({sp.exp(rate * variable): chart ** (rate / unit) for rate in rates}), 1 / unit


def _roots(expression: sp.Expr, chart: sp.Symbol, value: sp.Symbol) -> list[sp.Expr]:
    """Solutions of an equation that is rational in z and at most quadratic."""
    if not expression.has(chart) or not expression.is_rational_function(chart):
        return []
    numerator = sp.Poly(sp.numer(sp.together(expression - value)), chart)
    if not 1 <= numerator.degree() <= 2:
        return []
    return [sp.simplify(root) for root in sp.roots(numerator, chart, multiple=True)]


def _agrees(candidate: sp.Expr, expression: sp.Expr, variable: sp.Symbol, value: sp.Symbol, point: sp.Expr) -> bool:
    image = expression.subs(variable, point).evalf(DIGITS)
    back = candidate.subs(value, image).evalf(DIGITS)
    if not (image.is_Float and back.is_number and back.is_finite):
        return False
    return bool(sp.Abs(back - point) <= AGREE * sp.Abs(point))
