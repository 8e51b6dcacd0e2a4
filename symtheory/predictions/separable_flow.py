"""The flow of ∇φ where every parameter stands in a power of its own, as in u³ − v³: no charge is needed then."""

from __future__ import annotations

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.predictions.leaf import LeafFlow, natural_start
from symtheory.predictions.symbols import MIRROR


def separable_flow(model: ElementwiseModel) -> LeafFlow:
    """Closed form of the flow for φ = Σ_i c_i θ_i^{m_i}, each parameter in one term, m_i a positive integer.

    The parameters move independently in the common time τ: dθ_i/dτ = c_i m_i θ_i^{m_i − 1}. Raises ``DerivationError``
    for another φ, and without a natural start. Source: Woodworth et al. 2020 (2002.09277) for u^k − v^k.
    """
    powers = _powers(model)
    start = natural_start(model)
    point, low, high = {}, -sp.oo, sp.oo
    for symbol, (coefficient, exponent) in powers.items():
        point[symbol] = _position(coefficient, exponent, start[symbol])
        end = _escape(coefficient, exponent, start[symbol])
        if end is not None:
            low, high = (low, sp.Min(high, end)) if end.is_positive else (sp.Max(low, end), high)
    gradient = [entry.subs(point, simultaneous=True) for entry in model.gradient()]
    return LeafFlow(
        start,
        point,
        model.predictor.subs(point, simultaneous=True),
        sp.Add(*(entry**2 for entry in gradient)),
        sp.Interval.open(low, high),
    )


def _powers(model: ElementwiseModel) -> dict[sp.Symbol, tuple[sp.Expr, sp.Integer]]:
    """(c, m) of each parameter's term."""
    found: dict[sp.Symbol, tuple[sp.Expr, sp.Integer]] = {}
    for term in sp.Add.make_args(sp.expand(model.predictor)):
        coefficient, power = term.as_independent(*model.coordinates)
        base, exponent = power.as_base_exp()
        if base not in model.coordinates or base in found or not (exponent.is_Integer and exponent > 0):
            raise DerivationError(f"w = {model.predictor} is no sum of powers of one parameter each")
        found[base] = (coefficient, exponent)
    return found


def _position(coefficient: sp.Expr, exponent: sp.Integer, start: sp.Expr) -> sp.Expr:
    """s(τ) with ds/dτ = c m s^(m − 1) and s(0) = start."""
    if exponent == 1:
        return start + coefficient * MIRROR
    if exponent == 2 or start == 0:
        return start * sp.exp(2 * coefficient * MIRROR)
    return start * (1 - _pace(coefficient, exponent, start) * MIRROR) ** sp.Rational(-1, exponent - 2)


def _escape(coefficient: sp.Expr, exponent: sp.Integer, start: sp.Expr) -> sp.Expr | None:
    """τ at which s becomes infinite; None where it never does."""
    return None if exponent <= 2 or start == 0 else 1 / _pace(coefficient, exponent, start)


def _pace(coefficient: sp.Expr, exponent: sp.Integer, start: sp.Expr) -> sp.Expr:
    return coefficient * exponent * (exponent - 2) * start ** (exponent - 2)
