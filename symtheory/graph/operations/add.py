"""Sum of two tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.action import Action, ActionSystem
from symtheory.graph.operation import Elementwise
from symtheory.graph.operations.stretch import hold_stretched_axes
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
        return operands[0] + operands[1]

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"{operands[0]} + {operands[1]}"

    def equivariance(self, system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]) -> Action:
        left, right = hold_stretched_axes(system, actions, shapes)
        return system.agree(left, right)

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        left, right = tangents
        if left is not None and right is not None:
            return left + right
        moving = left if right is None else right
        if moving is None or same_shape(moving.shape, result.shape):
            return moving
        return moving + result * 0  # stretches the tangent of a broadcast summand to the shape of the sum
