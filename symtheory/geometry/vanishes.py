"""Exact zero test: a point where the value is not zero refutes it, algebra proves it."""

from __future__ import annotations

import sympy as sp

# Fixed rational probes, one after another for the symbols in name order: repeatable, and without small coincidences.
_PROBES = (
    sp.Rational(137, 89),
    sp.Rational(211, 53),
    sp.Rational(97, 61),
    sp.Rational(173, 71),
    sp.Rational(67, 101),
)
_DIGITS = 30
_FAR_FROM_ZERO = sp.Float("1e-15")


def vanishes(expression: sp.Expr) -> bool:
    """Whether an expression is identically zero in its symbols.

    True only if `expand`, `cancel` or `simplify` proves it; the costly ones are reached only by expressions that
    are zero to thirty digits at a rational point.
    """
    if expression == 0:
        return True
    if _nonzero_at_probe(expression) or (expression.is_number and expression.is_zero is False):
        return False
    if sp.expand(expression) == 0 or sp.cancel(expression) == 0:
        return True
    return bool(sp.simplify(expression) == 0)


def _nonzero_at_probe(expression: sp.Expr) -> bool:
    symbols = sorted(expression.free_symbols, key=lambda symbol: symbol.sort_key())
    values = {symbol: _PROBES[index % len(_PROBES)] + sp.Rational(index, 13) for index, symbol in enumerate(symbols)}
    value = expression.xreplace(values)
    if not value.is_number or value.has(sp.nan, sp.zoo, sp.oo):
        return False
    number = abs(value.evalf(_DIGITS))
    return bool(number.is_comparable and number > _FAR_FROM_ZERO)
