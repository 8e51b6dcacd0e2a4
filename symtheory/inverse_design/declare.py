"""From a SymPy expression to nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph import functions
from symtheory.graph.node import Node
from symtheory.inverse_design.no_closed_form import NoClosedForm

OPERATIONS: dict[type[sp.Function], Callable[[Node], Node]] = {
    sp.exp: functions.exp,
    sp.log: functions.log,
    sp.tanh: functions.tanh,
    sp.Abs: functions.abs,
    sp.sinh: lambda x: (functions.exp(x) - functions.exp(-x)) / 2,
    sp.cosh: lambda x: (functions.exp(x) + functions.exp(-x)) / 2,
}


def declare(expression: sp.Expr, leaves: Mapping[sp.Symbol, Node]) -> Node:
    """The node that computes an expression of the leaves' symbols.

    Raises ``DerivationError`` where it needs a function that no operation computes.
    """
    value = _declare(expression, leaves)
    if not isinstance(value, Node):
        raise DerivationError(f"{expression} is a constant: it cannot be declared")
    return value


def _declare(expression: sp.Expr, leaves: Mapping[sp.Symbol, Node]) -> Node | sp.Expr:
    """A node, or the expression itself where it is a number."""
    if not expression.free_symbols:
        return expression
    if expression in leaves:
        return leaves[expression]
    if isinstance(expression, sp.Add):
        return _join(expression, leaves, lambda left, right: left + right)
    if isinstance(expression, sp.Mul):
        return _join(expression, leaves, lambda left, right: left * right)
    if isinstance(expression, sp.Pow) and expression.exp.is_Rational:
        return _declare(expression.base, leaves) ** expression.exp
    operation = OPERATIONS.get(expression.func)
    if operation is None:
        name = expression.func.__name__
        raise NoClosedForm(f"φ = {expression} needs {name}, which no operation of a graph computes")
    argument = _declare(expression.args[0], leaves)
    assert isinstance(argument, Node)  # it has free symbols
    return operation(argument)


def _join(
    expression: sp.Expr, leaves: Mapping[sp.Symbol, Node], operation: Callable[[Node, Node | sp.Expr], Node]
) -> Node:
    """Terms or factors one after another, the number last, so that it becomes a multiple or a shift."""
    number, _ = expression.as_independent(*expression.free_symbols, as_Add=isinstance(expression, sp.Add))
    parts = [_declare(part, leaves) for part in expression.args if part.free_symbols]
    value = parts[0]
    assert isinstance(value, Node)
    for part in parts[1:]:
        value = operation(value, part)
    return value if number == (0 if isinstance(expression, sp.Add) else 1) else operation(value, number)
