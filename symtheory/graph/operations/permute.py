"""Axes in another order; the transpose is the case of two axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import sympy as sp

from symtheory.errors import CalculusError, ShapeError
from symtheory.graph.action import Action, ActionSystem, Fate, relabelled
from symtheory.graph.axis_links import RESULT, End, Link, link
from symtheory.graph.layout import Layout
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import Shape, show

if TYPE_CHECKING:
    import numpy as np

    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Permute(Operation):
    """Axis i of the result is axis ``axes[i]`` of the operand; changes of basis move with their axes."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "transpose"

    @property
    def label(self) -> str:
        return "ᵀ" if self._is_matrix_transpose else f"transpose{self.axes}"

    @property
    def _is_matrix_transpose(self) -> bool:
        rank = len(self.axes)
        return self.axes == (*range(rank - 2), rank - 1, rank - 2)

    def shape(self, operands: Sequence[Shape]) -> Shape:
        (operand,) = operands
        if sorted(self.axes) != list(range(len(operand))):
            raise ShapeError(f"axes {self.axes} are no order of the {len(operand)} axes of {show(operand)}")
        return tuple(operand[axis] for axis in self.axes)

    def components(self, *operands: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.transpose(operands[0], self.axes)

    def matrix(self, *operands: Any) -> Any:
        if len(self.axes) != 2:
            raise CalculusError("a transpose of more than two axes has no matrix meaning")
        return operands[0].T

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        if self._is_matrix_transpose:
            return f"{operands[0]}.mT"
        rank = len(self.axes)
        source = tuple(axis - rank for axis in self.axes)
        return f"torch.movedim({operands[0]}, {source}, {tuple(range(-rank, 0))})"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        new_place = {
            old: new
            for axis, source in enumerate(self.axes)
            for new, old in zip(result.places(axis), layouts[0].places(source), strict=True)
        }
        return relabelled(actions[0], new_place)

    def translate(
        self, node: Node, shifts: Sequence[Node | None], sums: Sequence[Mapping[int, sp.Expr]]
    ) -> Node | Fate:
        (shift,) = shifts
        return Fate.VANISHES if shift is None else shift.transpose(*self.axes)

    def known_sums(self, node: Node, sums: Sequence[Mapping[int, sp.Expr]]) -> Mapping[int, sp.Expr]:
        rank = len(self.axes)
        return {
            axis - rank: sums[0][source - rank] for axis, source in enumerate(self.axes) if source - rank in sums[0]
        }

    def linked_axes(self, shapes: Sequence[Shape], result: Shape) -> Iterator[Link]:
        for axis, source in enumerate(self.axes):
            yield link(End(0, source), End(RESULT, axis))

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else tangents[0].transpose(*self.axes)

    def adjoint(
        self, place: int, cotangent: str, operands: Sequence[str], shapes: Sequence[Shape], result: Shape
    ) -> str | None:
        rank = len(self.axes)
        if self._is_matrix_transpose:
            return f"{cotangent}.mT"
        target = tuple(axis - rank for axis in self.axes)
        return f"torch.movedim({cotangent}, {tuple(range(-rank, 0))}, {target})"
