"""The leaf of fixed charges through a start with w = 0, and the flow of ∇φ along it.

Where charges leave one free coordinate per coordinate of w, gradient flow of any loss moves along the curve
dθ_i/dτ = ∂_i φ(θ) on the leaf; τ is the mirror variable, and w(τ) is found by one quadrature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.quadrature import LEAF, integrate_motion
from symtheory.predictions.symbols import ALPHA
from symtheory.symmetry.solutions import nullspace
from symtheory.symmetry.weight_coordinates import WeightCoordinates, weight_coordinates


@dataclass(frozen=True)
class LeafFlow:
    """start: θ(0) on the leaf, with φ = 0, in α; point: θ(τ); predictor: w(τ); slope: dw/dτ = JJᵀ on the leaf;
    τ runs over ``interval``.
    """

    start: dict[sp.Symbol, sp.Expr]
    point: dict[sp.Symbol, sp.Expr]
    predictor: sp.Expr
    slope: sp.Expr
    interval: sp.Interval


@dataclass(frozen=True)
class Leaf:
    """The leaf as a curve. point: weight coordinates p_i in s = p_j and in symbols for roots; radicals: those symbols
    → √(b + s²); running: the index j; origin: s at the start.
    """

    point: dict[sp.Symbol, sp.Expr]
    radicals: dict[sp.Symbol, sp.Expr]
    running: int
    origin: sp.Expr


def leaf_flow(model: ElementwiseModel, charges: Sequence[sp.Expr]) -> LeafFlow:
    """Closed form of the flow of ∇φ from the natural start of scale α.

    Raises ``DerivationError`` when the charges leave more than one coordinate free, or the quadrature has no
    elementary closed form that can be inverted.
    """
    if len(charges) != model.dimension - 1:
        raise DerivationError(
            f"{len(charges)} conserved charge(s) for {model.dimension} parameter(s): "
            f"leaves of fixed charges are curves, as a potential of w needs, with {model.dimension - 1}"
        )
    start = natural_start(model)
    weights = weight_coordinates(replace(model, generators=tuple(_matrix(model, charge) for charge in charges)))
    norms = _row_norms(weights)
    leaf = _leaf(weights, norms, [form.subs(start) for form in weights.of(model.coordinates)])
    inverse = dict(zip(model.coordinates, weights.inverse, strict=True))
    predictor = sp.expand(model.predictor.subs(inverse, simultaneous=True))
    gradient = [sp.diff(predictor, symbol).subs(leaf.point) for symbol in weights.symbols]
    speed = (norms[leaf.running] * gradient[leaf.running]).subs(leaf.radicals)
    motion = integrate_motion(speed, leaf.origin)
    if motion is None:
        raise DerivationError(
            f"the flow of w = {model.predictor} on a leaf of fixed charges has no closed form: the time ∫ ds/f(s) "
            "along it is no elementary function of s that could be inverted"
        )

    def in_time(expression: sp.Expr) -> sp.Expr:
        return motion.at(expression, leaf.radicals)

    return LeafFlow(
        start,
        {symbol: in_time(form.subs(leaf.point)) for symbol, form in inverse.items()},
        in_time(predictor.subs(leaf.point)),
        in_time(sp.Add(*(norm * entry**2 for norm, entry in zip(norms, gradient, strict=True)))),
        motion.interval,
    )


def natural_start(model: ElementwiseModel) -> dict[sp.Symbol, sp.Expr]:
    """θ with entries α or 0, as many α as possible, where φ = 0 and ∇φ ≠ 0."""
    gradient = model.gradient()
    choices = sorted(product((1, 0), repeat=model.dimension), key=lambda choice: (-sum(choice), [-c for c in choice]))
    for choice in choices:
        point = {symbol: ALPHA * entry for symbol, entry in zip(model.coordinates, choice, strict=True)}
        if _value(model.predictor, point) == 0:
            slopes = [_value(entry, point) for entry in gradient]
            if all(slope.is_finite for slope in slopes) and any(slope != 0 for slope in slopes):
                return point
    raise DerivationError(f"w = {model.predictor} has no start of the form (α or 0) with w = 0 that can move")


def _value(expression: sp.Expr, point: dict[sp.Symbol, sp.Expr]) -> sp.Expr:
    """At the point; NaN where an argument of Max or Min has a pole there, which SymPy refuses to compare."""
    try:
        return expression.subs(point)
    except ValueError:
        return sp.nan


def _matrix(model: ElementwiseModel, charge: sp.Expr) -> sp.Matrix:
    """A with C = θᵀAθ."""
    return sp.Matrix(sp.hessian(charge, model.coordinates) / 2)


def _row_norms(weights: WeightCoordinates) -> list[sp.Expr]:
    """‖row_i‖² of the weight coordinates, whose rows must be orthogonal: then dp_i/dτ = ‖row_i‖² ∂φ/∂p_i."""
    gram = weights.matrix * weights.matrix.T
    if not gram.is_diagonal():
        raise DerivationError("the charges have no orthogonal weight coordinates: no closed form of their leaves")
    return list(gram.diagonal())


def _leaf(weights: WeightCoordinates, norms: Sequence[sp.Expr], start: Sequence[sp.Expr]) -> Leaf:
    """The charges Σ_i ω_ai p_i²/‖row_i‖² stay fixed: p_i² − p_i(0)² = ‖row_i‖² m_i x with ω m = 0 and one free x."""
    directions = nullspace([list(row) for row in weights.weights], len(start))
    if len(directions) != 1:
        raise DerivationError("the charges are not independent: their leaves are no curves")
    rates = [norm * entry for norm, entry in zip(norms, directions[0], strict=True)]
    moving = [index for index, rate in enumerate(rates) if rate != 0]
    at_zero = [index for index in moving if start[index] == 0]
    if len(at_zero) > 1:
        raise DerivationError("several leaves of fixed charges meet at the start: no single flow")
    running = (at_zero or moving)[0]
    if any(rate / rates[running] < 0 for rate in rates):
        raise DerivationError("the leaves of fixed charges are bounded: no closed form of the flow along them")
    symbols: dict[sp.Expr, sp.Symbol] = {}
    point = dict(zip(weights.symbols, start, strict=True))
    for index in moving:
        ratio = rates[index] / rates[running]
        root = sp.sqrt(sp.expand(start[index] ** 2 / ratio - start[running] ** 2) + LEAF**2)
        symbol = symbols.setdefault(root, sp.Dummy("r", positive=True))
        point[weights.symbols[index]] = sp.sign(start[index]) * sp.sqrt(ratio) * symbol
    point[weights.symbols[running]] = LEAF
    return Leaf(point, {symbol: root for root, symbol in symbols.items()}, running, start[running])
