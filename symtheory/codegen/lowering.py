"""Rewriting of expressions into nodes of one torch call each: guarded branches, solves for inverses."""

from __future__ import annotations

from itertools import product as pairs

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixExpr

from symtheory.codegen.nodes import SolveLeft, SolveRight, Where
from symtheory.errors import CodegenError

RECIPROCALS = {
    sp.sec: sp.cos,
    sp.csc: sp.sin,
    sp.cot: sp.tan,
    sp.sech: sp.cosh,
    sp.csch: sp.sinh,
    sp.coth: sp.tanh,
}
"""Functions without a torch counterpart, and the function whose reciprocal they are."""

FINITE_EVERYWHERE = (
    *(sp.Add, sp.Mul, sp.Abs, sp.sign, sp.Max, sp.Min),
    *(sp.sin, sp.cos, sp.tanh, sp.atan, sp.asinh, sp.erf),
)
"""Heads that are finite, with finite derivatives, at every finite argument: such branches need no guard."""

GUARD_VALUES = tuple(sp.Rational(value) for value in ("1", "1/2", "2", "1/4", "-1", "-1/2", "-2"))
GUARD_RADIUS = sp.Rational(1, 1000)


def lower(expression: sp.Basic, settings: frozenset[sp.Basic] = frozenset()) -> sp.Basic:
    """The same value, written with the nodes that the printer knows.

    ``settings`` are symbols such as a step size, which lie in the domain of every branch that does not test
    them. Raises ``CodegenError`` for an inverse that multiplies nothing, for a fractional matrix power, and
    for a branch of a Piecewise for which no regular point was found.
    """
    if isinstance(expression, sp.Piecewise):
        return _lower_piecewise(expression, settings)
    if not expression.args or isinstance(expression, sp.MatrixSymbol | sp.Identity | sp.ZeroMatrix):
        return expression
    if isinstance(expression, sp.MatMul | sp.MatPow):
        return _lower_product(expression, settings)
    if isinstance(expression, sp.Trace) and isinstance(expression.arg, sp.Identity):
        return expression.arg.rows
    arguments = [lower(argument, settings) for argument in expression.args]
    if expression.func in RECIPROCALS:
        return 1 / RECIPROCALS[expression.func](*arguments)
    return expression.func(*arguments) if tuple(arguments) != expression.args else expression


def _lower_piecewise(expression: sp.Piecewise, settings: frozenset[sp.Basic]) -> sp.Expr:
    """Nested ``Where`` whose branches are evaluated at a regular point where they are not taken.

    Without the second ``where``, around the arguments, the gradient of the branch not taken is 0 · ∞ = NaN.
    """
    earlier: sp.Basic = sp.true
    branches = []
    for value, condition in expression.args:
        branches.append((lower(condition, settings), _guarded(value, sp.And(earlier, condition), settings)))
        earlier = sp.And(earlier, sp.Not(condition))
    last_condition, last_value = branches[-1]
    result = last_value if last_condition == sp.true else Where(last_condition, last_value, sp.nan)
    for condition, value in reversed(branches[:-1]):
        result = Where(condition, value, result)
    return result


def _guarded(value: sp.Expr, taken: sp.Basic, settings: frozenset[sp.Basic]) -> sp.Expr:
    lowered = lower(value, settings)
    if taken == sp.true or _is_finite_everywhere(value):
        return lowered
    condition = lower(taken, settings)
    left_alone = settings - taken.free_symbols
    guards = {
        symbol: Where(condition, symbol, point)
        for symbol, point in _regular_point(value).items()
        if symbol not in left_alone
    }
    return lowered.xreplace(guards)


def _is_finite_everywhere(value: sp.Basic) -> bool:
    if value.is_Symbol or value.is_number:
        return True
    if isinstance(value, sp.Pow):
        base, exponent = value.args
        return bool(exponent.is_Integer and exponent > 0) and _is_finite_everywhere(base)
    return isinstance(value, FINITE_EVERYWHERE) and all(map(_is_finite_everywhere, value.args))


def _regular_point(value: sp.Expr) -> dict[sp.Symbol, sp.Rational]:
    """A point around which the branch is finite and real, and its derivatives with it."""
    symbols = sorted(value.free_symbols, key=str)
    for start, step in pairs(GUARD_VALUES, (0, 1, -1)):
        point = {symbol: start * (1 + step * sp.Rational(index, 4)) for index, symbol in enumerate(symbols)}
        if all(_is_finite_at(value, point, offset) for offset in (0, GUARD_RADIUS, -GUARD_RADIUS)):
            return point
    raise CodegenError(
        f"no point was found at which the branch {value} of a Piecewise is finite: "
        "rewrite the branch so that it is defined at small rational numbers"
    )


def _is_finite_at(value: sp.Expr, point: dict[sp.Symbol, sp.Rational], offset: sp.Expr) -> bool:
    number = value.subs({symbol: sp.Float(entry + offset) for symbol, entry in point.items()}).evalf()
    return bool(number.is_finite) and bool(number.is_real)


def _lower_product(expression: MatrixExpr, settings: frozenset[sp.Basic]) -> MatrixExpr:
    coefficient, factors = _factors(expression, settings)
    trailing: list[MatrixExpr] = []
    while factors and factors[-1][1]:
        trailing.insert(0, factors.pop()[0])
    if not factors:
        raise CodegenError(
            f"{expression} is an explicit inverse: multiply it by a matrix, so that a solve takes its place"
        )
    result: MatrixExpr | None = None
    for matrix, is_inverse in reversed(factors):
        if is_inverse:
            result = SolveLeft(matrix, result)
        else:
            result = matrix if result is None else sp.MatMul(matrix, *_chain(result))
    for matrix in trailing:
        result = SolveRight(matrix, result)
    return result if coefficient == 1 else sp.MatMul(coefficient, *_chain(result))


def _chain(expression: MatrixExpr) -> tuple[sp.Basic, ...]:
    return expression.args if isinstance(expression, sp.MatMul) else (expression,)


def _factors(expression: MatrixExpr, settings: frozenset[sp.Basic]) -> tuple[sp.Expr, list[tuple[MatrixExpr, bool]]]:
    """Scalar coefficient and the lowered matrix factors, each with a mark that it is inverted."""
    if isinstance(expression, sp.MatMul):
        coefficient, matrices = expression.as_coeff_matrices()
        coefficient = lower(coefficient, settings)
        factors = []
        for matrix in matrices:
            inner, inner_factors = _factors(matrix, settings)
            coefficient *= inner
            factors += inner_factors
        return coefficient, factors
    if isinstance(expression, sp.Transpose) and isinstance(expression.arg, sp.MatPow):
        return _factors(sp.MatPow(sp.Transpose(expression.arg.base), expression.arg.exp), settings)
    if isinstance(expression, sp.MatPow):
        base, exponent = expression.args[0], expression.exp
        if not exponent.is_Integer:
            raise CodegenError(f"matrix power {expression}: only integer powers have torch source")
        return sp.Integer(1), [(lower(base, settings), bool(exponent < 0))] * abs(int(exponent))
    return sp.Integer(1), [(lower(expression, settings), False)]
