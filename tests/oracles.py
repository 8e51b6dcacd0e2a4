"""Independent slow oracles: SymPy expressions evaluated in 50-digit arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mpmath
import sympy as sp

DIGITS = 50


def mpmath_value(expression: sp.Expr, values: Mapping[sp.Symbol, float]) -> mpmath.mpf:
    """A scalar expression at the given floats (taken exactly), in 50-digit arithmetic of mpmath."""
    symbols = sorted(values, key=str)
    with mpmath.workdps(DIGITS):
        function = sp.lambdify(symbols, expression, modules="mpmath", cse=False)
        return mpmath.mpmathify(function(*(mpmath.mpf(values[symbol]) for symbol in symbols)))


def mpmath_matrix(expression: Any, values: Mapping[sp.Basic, Any]) -> Any:
    """A matrix expression (or a scalar made of traces) at arrays and floats, inverses taken as inverses.

    ``values`` maps MatrixSymbols to nested lists of floats, and scalar symbols (sizes too) to numbers.
    """
    with mpmath.workdps(DIGITS):
        return _evaluate(expression, values)


def _evaluate(expression: Any, values: Mapping[sp.Basic, Any]) -> Any:
    if isinstance(expression, sp.MatrixSymbol):
        return mpmath.matrix(values[expression])
    if expression in values:
        return mpmath.mpf(values[expression])
    if expression.is_number:
        return mpmath.mpmathify(sp.N(expression, DIGITS))
    if isinstance(expression, sp.Identity):
        return mpmath.eye(int(_evaluate(expression.rows, values)))
    if isinstance(expression, sp.ZeroMatrix):
        return mpmath.zeros(*(int(_evaluate(size, values)) for size in expression.shape))
    if isinstance(expression, sp.MatPow):
        return _evaluate(expression.base, values) ** int(expression.exp)
    return _combine(expression, [_evaluate(argument, values) for argument in expression.args])


def _combine(expression: Any, arguments: list[Any]) -> Any:
    if isinstance(expression, sp.HadamardProduct):
        first = arguments[0]
        product = first.copy()
        for factor in arguments[1:]:
            for index in [(row, column) for row in range(first.rows) for column in range(first.cols)]:
                product[index] *= factor[index]
        return product
    if isinstance(expression, sp.MatAdd | sp.Add):
        return sum(arguments[1:], arguments[0])
    if isinstance(expression, sp.MatMul | sp.Mul):
        result = arguments[0]
        for factor in arguments[1:]:
            result = result * factor
        return result
    if isinstance(expression, sp.Transpose):
        return arguments[0].T
    if isinstance(expression, sp.Trace):
        return sum(arguments[0][index, index] for index in range(arguments[0].rows))
    return getattr(mpmath, {"Pow": "power"}.get(type(expression).__name__, type(expression).__name__))(*arguments)
