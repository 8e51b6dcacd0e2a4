"""A node of the computation graph: an operation applied to other nodes, written with Python's operators."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Rational, Real

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
from symtheory.graph.shapes import Shape, as_shape, is_in_sizes, show


class Node:
    """Result of an operation; immutable, dimensionless, of a shape whose sizes may be symbolic.

    Supports ``+ - * / @ **``, ``.T``, ``.sum``, ``.reshape``, ``.transpose``; numbers and SymPy sizes mix in as
    scalars. Elementwise operators broadcast as in numpy. Raises ``ShapeError`` naming both nodes when shapes do not
    fit, and ``DeclarationError`` for operands that are neither nodes nor finite real numbers.
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
        inner = ", ".join(operand.operation.label if operand.operands else operand.title for operand in self.operands)
        return f"{self.operation.label}({inner})"

    def __repr__(self) -> str:
        return f"Node({self.title}, shape={show(self.shape)})"

    def __add__(self, other: object) -> Node:
        return _elementwise(Add(), self, as_node(other))

    def __radd__(self, other: object) -> Node:
        return as_node(other) + self

    def __sub__(self, other: object) -> Node:
        number = as_number(other)
        return self + (-as_node(other) if number is None else -number)

    def __rsub__(self, other: object) -> Node:
        return as_node(other) + (-self)

    def __neg__(self) -> Node:
        return Node(Scale(sp.Integer(-1)), (self,))

    def __mul__(self, other: object) -> Node:
        factor = as_number(other)
        if factor is not None:
            return self if factor == 1 else Node(Scale(factor), (self,))
        return _elementwise(Multiply(), self, as_node(other))

    def __rmul__(self, other: object) -> Node:
        return self * other

    def __truediv__(self, other: object) -> Node:
        divisor = as_number(other)
        if divisor is not None:
            if divisor == 0:
                raise DeclarationError(f"{self.title} is divided by zero")
            return self * (1 / divisor)
        return self * as_node(other) ** -1

    def __rtruediv__(self, other: object) -> Node:
        return self**-1 * other

    def __pow__(self, exponent: object) -> Node:
        number = as_number(exponent)
        if number is None or not number.is_Rational:
            raise DeclarationError(f"{self.title} ** {exponent!r}: the exponent must be a rational number")
        return self if number == 1 else Node(Power(number), (self,))

    def __rpow__(self, base: object) -> Node:
        raise DeclarationError(f"{base!r} ** {self.title}: a node cannot be an exponent; use st.exp")

    def __matmul__(self, other: object) -> Node:
        return Node(MatMul(), (self, as_node(other)))

    def __rmatmul__(self, other: object) -> Node:
        return as_node(other) @ self

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
        axes = range(self.rank) if axis is None else axis if isinstance(axis, Sequence) else [axis]
        if not all(isinstance(entry, int) for entry in axes):
            raise ShapeError(f"{self.title} {show(self.shape)}: sum takes axes as ints, not {axis!r}")
        return Node(Sum.over(axes, self.rank), (self,))

    def reshape(self, *sizes: object) -> Node:
        """The same entries in row-major order under another shape with as many entries."""
        return Node(Reshape(as_shape(sizes)), (self,))


def as_node(value: object) -> Node:
    """A node as it is, a number as a constant node; ``DeclarationError`` for anything else."""
    if isinstance(value, Node):
        return value
    number = as_number(value)
    if number is None:
        raise DeclarationError(
            f"{_describe(value)} cannot enter a graph: use finite real numbers, st.param, st.input or st.constant"
        )
    return Node(Number(number))


def as_number(value: object) -> sp.Expr | None:
    """A finite real number, or an expression in symbolic sizes, as SymPy holds it exactly; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, Real | sp.Expr):
        return None
    if isinstance(value, sp.Expr):
        number = sp.nsimplify(value, rational=True) if value.has(sp.Float) else value
    elif isinstance(value, Rational):
        number = sp.Rational(int(value.numerator), int(value.denominator))
    else:
        number = sp.nsimplify(float(value), rational=True)
    opaque = any(function.free_symbols for function in number.atoms(sp.Function))
    return number if number.is_real and is_in_sizes(number) and not opaque else None


def _describe(value: object) -> str:
    return repr(value) if isinstance(value, str | bool | float | sp.Basic) else type(value).__name__


def _elementwise(operation: Operation, *operands: Node) -> Node:
    rank = max(operand.rank for operand in operands)
    return Node(operation, [align(operand, rank) for operand in operands])


def align(node: Node, rank: int) -> Node:
    """The node with axes of size 1 put in front until it has ``rank`` axes, so that batch axes stay apart."""
    if node.rank == rank:
        return node
    if isinstance(node.operation, Number):
        return Node(Number(node.operation.value, rank))
    return Node(AddAxes(rank - node.rank), (node,))
