"""One autonomous equation ds/dτ = f(s), solved in closed form by a quadrature and its inversion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp
from sympy.integrals.rationaltools import ratint
from sympy.simplify.fu import TR8, hyper_as_trig

from symtheory.predictions.symbols import ALPHA, MIRROR

LEAF = sp.Symbol("s", real=True)
"""The running coordinate."""

_CHART = sp.Symbol("t", real=True)
"""t = s/√(b + s²), which makes an integrand with this one square root rational."""


@dataclass(frozen=True)
class Motion:
    """position: s(τ); radicals: √(b + s²) → its value along s(τ), where that is simpler than by insertion;
    interval: the values that τ takes.
    """

    position: sp.Expr
    radicals: dict[sp.Expr, sp.Expr]
    interval: sp.Interval

    def at(self, expression: sp.Expr, roots: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
        """An expression in s, and in symbols that stand for ``roots`` √(b + s²), as a function of τ."""
        values = {symbol: self.radicals.get(root, root.subs(LEAF, self.position)) for symbol, root in roots.items()}
        return _shorten(expression.subs(values).subs(LEAF, self.position))


def integrate_motion(speed: sp.Expr, origin: sp.Expr) -> Motion | None:
    """s(τ) with ds/dτ = speed and s(0) = origin; None when no closed form was found."""
    roots = {power for power in speed.atoms(sp.Pow) if power.has(LEAF) and not power.exp.is_Integer}
    bases = {root.base for root in roots}
    if any(root.exp.q != 2 for root in roots) or speed.atoms(sp.Function) or len(bases) > 1:
        return None
    if not bases:
        return _rational(speed, origin)
    return _one_radical(speed, bases.pop()) if origin == 0 else None


def _rational(speed: sp.Expr, origin: sp.Expr) -> Motion | None:
    ends = _component(speed, origin)
    if ends is None:
        return None
    primitive = ratint(1 / speed, LEAF)
    time = primitive - primitive.subs(LEAF, origin)
    position = peel(time, LEAF, MIRROR)
    if position is None:
        return None
    limits = [sp.limit(time, LEAF, end, side) for end, side in zip(ends, "+-", strict=True)]
    return Motion(position, _secants(position), _interval(limits))


def _one_radical(speed: sp.Expr, base: sp.Expr) -> Motion | None:
    """base = b + s², b > 0, started at s = 0."""
    constant = base.subs(LEAF, 0)
    if not constant.is_positive or not speed.is_nonzero:
        return None
    root = sp.sqrt(base)
    rate = sp.cancel(speed / root)
    if not rate.has(LEAF):
        argument = rate * MIRROR
        scale = sp.sqrt(constant)
        return Motion(scale * sp.sinh(argument), {root: scale * sp.cosh(argument)}, sp.S.Reals)
    integrand = sp.cancel((base / (constant * speed) * root).subs(LEAF**2, constant * _CHART**2 / (1 - _CHART**2)))
    if integrand.has(LEAF):
        return None
    primitive = ratint(integrand, _CHART)
    time = primitive - primitive.subs(_CHART, 0)
    chart = peel(time, _CHART, MIRROR)
    if chart is None:
        return None
    scale = sp.sqrt(constant / (1 - chart**2))
    return Motion(chart * scale, {root: scale}, _interval([sp.limit(time, _CHART, end) for end in (-1, 1)]))


def _component(speed: sp.Expr, origin: sp.Expr) -> tuple[sp.Expr, sp.Expr] | None:
    """The open interval around the origin where the speed has no zero; None when it cannot be told."""
    if speed.is_nonzero:
        return -sp.oo, sp.oo
    if ALPHA in speed.free_symbols | origin.free_symbols or not speed.is_polynomial(LEAF):
        return None
    roots = sp.real_roots(sp.Poly(speed, LEAF))
    below = max((root for root in roots if root < origin), default=-sp.oo)
    return below, min((root for root in roots if root > origin), default=sp.oo)


def _secants(position: sp.Expr) -> dict[sp.Expr, sp.Expr]:
    """√(b + s²) = √b/cos where s = √b tan on the branch through 0."""
    tangents = list(position.atoms(sp.tan))
    if len(tangents) != 1:
        return {}
    scale = sp.cancel(position / tangents[0])
    return {sp.sqrt(scale**2 + LEAF**2): scale / sp.cos(tangents[0].args[0])}


def _interval(ends: list[sp.Expr]) -> sp.Interval:
    return sp.Interval.open(*sorted(ends, key=lambda end: float(end.subs(ALPHA, 1))))


def _shorten(expression: sp.Expr) -> sp.Expr:
    """Products of hyperbolic functions as functions of sums, so that the variable occurs once where it can."""
    if not expression.has(sp.sinh, sp.cosh):
        return expression
    circular, back = hyper_as_trig(expression)
    return sp.expand(back(TR8(circular)))


def peel(expression: sp.Expr, variable: sp.Symbol, value: sp.Expr) -> sp.Expr | None:
    """Solve ``expression = value`` for a variable that occurs once, by undoing one function after another.

    None when it occurs more than once or below a function without an inverse. ``sp.solve`` would do, slowly.
    """
    while expression != variable:
        inner, outer = expression.as_independent(variable)[::-1] if expression.func in (sp.Add, sp.Mul) else (None, 0)
        if isinstance(expression, sp.Add):
            value = value - outer
        elif isinstance(expression, sp.Mul):
            value = value / outer
        elif hasattr(expression, "inverse") and len(expression.args) == 1:
            inner, value = expression.args[0], expression.inverse()(value)
        else:
            return None
        if inner is None or inner == expression:
            return None
        expression = inner
    return value
