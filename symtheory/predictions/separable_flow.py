"""The flow of ∇φ for a sum of functions of one parameter each: every parameter moves by itself.

Gradient flow of any loss of w = Σ_j ψ_j(x_j) follows the curve dx_j/dτ = ψ_j'(x_j) through the start, whatever else is
conserved; each is solved by one quadrature, τ = ∫ dx/ψ_j', and its inversion.
"""

from __future__ import annotations

import sympy as sp
from sympy.integrals.manualintegrate import manualintegrate

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.inversion import closed_inverse
from symtheory.predictions.leaf import LeafFlow, natural_start
from symtheory.predictions.separable_minimum import separable_parts
from symtheory.predictions.symbols import ALPHA, MIRROR

POINTS = tuple(sp.Rational(numerator, 16) for numerator in (5, 11, 19))


def separable_flow(model: ElementwiseModel) -> LeafFlow:
    """Closed form of the flow from the natural start of scale α.

    Raises ``DerivationError`` where the parameters mix in φ, or one of the quadratures has no closed form or inverse.
    """
    start = natural_start(model)
    parts = separable_parts(model.predictor, model.coordinates)
    point, ends = {}, []
    for symbol, part in parts.items():
        position, interval = _motion(sp.diff(part, symbol), symbol, start[symbol])
        point[symbol] = position
        ends.append(interval)
    slope = sp.Add(*(sp.diff(part, symbol) ** 2 for symbol, part in parts.items()))
    return LeafFlow(
        start,
        point,
        _in_time(sp.Add(*parts.values()), point),
        _in_time(slope, point),
        sp.Interval.open(sp.Max(*(low for low, _ in ends)), sp.Min(*(high for _, high in ends))),
    )


def _motion(speed: sp.Expr, symbol: sp.Symbol, origin: sp.Expr) -> tuple[sp.Expr, tuple[sp.Expr, sp.Expr]]:
    """x(τ) with x(0) = origin, and the open interval of τ.

    One that started at α > 0 keeps its sign where ψ' vanishes or is infinite at x = 0. If it comes there after a finite
    time it rests where ψ' = 0, and the flow ends where ψ' is infinite.
    """
    is_positive = origin != 0
    variable = sp.Dummy(str(symbol), **({"positive": True} if is_positive else {"real": True}))
    on_branch = sp.simplify(speed.subs(symbol, variable))
    time = _primitive(1 / on_branch, variable)
    if time is None:
        raise DerivationError(f"the time ∫ d{symbol}/({speed}) of the flow has no closed form")
    value = sp.Dummy("T", real=True)
    position = closed_inverse(time, variable, value, POINTS)
    if position is None:
        raise DerivationError(f"the time {time.subs(variable, symbol)} of the flow has no closed inverse")
    at_start = time.subs(variable, origin)
    at_end = sp.limit(on_branch, variable, 0, "+") if is_positive else sp.Integer(1)
    has_end = at_end.is_zero or at_end.is_infinite
    low, high = [sp.limit(time, variable, *end) for end in ((0 if has_end else -sp.oo, "+"), (sp.oo, "-"))]
    is_rising = bool(on_branch.subs(variable, 1).is_positive)
    moment = MIRROR + at_start
    if at_end.is_zero and low.is_finite:
        moment, low = (sp.Max if is_rising else sp.Min)(moment, low), (-sp.oo if is_rising else sp.oo)
    interval = (low - at_start, high - at_start)
    return position.subs(value, moment), interval if is_rising else interval[::-1]


def _primitive(integrand: sp.Expr, variable: sp.Symbol) -> sp.Expr | None:
    for written in (sp.simplify(integrand), sp.expand(sp.simplify(integrand.rewrite(sp.exp)))):
        found = manualintegrate(written, variable)
        if not found.has(sp.Integral):
            return found
    return None


def _in_time(expression: sp.Expr, point: dict[sp.Symbol, sp.Expr]) -> sp.Expr:
    """Along the flow, where the parameters keep the sign of their starts."""
    positive = {symbol: sp.Dummy(str(symbol), positive=True) for symbol in point if point[symbol].has(ALPHA)}
    on_branch = expression.subs(positive)
    values = {positive.get(symbol, symbol): position for symbol, position in point.items()}
    return sp.powdenest(on_branch.subs(values, simultaneous=True), force=True)
