"""The leaf of fixed charges through a start with w = 0, and the flow of ∇φ along it.

Where charges leave one free coordinate per coordinate of w, gradient flow of any loss moves along the curve
dθ_i/dτ = ∂_i φ(θ) on the leaf; τ is the mirror variable, and w(τ) is found by one quadrature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.symbols import ALPHA, MIRROR

LEAF = sp.Symbol("s", real=True)


@dataclass(frozen=True)
class LeafFlow:
    """start: θ(0) on the leaf, with φ = 0, in α; point: θ(τ); predictor: w(τ); τ runs over ``interval``."""

    start: dict[sp.Symbol, sp.Expr]
    point: dict[sp.Symbol, sp.Expr]
    predictor: sp.Expr
    interval: sp.Interval


def leaf_flow(model: ElementwiseModel, charges: Sequence[sp.Expr]) -> LeafFlow:
    """Closed form of the flow of ∇φ from the natural start of scale α.

    Raises ``DerivationError`` when the charges leave more than one coordinate free, or the quadrature has no
    closed form that SymPy finds.
    """
    if len(charges) != model.dimension - 1:
        raise DerivationError(
            f"{len(charges)} charges for {model.dimension} parameters: the leaves of fixed charge are no curves"
        )
    start = natural_start(model)
    for coordinate in model.coordinates:
        curve = _curve(model, charges, start, coordinate)
        if curve is None:
            continue
        flow = _integrate(model, curve, start, coordinate)
        if flow is not None:
            return flow
    raise DerivationError(f"the flow of w = {model.predictor} on a leaf of fixed charges has no closed form")


def natural_start(model: ElementwiseModel) -> dict[sp.Symbol, sp.Expr]:
    """θ with entries α or 0, as many α as possible, where φ = 0 and ∇φ ≠ 0."""
    choices = sorted(product((1, 0), repeat=model.dimension), key=lambda choice: (-sum(choice), [-c for c in choice]))
    for choice in choices:
        point = {symbol: ALPHA * entry for symbol, entry in zip(model.coordinates, choice, strict=True)}
        if model.predictor.subs(point) == 0 and any(entry.subs(point) != 0 for entry in model.gradient()):
            return point
    raise DerivationError(f"w = {model.predictor} has no start of the form (α or 0) with w = 0 that can move")


def _curve(
    model: ElementwiseModel, charges: Sequence[sp.Expr], start: Mapping[sp.Symbol, sp.Expr], coordinate: sp.Symbol
) -> dict[sp.Symbol, sp.Expr] | None:
    """The leaf as θ(s) with s = θ_j, when exactly one smooth branch passes through the start."""
    others = [symbol for symbol in model.coordinates if symbol != coordinate]
    if not others:
        return {coordinate: LEAF}
    equations = [(charge - charge.subs(start)).subs(coordinate, LEAF) for charge in charges]
    branches = sp.solve(equations, others, dict=True)
    through = [
        branch
        for branch in branches
        if len(branch) == len(others)
        and all(_at(branch[symbol], start[coordinate]) == start[symbol] for symbol in others)
    ]
    if len(through) != 1:
        return None
    return {symbol: through[0].get(symbol, LEAF) for symbol in model.coordinates}


def _at(expression: sp.Expr, value: sp.Expr) -> sp.Expr:
    return sp.simplify(expression.subs(LEAF, value))


def _integrate(
    model: ElementwiseModel,
    curve: Mapping[sp.Symbol, sp.Expr],
    start: Mapping[sp.Symbol, sp.Expr],
    coordinate: sp.Symbol,
) -> LeafFlow | None:
    speed = sp.simplify(sp.diff(model.predictor, coordinate).subs(curve, simultaneous=True))
    origin = start[coordinate]
    primitive = sp.integrate(1 / speed, LEAF)
    if primitive.has(sp.Integral):
        return None
    time = primitive - primitive.subs(LEAF, origin)
    position = _invert(time, origin)
    if position is None:
        return None
    point = {symbol: sp.simplify(form.subs(LEAF, position)) for symbol, form in curve.items()}
    predictor = sp.simplify(model.predictor.subs(point, simultaneous=True))
    return LeafFlow(dict(start), point, predictor, _interval(time, speed, origin))


def _invert(time: sp.Expr, origin: sp.Expr) -> sp.Expr | None:
    """s(τ) with time(s) = τ on the branch through s(0) = origin."""
    peeled = peel(time, LEAF, MIRROR)
    candidates = [peeled] if peeled is not None else sp.solve(sp.Eq(time, MIRROR), LEAF)
    for candidate in candidates:
        if sp.simplify(candidate.subs(MIRROR, 0) - origin) == 0:
            return sp.simplify(candidate)
    return None


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


def _interval(time: sp.Expr, speed: sp.Expr, origin: sp.Expr) -> sp.Interval:
    """The values that τ takes while s runs over the component of {speed ≠ 0} around the origin."""
    unit_speed, unit_origin = speed.subs(ALPHA, 1), origin.subs(ALPHA, 1)
    roots = [root for root in sp.solve(unit_speed, LEAF) if root.is_real]
    below = max([root for root in roots if root < unit_origin], default=-sp.oo)
    above = min([root for root in roots if root > unit_origin], default=sp.oo)
    ends = [
        sp.limit(time, LEAF, end if end.is_infinite else end * ALPHA, direction)
        for end, direction in ((below, "+"), (above, "-"))
    ]
    return sp.Interval.open(min(ends, key=_size), max(ends, key=_size))


def _size(value: sp.Expr) -> float:
    return float(value.subs(ALPHA, 1))
