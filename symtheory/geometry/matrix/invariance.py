"""Proof that a metric on matrices is invariant: its Lie derivative vanishes along every field of the group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from symtheory.geometry.matrix.block_metric import BlockMetric
from symtheory.geometry.matrix.model import COLUMNS, ROWS, MatrixModel, centring, same_along
from symtheory.matrix_calculus.polynomial import Polynomial, letter
from symtheory.matrix_calculus.symbols import DiagonalSymbol
from symtheory.matrix_calculus.trace_form import TraceForm, differential, trace_differential
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.translation import Translation


def lie_derivative(metric: BlockMetric, factor: Factor, xi: Mapping[str, sp.MatrixSymbol]) -> TraceForm:
    """L_X ⟨ξ, ξ⟩ along the field X of an element of a factor's Lie algebra; zero proves the metric invariant.

    The change of every covariant K is computed from its definition and compared with gK + Kgᵀ and its like; where they
    agree, that is put in its place, so that K⁻¹ cancels against K without being written out.
    """
    model = metric.model
    point = {name: letter(symbol) for name, symbol in model.symbols.items()}
    tangent = {name: letter(symbol) for name, symbol in xi.items()}
    if isinstance(factor, Translation):
        fields, moved = shift_field(model, factor), {}
        element = None
        if factor.compensation and not metric.is_straightened:
            made_up = _made_up(model, factor)
            fields, moved = fields | made_up, {name: differential(c, _along(model, xi)) for name, c in made_up.items()}
    else:
        fields, moved = model.field(factor, point), model.field(factor, tangent)
        element = model.element(factor)
    changes: dict[Any, Any] = {model.symbols[name]: change for name, change in fields.items()}
    for symbol, value in metric.definitions.items():
        if isinstance(value, TraceForm):
            changes[symbol] = _number_change(trace_differential(value, changes), value, symbol, element)
        else:
            change = differential(value, changes)
            changes[symbol] = _recognised(change, value, symbol, element)
    changes |= {xi[name]: change for name, change in moved.items()}
    return trace_differential(metric.inner(tangent, tangent), changes)


def shift_field(model: MatrixModel, factor: Translation) -> dict[str, Polynomial]:
    """An arbitrary shift of the factor's parameter, the same along the sides where the factor's is."""
    view = model.views[factor.parameter]
    value = letter(sp.MatrixSymbol(f"t_{factor.name}", *view.shape))
    same = same_along(factor, view)
    if ROWS in same:
        value = value - letter(centring(view.shape[ROWS])) @ value
    if COLUMNS in same:
        value = value - value @ letter(centring(view.shape[COLUMNS]))
    return {factor.parameter: value}


def _made_up(model: MatrixModel, factor: Translation) -> dict[str, Polynomial]:
    """The changes that make up for a shift, in the point and in a symbol for the shift."""
    return {m.parameter: model.as_polynomial(m.change) for m in model.straightening if m.shifted == factor.parameter}


def _along(model: MatrixModel, xi: Mapping[str, sp.MatrixSymbol]) -> dict[Any, Any]:
    return {model.symbols[name]: letter(symbol) for name, symbol in xi.items()}


def _recognised(change: Polynomial, value: Polynomial, symbol: Any, element: Any) -> Polynomial:
    """The change of a covariant in terms of itself, where it is one of the laws of transformation."""
    if not change or element is None:
        return change
    own = letter(symbol)
    if not isinstance(element, sp.MatrixSymbol):
        ratio = _ratio(change, value * element)
        return change if ratio is None else own * (ratio * element)
    matrix = letter(element)
    if isinstance(element, DiagonalSymbol):
        ratio = _ratio(change, matrix @ value)
        return change if ratio is None else matrix @ own * ratio
    for law in (matrix, matrix.T * -1):
        if change == law @ value + value @ law.T:
            return law @ own + own @ law.T
    return change


def _number_change(change: TraceForm, value: TraceForm, symbol: Any, element: Any) -> sp.Expr:
    """The change of a number made of the point: a multiple of itself, else a symbol that nothing cancels."""
    if not change:
        return sp.S.Zero
    ratio = None if element is None or isinstance(element, sp.MatrixSymbol) else _ratio(change, value * element)
    return sp.Symbol(f"change_of_{symbol}", real=True) if ratio is None else ratio * element * symbol


def _ratio(change: Any, value: Any) -> sp.Expr | None:
    """c with change = c · value, or None."""
    if change.terms.keys() != value.terms.keys():
        return None
    ratios = {sp.cancel(change.terms[word] / value.terms[word]) for word in value.terms}
    return ratios.pop() if len(ratios) == 1 else None


def broken_factor(metric: BlockMetric) -> tuple[Factor, TraceForm] | None:
    """The first factor along which the metric is not seen to be invariant, with its Lie derivative."""
    xi = metric.model.tangent("xi")
    for factor in metric.model.factors.values():
        derivative = lie_derivative(metric, factor, xi)
        if derivative:
            return factor, derivative
    return None
