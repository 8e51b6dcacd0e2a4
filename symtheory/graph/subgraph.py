"""A node with everything below it, without a graph around: its leaves, its meanings, its value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from symtheory.graph.node import Node
from symtheory.graph.operations.add import Add
from symtheory.graph.operations.add_axes import AddAxes
from symtheory.graph.operations.leaf import Leaf, Parameter
from symtheory.graph.operations.matmul import MatMul
from symtheory.graph.operations.multiply import Multiply
from symtheory.graph.operations.permute import Permute
from symtheory.graph.operations.reshape import Reshape
from symtheory.graph.operations.scale import Scale
from symtheory.lazy_module import LazyModule

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")


def nodes_below(root: Node) -> Iterator[Node]:
    """The node and its operands, all the way down; shared ones once."""
    seen: set[Node] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            yield node
            stack.extend(node.operands)


def parameters_below(root: Node) -> set[str]:
    """Names of the parameters that a node depends on."""
    return {node.operation.identifier for node in nodes_below(root) if isinstance(node.operation, Parameter)}


def as_scalar(root: Node) -> Any:
    """The SymPy meaning of a node on one coordinate."""
    return root.operation.scalar(*map(as_scalar, root.operands))


def as_matrix(root: Node) -> Any:
    """The SymPy meaning of a node as a matrix expression."""
    return root.operation.matrix(*map(as_matrix, root.operands))


def as_text(root: Node) -> str:
    """A node as a formula to read: products, sums and multiples; reshapes and stretched axes are left out."""
    return _text(root)[0]


SUM, PRODUCT, ATOM = range(3)


def _text(root: Node) -> tuple[str, int]:
    """The formula, and how tightly it holds together."""
    operation = root.operation
    if not root.operands:
        return operation.label, ATOM
    if isinstance(operation, AddAxes | Reshape):
        return _text(root.operands[0])
    if isinstance(operation, Permute):
        return (f"{_held(root.operands[0], ATOM)}.T", ATOM) if operation.label == "ᵀ" else _text(root.operands[0])
    if isinstance(operation, Scale):
        sign = "-" if operation.factor == -1 else operation.label
        return f"{sign}{_held(root.operands[0], PRODUCT + (sign == '-'))}", PRODUCT
    if isinstance(operation, Add):
        return " + ".join(_held(operand, SUM) for operand in root.operands), SUM
    if isinstance(operation, MatMul | Multiply):
        left, right = root.operands
        return f"{_held(left, PRODUCT)} {operation.label} {_held(right, ATOM)}", PRODUCT
    return f"{operation.label}({', '.join(as_text(operand) for operand in root.operands)})", ATOM


def _held(node: Node, level: int) -> str:
    text, own = _text(node)
    return text if own >= level else f"({text})"


def evaluate(root: Node, leaves: Mapping[str, np.ndarray]) -> np.ndarray:
    """A node at values for its leaves by name, operation by operation in components; an object array."""
    values: dict[Node, np.ndarray] = {}

    def value(node: Node) -> np.ndarray:
        if node not in values:
            is_named = isinstance(node.operation, Leaf)
            result = leaves[node.operation.label] if is_named else node.operation.components(*map(value, node.operands))
            values[node] = np.asarray(result, dtype=object)
        return values[node]

    return value(root)
