"""A declaration as Python code that a person can paste, read and change."""

from __future__ import annotations

import keyword

import sympy as sp

from symtheory.errors import CodegenError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.add import Add
from symtheory.graph.operations.add_axes import AddAxes
from symtheory.graph.operations.cumsum import CumulativeSum
from symtheory.graph.operations.leaf import Leaf, Number
from symtheory.graph.operations.matmul import MatMul
from symtheory.graph.operations.multiply import Multiply
from symtheory.graph.operations.normalize import Normalize
from symtheory.graph.operations.permute import Permute
from symtheory.graph.operations.power import Power
from symtheory.graph.operations.scale import Scale
from symtheory.graph.operations.spline import Spline
from symtheory.graph.operations.sum import Sum

SUM, PRODUCT, POWER, ATOM = range(4)
CALLS = {"exp": "st.exp", "log": "st.log", "tanh": "st.tanh", "abs": "st.abs", CumulativeSum.name: "st.cumsum"}


def python_source(graph: ComputationGraph, variable: str) -> str:
    """A module that binds the graph to ``variable``.

    ``CodegenError`` for a variable that is no name or one that the module itself needs, and for an operation that
    designs do not use.
    """
    if not variable.isidentifier() or keyword.iskeyword(variable) or variable in ("st", "sp"):
        raise CodegenError(f"{variable!r} cannot be a variable of a Python module: choose a name such as 'designed'")
    sizes = [str(size) for size in graph.free_sizes]
    lines = ["import sympy as sp", ""] if "sp." in _text(graph.predictor)[0] else []
    lines += ["import symtheory as st", ""]
    if sizes:
        names = ", ".join(sizes)
        lines.append(f'{names} = st.dims("{" ".join(sizes)}")')
    for node in graph.nodes:
        if isinstance(node.operation, Leaf) and not isinstance(node.operation, Number):
            arguments = ", ".join([f'"{node.title}"', *map(str, node.shape)])
            kind = {"parameter": "param"}.get(node.operation.name, node.operation.name)
            lines.append(f"{node.title} = st.{kind}({arguments})")
    lines.append(f'{variable} = st.Parametrization({_text(graph.predictor)[0]}, name="{graph.name}")')
    return "\n".join(lines) + "\n"


def _text(node: Node) -> tuple[str, int]:
    """The expression, and how tightly it holds together."""
    operation = node.operation
    if isinstance(operation, Number):
        return _number(operation.value), ATOM
    if isinstance(operation, Leaf):
        return node.title, ATOM
    if isinstance(operation, AddAxes):
        return _text(node.operands[0])
    if isinstance(operation, Add):
        return _sum(node), SUM
    if isinstance(operation, Multiply | MatMul):
        sign = " * " if isinstance(operation, Multiply) else " @ "
        left, right = node.operands
        return f"{_at_least(left, PRODUCT)}{sign}{_at_least(right, POWER)}", PRODUCT
    if isinstance(operation, Scale):
        return _scaled(operation.factor, node.operands[0])
    return _unary(node)


def _unary(node: Node) -> tuple[str, int]:
    operation, (operand, *_) = node.operation, node.operands
    if isinstance(operation, Power):
        exponent = operation.exponent
        return f"{_at_least(operand, ATOM)} ** {_number(exponent)}", POWER
    if isinstance(operation, Permute) and operand.rank == 2:
        return f"{_at_least(operand, ATOM)}.T", ATOM
    if isinstance(operation, Sum):
        return f"{_at_least(operand, ATOM)}.sum({', '.join(str(axis) for axis in operation.axes)})", ATOM
    if isinstance(operation, Normalize) and not operation.mean and operation.eps == 0:
        return f"st.normalize({_text(operand)[0]})", ATOM
    if isinstance(operation, Spline) and not operation.is_slope:
        arguments = ", ".join(map(repr, (operation.knots, operation.values, operation.slopes)))
        return f"st.spline({_text(operand)[0]}, {arguments})", ATOM
    if operation.name in CALLS:
        return f"{CALLS[operation.name]}({_text(operand)[0]})", ATOM
    raise CodegenError(f"operation '{operation.name}' is not written by inverse design")


def _sum(node: Node) -> str:
    left, right = node.operands
    if isinstance(right.operation, Scale) and right.operation.factor.is_negative:
        return f"{_at_least(left, SUM)} - {_at_least_scaled(-right.operation.factor, right.operands[0])}"
    if isinstance(right.operation, Number) and right.operation.value.is_negative:
        return f"{_at_least(left, SUM)} - {_number(-right.operation.value)}"
    return f"{_at_least(left, SUM)} + {_at_least(right, SUM)}"


def _at_least_scaled(factor: sp.Expr, operand: Node) -> str:
    text, tightness = _scaled(factor, operand)
    return text if tightness >= PRODUCT else f"({text})"


def _scaled(factor: sp.Expr, operand: Node) -> tuple[str, int]:
    if factor == 1:
        return _text(operand)
    if factor == -1:
        return f"-{_at_least(operand, POWER)}", PRODUCT
    if factor.is_Rational and factor.p == 1:
        return f"{_at_least(operand, PRODUCT)} / {factor.q}", PRODUCT
    return f"{_at_least(operand, PRODUCT)} * {_number(factor)}", PRODUCT


def _at_least(node: Node, tightness: int) -> str:
    text, found = _text(node)
    return text if found >= tightness else f"({text})"


def _number(value: sp.Expr) -> str:
    """Exact: an int, a SymPy rational, or an expression in sizes as it is."""
    if value.is_Integer:
        return str(value) if value >= 0 else f"({value})"
    if value.is_Symbol:
        return str(value)
    if value.is_Rational:
        return f"sp.Rational({value.p}, {value.q})"
    return f"({_exact(value)})"


def _exact(value: sp.Expr) -> str:
    if isinstance(value, sp.Pow):
        return f"{_number(value.base)} ** {_number(value.exp)}"
    if isinstance(value, sp.Add | sp.Mul):
        return (" + " if isinstance(value, sp.Add) else " * ").join(map(_number, value.args))
    if value.is_NumberSymbol or isinstance(value, sp.Function):
        inner = ", ".join(map(_exact, value.args))
        return (
            f"sp.{value.func.__name__}({inner})"
            if value.args
            else {"Pi": "sp.pi", "Exp1": "sp.E"}[type(value).__name__]
        )
    return _number(value)
