"""Shifts of a parameter, as before a softmax or a normalisation, with the shifts of biases that make up for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.action import subsets
from symtheory.graph.node import Node
from symtheory.graph.operations.leaf import Constant
from symtheory.graph.operations.scale import Scale
from symtheory.graph.shapes import Shape, same_shape
from symtheory.graph.subgraph import as_matrix, as_scalar, evaluate, nodes_below
from symtheory.lazy_module import LazyModule
from symtheory.symmetry.factor import Factor, are_arrays
from symtheory.symmetry.site import Pattern

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

SHIFT = "shift of"
"""Key of a shift among the patterns, apart from the rescaling of the same parameter."""


@dataclass(frozen=True)
class Translation(Factor):
    """θ_P ↦ θ_P + t for t that is the same along all axes of P but ``axes``; biases b ↦ b − W t make up for it.

    parameter: P; axes: those along which t varies; leaf: the node that stands for t, of P's shape with size 1 along
    the other axes; compensation: parameter → node of its change, linear in t;
    coordinatewise: whether symbols stand for single coordinates, as in a graph that acts on each by itself.
    """

    parameter: str
    axes: tuple[int, ...]
    leaf: Node
    compensation: Mapping[str, Node] = field(default_factory=dict)
    coordinatewise: bool = False

    @property
    def kind(self) -> str:
        return "translation"

    @property
    def lives_on(self) -> str:
        fixed = [axis for axis in range(len(self.shapes[self.parameter])) if axis not in self.axes]
        along = f", the same along axis {' and '.join(map(str, fixed))}" if fixed else ""
        made_up = f"; {', '.join(self.compensation)} made up for it" if self.compensation else ""
        return f"{self.parameter}{along}{made_up}"

    @property
    def dimension(self) -> sp.Expr:
        return sp.Mul(*self.leaf.shape)

    @property
    def weighted_patterns(self) -> tuple[tuple[sp.Expr, Pattern], ...]:
        shape = self.shapes[self.parameter]
        return tuple(
            (sp.Mul(*(shape[axis] - 1 for axis in chosen)), {(f"{SHIFT} {self.parameter}", chosen): sp.Integer(1)})
            for chosen in subsets(self.axes)
        )

    @cached_property
    def element(self) -> Any:
        """A symbol t, of shape (size along ``axes`` or 1), as the parameter's matrix symbol has it."""
        return self.leaf.operation.scalar() if self.coordinatewise else self.leaf.operation.matrix()

    @property
    def element_shape(self) -> Shape:
        return self.leaf.shape

    @property
    def generators(self) -> tuple[dict[str, Any], ...]:
        """The change of every parameter, linear in t."""
        if self.coordinatewise:
            return (
                {self.parameter: self.element, **{name: as_scalar(node) for name, node in self.compensation.items()}},
            )
        stretched = {self.parameter: self._stretched(self.element)}
        return ({**stretched, **{name: as_matrix(node) for name, node in self.compensation.items()}},)

    def _stretched(self, t: Any) -> Any:
        """t along the axes where it is the same, as a matrix expression."""
        shape = (*self.shapes[self.parameter], 1, 1)[:2] if len(self.shapes[self.parameter]) <= 2 else None
        if shape is None:
            raise CalculusError(f"'{self.parameter}' has more than two axes: no matrix expression of this factor")
        if not isinstance(t, sp.MatrixExpr):
            return t
        for axis, (size, wide) in enumerate(zip(t.shape, shape, strict=True)):
            if size != wide:
                ones = sp.OneMatrix(wide, 1) if axis == 0 else sp.OneMatrix(1, wide)
                t = ones * t if axis == 0 else t * ones
        return t

    def act(self, g: Any, point: Mapping[str, Any]) -> dict[str, Any]:
        """g: the shift t, an array of the shape of ``leaf`` or an expression."""
        if are_arrays(point):
            change = self.field(g, point)
            return {name: np.asarray(value + change.get(name, 0.0)) for name, value in point.items()}
        own = {symbol: value for name, value in point.items() if (symbol := self._symbol_of(name)) is not None}
        values = {self.element: g, **own}
        moved = {
            name: point[name] + _replaced(change, values) if name in point else change
            for name, change in self.generators[0].items()
        }
        return {**point, **moved}

    def _symbol_of(self, name: str) -> Any:
        """The symbol by which the generators name a parameter; None for one they do not name."""
        if self.coordinatewise:
            return self.symbol(name)
        leaves = (node for root in self.compensation.values() for node in nodes_below(root))
        return next((as_matrix(node) for node in leaves if node.operation.label == name), None)

    def identity(self) -> np.ndarray:
        return np.zeros(self._array_shape)

    def inverse(self, g: Any) -> Any:
        return -g

    def compose(self, g: Any, h: Any) -> Any:
        return g + h

    def sample(self, rng: np.random.Generator, condition: float = 10.0) -> np.ndarray:
        """Standard normal entries; a shift has no condition number."""
        return np.asarray(rng.standard_normal(self._array_shape))

    def algebra_sample(self, rng: np.random.Generator) -> np.ndarray:
        return self.sample(rng)

    def exponential(self, a: np.ndarray) -> np.ndarray:
        return a

    def field(self, a: np.ndarray, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        shape = tuple(int(size) for size in self.shapes[self.parameter])
        change = {self.parameter: np.broadcast_to(a, shape).copy()}
        for name, node in self.compensation.items():
            value = evaluate(node, {**point, self.leaf.operation.label: a}).astype(np.float64)
            change[name] = np.broadcast_to(value, tuple(int(size) for size in self.shapes[name])).copy()
        return change

    @cached_property
    def multiples(self) -> dict[str, sp.Expr] | None:
        """Parameter → c where all change by c t, in one shape; None where a change is no such multiple."""
        found: dict[str, sp.Expr] = {self.parameter: sp.Integer(1)}
        for name, node in self.compensation.items():
            factor: sp.Expr = sp.Integer(1)
            while isinstance(node.operation, Scale):
                factor *= node.operation.factor
                (node,) = node.operands
            if not isinstance(node.operation, Constant) or not same_shape(self.shapes[name], self._shape):
                return None
            found[name] = factor
        return found

    @property
    def has_charge(self) -> bool:
        return self.multiples is not None

    @property
    def charges(self) -> dict[str, Any]:
        """Σ c θ, summed along the axes where t is the same; none where a change depends on other parameters."""
        terms = [factor * self._summed(self.symbol(name)) for name, factor in (self.multiples or {}).items()]
        return {self.name: sum(terms[1:], terms[0])} if terms else {}

    def _summed(self, symbol: Any) -> Any:
        rows, columns = (*self._shape, 1, 1)[:2]
        for axis in self.summed_axes:
            symbol = sp.OneMatrix(1, rows) * symbol if axis == 0 else symbol * sp.OneMatrix(columns, 1)
        return symbol

    def charge_values(self, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        terms = [
            float(factor) * point[name].sum(axis=self.summed_axes, keepdims=True)
            for name, factor in (self.multiples or {}).items()
        ]
        return {self.name: np.asarray(sum(terms[1:], terms[0]))} if terms else {}

    def symbol(self, parameter: str) -> Any:
        return sp.Symbol(parameter, real=True) if self.coordinatewise else super().symbol(parameter)

    def balanced(self, point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The charge zero, at the point of smallest norm; where there is none, P with mean zero along its axes."""
        count = np.prod([point[self.parameter].shape[axis] for axis in self.summed_axes])
        if self.multiples is None:
            return self.act(-point[self.parameter].sum(axis=self.summed_axes, keepdims=True) / count, point)
        (charge,) = self.charge_values(point).values()
        length = float(sum(factor**2 for factor in self.multiples.values())) * count
        return self.act(-charge / length, point)

    @property
    def summed_axes(self) -> tuple[int, ...]:
        """The axes of P along which t is the same."""
        return tuple(axis for axis, size in enumerate(self.leaf.shape) if size == 1 and self._shape[axis] != 1)

    @property
    def _shape(self) -> Shape:
        return self.shapes[self.parameter]

    @property
    def _array_shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.leaf.shape)


def _replaced(expression: Any, values: Mapping[Any, Any]) -> Any:
    return expression.subs(values, simultaneous=True).doit() if hasattr(expression, "subs") else expression
