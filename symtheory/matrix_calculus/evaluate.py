"""Polynomials and traces at arrays, in float64: the slow and plain way, for checks at the border and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.lazy_module import LazyModule
from symtheory.matrix_calculus.definitions import Definitions, Value
from symtheory.matrix_calculus.polynomial import DiagonalPart
from symtheory.matrix_calculus.symbols import CenteringSymbol
from symtheory.matrix_calculus.trace_form import TraceForm

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")


def evaluate_definitions(definitions: Definitions, values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Symbol → array (*copies, rows, columns) or number (*copies), for the point's symbols and all that is defined."""
    known = dict(values)
    for symbol, meaning in definitions.items():
        known[symbol] = evaluate(meaning, known)
    return known


def evaluate(value: Value, values: Mapping[Any, Any]) -> np.ndarray:
    """A polynomial as an array (*copies, rows, columns), a trace as numbers (*copies)."""
    if isinstance(value, TraceForm):
        traces = [_number(c, values) * np.trace(_product(word, values, None), axis1=-2, axis2=-1) for word, c in value]
        return np.asarray(sum(traces[1:], traces[0]) if traces else 0.0)
    rows, columns = (_size(size, values) for size in value.shape)
    total = np.zeros((rows, columns))
    for word, coefficient in value:
        number = np.asarray(_number(coefficient, values))
        total = total + number[..., None, None] * _product(word, values, rows)
    return np.asarray(total)


def _product(word: Any, values: Mapping[Any, Any], rows: int | None) -> np.ndarray:
    result = None
    for factor in word:
        value = _factor(factor, values)
        result = value if result is None else result @ value
    return np.eye(int(rows or 0)) if result is None else result


def _factor(factor: Any, values: Mapping[Any, Any]) -> np.ndarray:
    if isinstance(factor, DiagonalPart):
        inner = evaluate(factor.of, values)
        return np.asarray(inner * np.eye(inner.shape[-1]))
    if isinstance(factor.symbol, CenteringSymbol):
        size = _size(factor.symbol.shape[0], values)
        return np.eye(size) - np.ones((size, size)) / size
    value = np.asarray(values[factor.symbol], dtype=np.float64)
    whole = np.asarray(np.linalg.inv(value)) if factor.inverse else value
    return whole.swapaxes(-1, -2) if factor.transposed else whole


def _size(size: Any, values: Mapping[Any, Any]) -> int:
    size = sp.sympify(size)
    if size.is_Integer:
        return int(size)
    known: dict[Any, int] = {}
    for symbol, value in values.items():
        if isinstance(symbol, sp.MatrixSymbol):
            if size in symbol.shape:
                return int(np.shape(value)[-2:][list(symbol.shape).index(size)])
            known |= {s: n for s, n in zip(symbol.shape, np.shape(value)[-2:], strict=True) if isinstance(s, sp.Symbol)}
    return int(size.xreplace(known))


def _number(coefficient: sp.Expr, values: Mapping[Any, Any]) -> Any:
    symbols = sorted(coefficient.free_symbols, key=str)
    if not symbols:
        return float(coefficient)
    return sp.lambdify(symbols, coefficient, modules="numpy")(*(values[s] for s in symbols))
