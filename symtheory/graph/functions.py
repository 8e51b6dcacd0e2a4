"""The words of a declaration: leaves and the operations that are not Python operators."""

from __future__ import annotations

import keyword

import sympy as sp

from symtheory.errors import DeclarationError
from symtheory.graph.node import Node, as_number
from symtheory.graph.operation import Operation
from symtheory.graph.operations.absolute import Absolute
from symtheory.graph.operations.cumsum import CumulativeSum
from symtheory.graph.operations.exponential import Exponential
from symtheory.graph.operations.layer_norm import LayerNorm
from symtheory.graph.operations.leaf import Constant, Input, Leaf, Parameter
from symtheory.graph.operations.normalize import Normalize
from symtheory.graph.operations.relu import ReLU
from symtheory.graph.operations.softmax import Softmax
from symtheory.graph.operations.tanh import Tanh
from symtheory.graph.shapes import as_shape


def param(name: str, *sizes: object) -> Node:
    """A trainable array of shape ``sizes`` (ints or symbols of ``dims``; none for a scalar)."""
    return _leaf(Parameter, name, sizes)


def input(name: str, *sizes: object) -> Node:
    """One sample of the data, of shape ``sizes``; generated functions take batches of samples."""
    return _leaf(Input, name, sizes)


def constant(name: str, *sizes: object) -> Node:
    """A fixed array of shape ``sizes``, passed by name to the generated functions."""
    return _leaf(Constant, name, sizes)


def _leaf(kind: type[Leaf], name: str, sizes: tuple[object, ...]) -> Node:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise DeclarationError(f"{kind.name} name {name!r} must be a plain Python identifier such as 'W1'")
    return Node(kind(name, as_shape(sizes)))


def relu(x: Node) -> Node:
    """max(x, 0), elementwise."""
    return _apply(ReLU(), x)


def leaky_relu(x: Node, slope: object = sp.Rational(1, 100)) -> Node:
    """max(x, slope·x), elementwise, 0 < slope < 1."""
    value = as_number(slope)
    if value is None or not (value.is_number and 0 < value < 1):
        raise DeclarationError(f"leaky_relu slope {slope!r} must be a number between 0 and 1")
    return _apply(ReLU(value), x)


def abs(x: Node) -> Node:
    """|x|, elementwise."""
    return _apply(Absolute(), x)


def exp(x: Node) -> Node:
    """exp(x), elementwise."""
    return _apply(Exponential(), x)


def tanh(x: Node) -> Node:
    """tanh(x), elementwise."""
    return _apply(Tanh(), x)


def softmax(x: Node) -> Node:
    """exp(x_i) / Σ_j exp(x_j) along the last axis."""
    return _apply(Softmax(), x)


def normalize(x: Node) -> Node:
    """x / ‖x‖ along the last axis (Euclidean norm; undefined at 0)."""
    return _apply(Normalize(), x)


def rms_norm(x: Node, eps: float = 0.0) -> Node:
    """x / √(mean x² + eps) along the last axis; without gain (multiply by a parameter for one)."""
    return _apply(Normalize(mean=True, eps=_eps(eps)), x)


def layer_norm(x: Node, eps: float = 0.0) -> Node:
    """(x − mean x) / √(var x + eps) along the last axis; without gain and bias."""
    return _apply(LayerNorm(_eps(eps)), x)


def cumsum(x: Node) -> Node:
    """Cumulative sum along the last axis."""
    return _apply(CumulativeSum(), x)


def _eps(value: float) -> sp.Expr:
    number = as_number(value)
    if number is None or not (number.is_number and number >= 0):
        raise DeclarationError(f"eps = {value!r} must be a number ≥ 0")
    return number


def _apply(operation: Operation, x: Node) -> Node:
    if not isinstance(x, Node):
        raise DeclarationError(f"{operation.name} takes a node of the graph, not {type(x).__name__}")
    return Node(operation, (x,))
