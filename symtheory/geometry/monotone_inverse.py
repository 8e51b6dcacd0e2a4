"""Inverse of a chain of elementary steps, on the branch that passes through a known point."""

from __future__ import annotations

import sympy as sp


def monotone_inverse(expression: sp.Expr, variable: sp.Symbol, value: sp.Expr) -> sp.Expr | None:
    """x with expression(x) = value, or None where the variable sits in more than one place or a root is ambiguous.

    Even roots are taken only where the base is known to be positive, so that the branch is never guessed.
    """
    while expression != variable:
        if expression.is_Add or expression.is_Mul:
            rest, inner = expression.as_independent(variable)
            if inner.func == expression.func:
                return None
            value = value - rest if expression.is_Add else value / rest
            expression = inner
        elif expression.is_Pow and not expression.exp.has(variable):
            base, power = expression.as_base_exp()
            if not (base.is_positive and power.is_real and power.is_nonzero):
                return None
            value, expression = value ** (1 / power), base
        elif isinstance(expression, (sp.exp, sp.log)):
            value = sp.log(value) if isinstance(expression, sp.exp) else sp.exp(value)
            expression = expression.args[0]
        else:
            return None
    return value
