"""Contraction of the last axis of the left operand with the matching axis of the right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from symtheory.errors import ShapeError
from symtheory.graph.action import Action, ActionSystem, Form, add_forms
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import Shape, broadcast, same_size

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class MatMul(Operation):
    """x @ y with numpy's rules for vectors and stacked matrices; GL acts on the contracted axis."""

    name: ClassVar[str] = "matmul"

    @property
    def label(self) -> str:
        return "@"

    def shape(self, operands: Sequence[Shape]) -> Shape:
        left, right = operands
        if not left or not right:
            raise ShapeError("a scalar cannot be contracted: use * instead of @")
        if not same_size(left[-1], right[_inner(right)]):
            raise ShapeError(f"inner sizes {left[-1]} and {right[_inner(right)]} do not agree")
        rows, columns = left[-2:-1], right[-1:] if len(right) > 1 else ()
        if len(left) > 2 and len(right) > 2 and len(left) != len(right):
            raise ShapeError("stacked matrices must have equally many leading axes")
        stacks = [shape[:-2] for shape in operands if len(shape) > 2]
        return (*(broadcast(stacks) if stacks else ()), *rows, *columns)

    def components(self, *operands: np.ndarray) -> np.ndarray:
        return np.asarray(np.matmul(*operands), dtype=object)

    def matrix(self, *operands: Any) -> Any:
        left, right = operands
        return left.T * right if left.shape[1] == 1 and left.shape[0] == right.shape[0] != 1 else left * right

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        left, right = operands
        if len(shapes[0]) == 1 and len(shapes[1]) == 1:
            return f"({left} * {right}).sum(dim=-1)"
        if len(shapes[0]) == 1:
            return f"({left}.unsqueeze(-2) @ {right}).squeeze(-2)"
        if len(shapes[1]) == 1:
            return f"({left} @ {right}.unsqueeze(-1)).squeeze(-1)"
        for index, rank in enumerate(map(len, shapes)):
            missing = max(map(len, shapes)) - rank
            if missing:
                operands = [*operands]
                operands[index] += ".unsqueeze(-3)" * missing
        return f"{operands[0]} @ {operands[1]}"

    def equivariance(self, system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]) -> Action:
        left, right = actions
        inner = _inner(shapes[1])
        system.vanish_axis(add_forms(left.axes[-1], right.axes[inner]))
        system.vanish_diagonal(left.diagonal)
        system.vanish_diagonal(right.diagonal)
        rows = left.axes[-2:-1]
        columns = right.axes[-1:] if len(right.axes) > 1 else ()
        stacks = self._stack_forms(system, actions, shapes)
        return Action((*stacks, *rows, *columns), scale=add_forms(left.scale, right.scale))

    def _stack_forms(
        self, system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]
    ) -> tuple[Form, ...]:
        """Leading axes are multiplied coordinate by coordinate: their forms add up and must be diagonal."""
        stacked = [action.axes[:-2] for action, shape in zip(actions, shapes, strict=True) if len(shape) > 2]
        if not stacked:
            return ()
        for form in (form for axes in stacked for form in axes):
            system.diagonal_axes.update(form)
        return tuple(add_forms(*forms) for forms in zip(*stacked, strict=True))

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        left = None if tangents[0] is None else tangents[0] @ operands[1]
        right = None if tangents[1] is None else operands[0] @ tangents[1]
        if left is None or right is None:
            return left if right is None else right
        return left + right


def _inner(right: Shape) -> int:
    return -2 if len(right) > 1 else -1
