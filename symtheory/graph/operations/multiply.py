"""Elementwise (Hadamard) product of two tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import sympy as sp

from symtheory.graph.action import Action, ActionSystem, add_forms
from symtheory.graph.operation import Elementwise
from symtheory.graph.operations.stretch import hold_stretched_axes
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Multiply(Elementwise):
    """x ⊙ y; diagonal changes of basis add up, others pass only beside a factor that does not vary on their axis."""

    name: ClassVar[str] = "multiply"

    @property
    def label(self) -> str:
        return "⊙"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return sp.Mul(*operands)

    def matrix(self, *operands: Any) -> Any:
        if all(isinstance(operand, sp.MatrixExpr) for operand in operands):
            return sp.HadamardProduct(*operands)
        return operands[0] * operands[1]

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"{operands[0]} * {operands[1]}"

    def equivariance(self, system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]) -> Action:
        left, right = hold_stretched_axes(system, actions, shapes)
        for axis, (first, second) in enumerate(zip(*shapes, strict=True)):
            if first != 1 and second != 1:
                system.diagonal_axes.update(left.axes[axis], right.axes[axis])
        axes = tuple(add_forms(first, second) for first, second in zip(left.axes, right.axes, strict=True))
        return Action(axes, add_forms(left.diagonal, right.diagonal), add_forms(left.scale, right.scale))

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        left = None if tangents[0] is None else tangents[0] * operands[1]
        right = None if tangents[1] is None else operands[0] * tangents[1]
        if left is None or right is None:
            return left if right is None else right
        return left + right
