"""Leaves of the graph: parameters, inputs, constants and plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.action import MATRICES, TRIVIAL, Action, ActionSystem, Kind, Slot, Unknown, subsets
from symtheory.graph.layout import Layout
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import Shape, bind_shape, is_bound, show, torch_number

if TYPE_CHECKING:
    import numpy as np

    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Leaf(Operation):
    """A named array of a declared shape."""

    identifier: str
    sizes: Shape
    name: ClassVar[str] = "leaf"

    @property
    def label(self) -> str:
        return self.identifier

    def shape(self, operands: Sequence[Shape]) -> Shape:
        return self.sizes

    def components(self, *operands: np.ndarray) -> np.ndarray:
        """Real symbols ``name`` (scalar) or ``name[i, j]``, in an object array of the leaf's shape."""
        import numpy as np

        if not is_bound(self.sizes):
            raise CalculusError(f"{self.identifier} {show(self.sizes)} has unbound sizes: call bind(...) first")
        array = np.empty(tuple(int(size) for size in self.sizes), dtype=object)
        for index in np.ndindex(array.shape):
            suffix = f"[{', '.join(map(str, index))}]" if index else ""
            array[index] = sp.Symbol(self.identifier + suffix, real=True)
        return array

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return sp.Symbol(self.identifier, real=True)

    def matrix(self, *operands: Any) -> Any:
        if len(self.sizes) == 0:
            return sp.Symbol(self.identifier, real=True)
        if len(self.sizes) > 2:
            raise CalculusError(f"{self.identifier} {show(self.sizes)} has more than two axes: no matrix meaning")
        rows, columns = (*self.sizes, sp.Integer(1))[:2]
        return sp.MatrixSymbol(self.identifier, rows, columns)

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return self.identifier

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        return TRIVIAL

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None

    def bind(self, sizes: Mapping[sp.Symbol, int]) -> Operation:
        return replace(self, sizes=bind_shape(self.sizes, sizes))


@dataclass(frozen=True)
class Parameter(Leaf):
    """What training moves: every matrix along a place and every factor starts as a free unknown."""

    name: ClassVar[str] = "parameter"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        places = tuple(place for place, size in enumerate(result.sizes) if size != 1)
        slots = [Slot(kind, None, varies) for kind in (Kind.NUMBER, Kind.SIGN) for varies in subsets(places)]
        slots += [
            Slot(kind, place, varies)
            for kind in MATRICES
            for place in places
            for varies in subsets(tuple(other for other in places if other != place))
        ]
        return {slot: {Unknown(self.identifier, slot): Fraction(1)} for slot in slots}


@dataclass(frozen=True)
class Input(Leaf):
    """One sample of the data; no symmetry may move it."""

    name: ClassVar[str] = "input"


@dataclass(frozen=True)
class Constant(Leaf):
    """A fixed array, the same for all samples; no symmetry may move it."""

    name: ClassVar[str] = "constant"


@dataclass(frozen=True)
class Number(Operation):
    """A plain number, or expression in the sizes, that entered through ``+``: ``rank`` axes of size 1."""

    value: sp.Expr
    rank: int = 0
    name: ClassVar[str] = "number"

    @property
    def label(self) -> str:
        return str(self.value)

    def shape(self, operands: Sequence[Shape]) -> Shape:
        return (sp.Integer(1),) * self.rank

    def components(self, *operands: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.full((1,) * self.rank, self.value, dtype=object)

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return self.value

    def matrix(self, *operands: Any) -> Any:
        return self.value

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return torch_number(self.value)

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        return TRIVIAL

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None

    def needed_sizes(self) -> set[sp.Symbol]:
        return set(self.value.free_symbols)

    def bind(self, sizes: Mapping[sp.Symbol, int]) -> Operation:
        return replace(self, value=self.value.subs(sizes))
