"""Sum of two tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.action import FIXING_ONES, Action, ActionSystem, Fate, relabelled
from symtheory.graph.layout import Layout
from symtheory.graph.operation import Elementwise
from symtheory.graph.operations.stretch import aligned_places, gathered, stretched_places
from symtheory.graph.shapes import Shape, same_shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Add(Elementwise):
    """x + y; what moves the sum linearly is what moves both summands alike."""

    name: ClassVar[str] = "add"

    @property
    def label(self) -> str:
        return "+"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return sp.Add(*operands)

    def matrix(self, *operands: Any) -> Any:
        if len({isinstance(operand, sp.MatrixExpr) for operand in operands}) > 1:
            raise CalculusError("a matrix plus a number has no matrix-expression meaning: bind small sizes instead")
        if isinstance(operands[0], sp.MatrixExpr) and operands[0].shape != operands[1].shape:
            raise CalculusError("a sum that stretches an operand has no matrix-expression meaning: bind small sizes")
        return operands[0] + operands[1]

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"{operands[0]} + {operands[1]}"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        left, right = (
            relabelled(action, aligned_places(layout, result)) for action, layout in zip(actions, layouts, strict=True)
        )
        # A matrix that fixes the ones vector does not see what is the same all along its axis.
        kept = {
            slot: form
            for action, other in ((left, layouts[1]), (right, layouts[0]))
            for slot, form in action.items()
            if slot.kind in FIXING_ONES and slot.place in stretched_places(other, result)
        }
        left, right = ({slot: form for slot, form in side.items() if slot not in kept} for side in (left, right))
        return {**system.agree(left, right), **kept}

    def translate(
        self, node: Node, shifts: Sequence[Node | None], sums: Sequence[Mapping[int, sp.Expr]]
    ) -> Node | Fate:
        left, right = shifts
        if left is None or right is None:
            return (left if right is None else right) or Fate.VANISHES
        return left + right

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        left, right = tangents
        if left is not None and right is not None:
            return left + right
        moving = left if right is None else right
        if moving is None or same_shape(moving.shape, result.shape):
            return moving
        return moving + result * 0  # stretches the tangent of a broadcast summand to the shape of the sum

    def adjoint(
        self, place: int, cotangent: str, operands: Sequence[str], shapes: Sequence[Shape], result: Shape
    ) -> str | None:
        return gathered(cotangent, shapes[place], result)
