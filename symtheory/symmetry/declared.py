"""A symmetry that a user declares as a vector field: verified before it is believed, refused with a counterexample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.errors import CalculusError, DeclarationError, SymmetryError
from symtheory.graph.computation_graph import ComputationGraph
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Constant, Leaf, Parameter
from symtheory.graph.shapes import Shape, element_count, is_bound
from symtheory.graph.subgraph import as_matrix, evaluate, nodes_below
from symtheory.lazy_module import LazyModule
from symtheory.symmetry.factor import Factor, are_arrays

if TYPE_CHECKING:
    import numpy as np
    from scipy import linalg
else:
    np = LazyModule("numpy")
    linalg = LazyModule("scipy.linalg")

POINTS = 3
"""Random points at which a declared field is tested; a wrong one passes at one of them with probability near zero."""

DIGITS, ZERO_BELOW = 40, sp.Float("1e-25")
"""Graphs with roots or exponentials are evaluated with this many digits, and what is below counts as zero."""


@dataclass(frozen=True)
class DeclaredSymmetry(Factor):
    """The flows of a declared affine vector field X_a(θ), linear in the entries of a: θ moves to the flow's end at 1.

    leaf: the node that stands for a; field: parameter → node of its infinitesimal change.
    """

    leaf: Node
    changes: Mapping[str, Node]

    @property
    def kind(self) -> str:
        return "declared"

    @property
    def lives_on(self) -> str:
        return f"({', '.join(self.changes)}), as declared"

    @property
    def dimension(self) -> sp.Expr:
        return element_count(self.leaf.shape)

    @property
    def hollow_dimension(self) -> sp.Expr:
        return self.dimension

    @property
    def element(self) -> Any:
        return self.leaf.operation.matrix()

    @property
    def element_shape(self) -> Shape:
        return self.leaf.shape

    @property
    def generators(self) -> tuple[dict[str, Any], ...]:
        return ({name: as_matrix(node) for name, node in self.changes.items()},)

    @property
    def charges(self) -> dict[str, Any]:
        """None is derived: whether a declared field is symmetric is not examined."""
        return {}

    def act(self, g: Any, point: Mapping[str, Any]) -> dict[str, Any]:
        """The flow of X_g for time 1, on arrays; ``CalculusError`` for expressions."""
        if not are_arrays(point):
            raise CalculusError(f"the declared symmetry '{self.name}' acts on arrays; its generators are expressions")
        own = {name: point[name] for name in self.shapes}
        origin = {name: np.zeros_like(value) for name, value in own.items()}
        constant = _flat(self.field(g, origin), own)
        columns = []
        for name, value in own.items():
            for index in np.ndindex(value.shape):
                unit = {**origin, name: origin[name].copy()}
                unit[name][index] = 1.0
                columns.append(_flat(self.field(g, unit), own) - constant)
        size = len(constant)
        generator = np.zeros((size + 1, size + 1))
        generator[:size, :size], generator[:size, size] = np.array(columns).T, constant
        moved = (linalg.expm(generator) @ np.append(_flat(own, own), 1.0))[:size]
        parts = np.split(moved, np.cumsum([value.size for value in own.values()])[:-1])
        return {
            **point,
            **{name: part.reshape(value.shape) for (name, value), part in zip(own.items(), parts, strict=True)},
        }

    def identity(self) -> np.ndarray:
        return np.zeros(self._array_shape)

    def inverse(self, g: Any) -> Any:
        return -g

    def compose(self, g: Any, h: Any) -> Any:
        raise CalculusError(f"elements of the declared symmetry '{self.name}' are flows: act with one after the other")

    def sample(self, rng: np.random.Generator, condition: float = 10.0) -> np.ndarray:
        return np.asarray(rng.uniform(-0.5, 0.5, size=self._array_shape) * np.log(condition) / 2)

    def algebra_sample(self, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(rng.standard_normal(self._array_shape))

    def exponential(self, a: np.ndarray) -> np.ndarray:
        return a

    def field(self, a: np.ndarray, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = {**point, _label(self.leaf): a}
        return {
            name: evaluate(node, values).astype(np.float64).reshape(np.shape(point[name]))
            for name, node in self.changes.items()
        }

    @property
    def _array_shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.leaf.shape)


def declare(graph: ComputationGraph, name: str, changes: Mapping[str, Node]) -> DeclaredSymmetry:
    """The declared factor of a bound graph, after a test of Dφ(θ; x)[X_a(θ)] = 0 at random points.

    changes: parameter → node of its infinitesimal change, affine in the parameters and linear in one ``st.constant``
    a that is no constant of the graph. Rational and piecewise linear graphs are tested in exact arithmetic, others
    with 40 digits. Raises ``DeclarationError`` for a field that is not of this form, and ``SymmetryError`` with the
    point for one under which the predictor moves.
    """
    leaf = _algebra_leaf(graph, name, changes)
    moved = graph.differential(changes)
    rng = np.random.default_rng(0)
    for _ in range(POINTS):
        if moved is None:
            break
        point = {key: _rationals(rng, shape) for key, shape in _leaf_shapes(graph, leaf).items()}
        value = evaluate(moved, point)
        for index in np.ndindex(value.shape):
            if not _is_zero(value[index]):
                raise SymmetryError(_counterexample(name, index, value[index], point))
    shapes = {key: graph.parameters[key] for key in graph.parameters if key in changes}
    return DeclaredSymmetry(name, shapes, leaf, {key: changes[key] for key in shapes})


def _algebra_leaf(graph: ComputationGraph, name: str, changes: Mapping[str, Node]) -> Node:
    leaves = {node for root in changes.values() for node in nodes_below(root) if isinstance(node.operation, Leaf)}
    free = {
        _label(node): node
        for node in leaves
        if isinstance(node.operation, Constant) and _label(node) not in graph.constants
    }
    if len(free) != 1:
        raise DeclarationError(
            f"the declared symmetry '{name}' must depend on one st.constant that is not in the graph, "
            f"its element of the Lie algebra; found {', '.join(sorted(free)) or 'none'}"
        )
    unknown = [_label(n) for n in leaves if isinstance(n.operation, Parameter) and _label(n) not in graph.parameters]
    if unknown:
        raise DeclarationError(
            f"the declared symmetry '{name}' uses '{unknown[0]}', which is no parameter of the graph"
        )
    (leaf,) = free.values()
    if not is_bound(leaf.shape):
        raise DeclarationError(f"the declared symmetry '{name}' has unbound sizes: declare it on a bound graph")
    return leaf


def _leaf_shapes(graph: ComputationGraph, leaf: Node) -> dict[str, Shape]:
    return {**graph.parameters, **graph.inputs, **graph.constants, _label(leaf): leaf.shape}


def _rationals(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    sizes = tuple(int(size) for size in shape)
    numerators = rng.integers(1, 17, size=sizes) * rng.choice([-1, 1], size=sizes)
    return np.asarray(np.frompyfunc(lambda a: sp.Rational(int(a), 8), 1, 1)(numerators), dtype=object)


def _is_zero(value: Any) -> bool:
    number = sp.sympify(value)
    if number.is_Rational:
        return bool(number == 0)
    return bool(abs(sp.N(number, DIGITS)) < ZERO_BELOW)


def _counterexample(name: str, index: tuple[int, ...], value: Any, point: Mapping[str, np.ndarray]) -> str:
    where = "; ".join(f"{key} = {array.tolist()}" for key, array in point.items())
    entry = f"entry {list(index)} of " if index else ""
    return f"'{name}' is no symmetry: {entry}the predictor moves at the rate {sp.N(value, 6)} at {where}"


def _label(node: Node) -> str:
    return node.operation.label


def _flat(values: Mapping[str, np.ndarray], order: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.broadcast_to(values.get(name, 0.0), np.shape(order[name])).ravel() for name in order])
