"""The words of a declaration: leaves and the operations that are not Python operators."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from itertools import pairwise
from math import isfinite

import sympy as sp

from symtheory.errors import DeclarationError, ShapeError
from symtheory.graph.node import Node, as_number
from symtheory.graph.operation import Operation
from symtheory.graph.operations.absolute import Absolute
from symtheory.graph.operations.cumsum import CumulativeSum
from symtheory.graph.operations.exponential import Exponential
from symtheory.graph.operations.gelu import GELU
from symtheory.graph.operations.leaf import Constant, Input, Leaf, Parameter
from symtheory.graph.operations.logarithm import Logarithm
from symtheory.graph.operations.normalize import Normalize
from symtheory.graph.operations.relu import ReLU
from symtheory.graph.operations.sigmoid import Sigmoid
from symtheory.graph.operations.silu import SiLU
from symtheory.graph.operations.softmax import Softmax
from symtheory.graph.operations.spline import Spline
from symtheory.graph.operations.standardize import Standardize
from symtheory.graph.operations.tanh import Tanh
from symtheory.graph.operations.windows import Windows
from symtheory.graph.shapes import as_shape, as_size, element_count, same_size, show


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


def log(x: Node) -> Node:
    """Natural logarithm, elementwise; undefined for x ≤ 0."""
    return _apply(Logarithm(), x)


def tanh(x: Node) -> Node:
    """tanh(x), elementwise."""
    return _apply(Tanh(), x)


def sigmoid(x: Node) -> Node:
    """1 / (1 + exp(−x)), elementwise."""
    return _apply(Sigmoid(), x)


def spline(x: Node, knots: Sequence[float], values: Sequence[float], slopes: Sequence[float]) -> Node:
    """The cubic spline through values with slopes at increasing knots, elementwise; straight beyond its ends.

    It has no formula: it is trained and generated like any operation, and nothing is derived from it in symbols.
    """
    at, heights, rates = (tuple(float(entry) for entry in entries) for entries in (knots, values, slopes))
    if len(at) < 2 or not len(at) == len(heights) == len(rates):
        raise DeclarationError("a spline needs two or more knots, with a value and a slope for each")
    if any(left >= right for left, right in pairwise(at)) or not all(map(isfinite, (*at, *heights, *rates))):
        raise DeclarationError("the knots of a spline must increase, and all its numbers be finite")
    return _apply(Spline(at, heights, rates), x)


def silu(x: Node) -> Node:
    """x / (1 + exp(−x)), elementwise."""
    return _apply(SiLU(), x)


def gelu(x: Node) -> Node:
    """x Φ(x) = x (1 + erf(x/√2)) / 2, elementwise; exact, not the approximation by tanh."""
    return _apply(GELU(), x)


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
    return _apply(Standardize(eps=_eps(eps)), x)


def batch_norm(x: Node, eps: float = 0.0) -> Node:
    """(x − mean x) / √(var x + eps) along the axis before the last, the batch; without gain and bias.

    The input is then a whole batch, of shape (batch, features): normalisation couples its samples.
    """
    return _apply(Standardize(axis=-2, eps=_eps(eps)), x)


def cumsum(x: Node) -> Node:
    """Cumulative sum along the last axis."""
    return _apply(CumulativeSum(), x)


def windows(x: Node, size: object, axis: int = -1) -> Node:
    """All stretches of ``size`` neighbouring entries along one axis, counted from either end.

    x: (…, L, …); returns (…, L − size + 1, …, size), the place inside the window as a new last axis.
    """
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise ShapeError(f"windows takes an axis as an int, not {axis!r}")
    _require_nodes("windows", x)
    return Node(Windows(axis if axis < 0 else axis - x.rank, as_size(size)), (x,))


def conv(kernel: Node, x: Node) -> Node:
    """Cross-correlation without padding and with stride 1: z[a, p] = Σ_{b, o} kernel[a, b, o] x[b, p + o].

    kernel: (c_out, c_in, k_1, …, k_s); x: (c_in, L_1, …, L_s), one sample, s ≥ 1; returns
    (c_out, L_1 − k_1 + 1, …, L_s − k_s + 1). The positions p and the offsets o have s components each.
    """
    _require_nodes("conv", kernel, x)
    _require_convolvable(kernel, x)
    filters, channels, *sizes = kernel.shape
    stretches, spatial = x, len(sizes)
    for place, size in enumerate(sizes, 1):
        stretches = windows(stretches, size, place)
    positions = stretches.shape[1 : spatial + 1]
    offsets_first = stretches.transpose(0, *range(spatial + 1, 2 * spatial + 1), *range(1, spatial + 1))
    # Channels slowest and then offsets, on both sides of the product.
    summed = channels * element_count(tuple(sizes))
    product = kernel.reshape(filters, summed) @ offsets_first.reshape(summed, element_count(positions))
    return product.reshape(filters, *positions)


def _require_nodes(name: str, *operands: object) -> None:
    for operand in operands:
        if not isinstance(operand, Node):
            raise DeclarationError(f"{name} takes nodes of the graph, not {type(operand).__name__}")


def _require_convolvable(kernel: Node, x: Node) -> None:
    named = f"conv({kernel.title} {show(kernel.shape)}, {x.title} {show(x.shape)})"
    if kernel.rank < 3 or x.rank != kernel.rank - 1:
        raise ShapeError(f"{named}: a kernel (c_out, c_in, k_1, …, k_s) goes with an operand (c_in, L_1, …, L_s)")
    if not same_size(kernel.shape[1], x.shape[0]):
        raise ShapeError(f"{named}: the kernel takes {kernel.shape[1]} channels and the operand has {x.shape[0]}")


def _eps(value: float) -> sp.Expr:
    number = as_number(value)
    if number is None or not (number.is_number and number >= 0):
        raise DeclarationError(f"eps = {value!r} must be a number ≥ 0")
    return number


def _apply(operation: Operation, x: Node) -> Node:
    if not isinstance(x, Node):
        raise DeclarationError(f"{operation.name} takes a node of the graph, not {type(x).__name__}")
    return Node(operation, (x,))
