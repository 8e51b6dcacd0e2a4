"""A target written as text becomes a SymPy expression of w; nothing of the text is executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable

import sympy as sp

from symtheory.errors import DeclarationError
from symtheory.predictions.symbols import PREDICTOR

FUNCTIONS: dict[str, Callable[[sp.Expr], sp.Expr]] = {
    name: getattr(sp, name)
    for name in ("sqrt", "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asinh", "atan", "atanh")
} | {"abs": sp.Abs, "Abs": sp.Abs}
NUMBERS = {"pi": sp.pi, "E": sp.E}
OPERATORS: dict[type[ast.operator], Callable[[sp.Expr, sp.Expr], sp.Expr]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
LONGEST = 400  # characters
LARGEST_EXPONENT = 64  # of a power that is written; 9**9**9 would keep SymPy busy for good


def parse_target(text: str) -> sp.Expr:
    """The expression in the real symbol w.

    Numbers, + − * / **, and the functions of ``FUNCTIONS`` are known. Raises ``DeclarationError`` for anything else,
    saying what it was.
    """
    if len(text) > LONGEST:
        raise DeclarationError(f"the target has {len(text)} characters: at most {LONGEST} are read")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or str(error)
        raise DeclarationError(f"the target '{text}' is no formula: {reason}; write for example sqrt(abs(w))") from None
    try:
        value = _convert(tree.body)
    except RecursionError:
        raise DeclarationError(f"the target '{text}' is nested too deeply") from None
    if value.has(sp.nan, sp.zoo, sp.oo):
        raise DeclarationError(f"the target '{text}' divides by zero")
    return value


def _convert(node: ast.expr) -> sp.Expr:
    if isinstance(node, ast.Constant):
        return _number(node.value)
    if isinstance(node, ast.Name):
        return _name(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _convert(node.operand)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return _binary(OPERATORS[type(node.op)], _convert(node.left), _convert(node.right))
    if isinstance(node, ast.Call):
        return _call(node)
    raise DeclarationError(f"'{ast.unparse(node)}' is no part of a formula: use numbers, w, + - * / ** and functions")


def _number(value: object) -> sp.Expr:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DeclarationError(f"{value!r} is no real number")
    return sp.Integer(value) if isinstance(value, int) else sp.nsimplify(value, rational=True)


def _name(name: str) -> sp.Expr:
    if name == PREDICTOR.name:
        return PREDICTOR
    if name in NUMBERS:
        return NUMBERS[name]
    raise DeclarationError(f"the symbol '{name}' is unknown: a target is a function of w alone")


def _binary(operation: Callable[[sp.Expr, sp.Expr], sp.Expr], left: sp.Expr, right: sp.Expr) -> sp.Expr:
    if operation is operator.pow and right.is_number and not abs(right) <= LARGEST_EXPONENT:
        raise DeclarationError(f"the exponent {right} is larger than {LARGEST_EXPONENT}")
    return operation(left, right)


def _call(node: ast.Call) -> sp.Expr:
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    if name not in FUNCTIONS:
        raise DeclarationError(f"the function '{name}' is unknown: choose from {', '.join(FUNCTIONS)}")
    if len(node.args) != 1 or node.keywords:
        raise DeclarationError(f"{name} takes one argument")
    return FUNCTIONS[name](_convert(node.args[0]))
