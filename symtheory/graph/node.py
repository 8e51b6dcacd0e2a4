"""A node of the computation graph: an operation applied to other nodes, written with Python's operators."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from symtheory.errors import DeclarationError, ShapeError
from symtheory.graph.operation import Operation
from symtheory.graph.operations.add import Add
from symtheory.graph.operations.add_axes import AddAxes
from symtheory.graph.operations.leaf import Leaf, Number
from symtheory.graph.operations.matmul import MatMul
from symtheory.graph.operations.multiply import Multiply
from symtheory.graph.operations.permute import Permute
from symtheory.graph.operations.power import Power
from symtheory.graph.operations.reshape import Reshape
from symtheory.graph.operations.scale import Scale
from symtheory.graph.operations.sum import Sum
from symtheory.graph.shapes import Shape, as_shape, show


class Node:
    """Result of an operation; immutable, dimensionless, of a shape whose sizes may be symbolic.

    Supports ``+ - * / @ **``, ``.T``, ``.sum``, ``.reshape``, ``.transpose``; numbers and SymPy sizes mix in as scalars.
    Elementwise operators broadcast as in numpy. Raises ``ShapeError`` naming both nodes when shapes do not fit.
    """

    __array_ufunc__ = None  # so that numpy arrays leave the operators to us, and are refused with a clear word

    def __init__(self, operation: Operation, operands: Sequence[Node] = ()) -> None:
        self.operation = operation
        self.operands = tuple(operands)
        try:
            self.shape: Shape = operation.shape([operand.shape for operand in self.operands])
        except ShapeError as error:
            raise ShapeError(f"{operation.name}({self._operand_list()}): {error}") from None

    def _operand_list(self) -> str:
        return ", ".join(f"{operand.title} {show(operand.shape)}" for operand in self.operands)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def title(self) -> str:
        """The leaf's own name, or a short formula of the operation."""
        if isinstance(self.operation, Leaf):
            return self.operation.label
        inner = ", ".join(
            operand.operation.label if operand.operands else operand.title for operand in self.operands
        )
        return f"{self.operation.label}({inner})"

    def __repr__(self) -> str:
        return f"Node({self.title}, shape={show(self.shape)})"

    def __add__(self, other: object) -> Node:
        return _elementwise(Add(), self, as_node(other))

    def __radd__(self, other: object) -> Node:
        return as_node(other) + self

    def __sub__(self, other: object) -> Node:
        return self + (-as_node(other))

    def __rsub__(self, other: object) -> Node:
        return as_node(other) + (-self)

    def __neg__(self) -> Node:
        return Node(Scale(sp.Integer(-1)), (self,))

    def __mul__(self, other: object) -> Node:
        factor = _as_number(other)
        if factor is not None:
            return Node(Scale(factor), (self,))
        return _elementwise(Multiply(), self, as_node(other))

    def __rmul__(self, other: object) -> Node:
        return self * other

    def __truediv__(self, other: object) -> Node:
        divisor = _as_number(other)
        if divisor is not None:
            if divisor == 0:
                raise DeclarationError(f"{self.title} is divided by zero")
            return self * (1 / divisor)
        return self * as_node(other) ** -1

    def __rtruediv__(self, other: object) -> Node:
        return self**-1 * other

    def __pow__(self, exponent: object) -> Node:
        number = _as_number(exponent)
        if number is None or not number.is_Rational:
            raise DeclarationError(f"{self.title} ** {exponent!r}: the exponent must be a rational number")
        return Node(Power(number), (self,))

    def __matmul__(self, other: Node) -> Node:
        return Node(MatMul(), (self, as_node(other)))

    @property
    def T(self) -> Node:
        """The last two axes exchanged; shape (n, m) becomes (m, n)."""
        if self.rank < 2:
            raise ShapeError(f"{self.title} {show(self.shape)} has no transpose: .T needs at least two axes")
        axes = (*range(self.rank - 2), self.rank - 1, self.rank - 2)
        return Node(Permute(axes), (self,))

    def transpose(self, *axes: int) -> Node:
        """Axes in a new order: axis i of the result is axis ``axes[i]`` of this node."""
        return Node(Permute(tuple(axes)), (self,))

    def sum(self, axis: int | Sequence[int] | None = None) -> Node:
        """Sum over the given axes (all of them when ``axis`` is None)."""
        axes = range(self.rank) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        return Node(Sum.over(axes, self.rank), (self,))

    def reshape(self, *sizes: object) -> Node:
        """The same entries in row-major order under another shape with as many entries."""
        return Node(Reshape(as_shape(sizes)), (self,))


def as_node(value: object) -> Node:
    """A node as it is, a number as a constant node; ``DeclarationError`` for anything else."""
    if isinstance(value, Node):
        return value
    number = _as_number(value)
    if number is None:
        raise DeclarationError(
            f"{type(value).__name__} cannot enter a graph: use numbers, st.param, st.input or st.constant"
        )
    return Node(Number(number))


def _as_number(value: object) -> sp.Expr | None:
    if isinstance(value, bool) or not isinstance(value, int | float | sp.Expr):
        return None
    number = sp.nsimplify(value, rational=True) if isinstance(value, float) else sp.sympify(value)
    return number if number.is_number or _is_size(number) else None


def _is_size(expression: sp.Expr) -> bool:
    return all(symbol.is_integer and symbol.is_positive for symbol in expression.free_symbols)


def _elementwise(operation: Operation, *operands: Node) -> Node:
    rank = max(operand.rank for operand in operands)
    return Node(operation, [align(operand, rank) for operand in operands])


def align(node: Node, rank: int) -> Node:
    """The node with axes of size 1 put in front until it has ``rank`` axes, so that batch axes stay apart."""
    return node if node.rank == rank else Node(AddAxes(rank - node.rank), (node,))
