"""Axes of size 1 put in front, so that operands of different rank can meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.action import Action, ActionSystem, Fate, relabelled
from symtheory.graph.axis_links import RESULT, End, Link, link
from symtheory.graph.layout import Layout
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    import numpy as np

    from symtheory.graph.node import Node


@dataclass(frozen=True)
class AddAxes(Operation):
    """Shape (…) becomes (1, …, 1, …); changes of basis pass unchanged."""

    count: int
    name: ClassVar[str] = "add_axes"

    @property
    def label(self) -> str:
        return "broadcast"

    def shape(self, operands: Sequence[Shape]) -> Shape:
        return (sp.Integer(1),) * self.count + operands[0]

    def components(self, *operands: np.ndarray) -> np.ndarray:
        return operands[0].reshape((1,) * self.count + operands[0].shape)

    def matrix(self, *operands: Any) -> Any:
        """A vector, which matrix expressions hold as a column, becomes a row."""
        (operand,) = operands
        if self.count != 1 or not isinstance(operand, sp.MatrixExpr) or operand.shape[1] != 1:
            raise CalculusError("a stack of matrices has no matrix-expression meaning: bind small sizes instead")
        return operand.T

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return operands[0] + f".unsqueeze(-{len(shapes[0]) + 1})" * self.count

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        return relabelled(actions[0], {place: place + self.count for place in range(len(layouts[0].sizes))})

    def translate(
        self, node: Node, shifts: Sequence[Node | None], sums: Sequence[Mapping[int, sp.Expr]]
    ) -> Node | Fate:
        (shift,) = shifts
        return Fate.VANISHES if shift is None else type(node)(self, (shift,))

    def known_sums(self, node: Node, sums: Sequence[Mapping[int, sp.Expr]]) -> Mapping[int, sp.Expr]:
        return sums[0]

    def linked_axes(self, shapes: Sequence[Shape], result: Shape) -> Iterator[Link]:
        for axis in range(len(shapes[0])):
            yield link(End(0, axis), End(RESULT, axis + self.count))

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else tangents[0].reshape(*result.shape)

    def adjoint(
        self, place: int, cotangent: str, operands: Sequence[str], shapes: Sequence[Shape], result: Shape
    ) -> str | None:
        return cotangent + f".squeeze(-{len(shapes[0]) + 1})" * self.count
