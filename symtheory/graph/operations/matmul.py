"""Contraction of the last axis of the left operand with the matching axis of the right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from symtheory.errors import ShapeError
from symtheory.graph.action import Action, ActionSystem, Form, add_forms
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import Shape, Size, broadcast, same_size

if TYPE_CHECKING:
    import numpy as np

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
        import numpy as np

        return np.asarray(np.matmul(*operands), dtype=object)

    def matrix(self, *operands: Any) -> Any:
        left, right = operands
        if left.shape[1] == 1 and left.shape[0] == right.shape[0] != 1:  # a vector from the left: columns stay columns
            return right.T * left
        return left * right

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        left, right = operands
        ranks = [len(shape) for shape in shapes]
        if ranks == [1, 1]:
            return f"({left} * {right}).sum(dim=-1)"
        # Vectors become matrices and matrices get the missing stack axes, so that batch axes never meet stack axes.
        stack = ".unsqueeze(-3)"
        left += ".unsqueeze(-2)" * (ranks[0] == 1) + stack * (max(ranks) - max(ranks[0], 2))
        right += ".unsqueeze(-1)" * (ranks[1] == 1) + stack * (max(ranks) - max(ranks[1], 2))
        if 1 not in ranks:
            return f"{left} @ {right}"
        return f"({left} @ {right}).squeeze({-2 if ranks[0] == 1 else -1})"

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
        """What passes along the stack: everything beside an operand without one, else what moves one operand alone."""
        left, right = (action.axes[:-2] for action in actions)
        if not left or not right:
            return left or right
        return tuple(
            self._stack_form(system, forms, sizes)
            for forms, sizes in zip(zip(left, right, strict=True), zip(*shapes, strict=True), strict=False)
        )

    def _stack_form(self, system: ActionSystem, forms: tuple[Form, Form], sizes: tuple[Size, Size]) -> Form:
        first, second = forms
        if (sizes[0] == 1) != (sizes[1] == 1):
            stretched, passed = (first, second) if sizes[0] == 1 else (second, first)
            system.vanish_axis(stretched)
            return passed
        if first and second:
            # Each matrix of the stack then has a change of basis of its own on the inner axis, which one form per
            # axis cannot express; a common factor along the stack is part of those.
            system.blocked_by.append("matmul (a change of basis of its own for every matrix of a stack)")
            system.vanish_axis(first)
            system.vanish_axis(second)
            return {}
        system.diagonal_axes.update(first, second)
        return first or second

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        left = None if tangents[0] is None else tangents[0] @ operands[1]
        right = None if tangents[1] is None else operands[0] @ tangents[1]
        if left is None or right is None:
            return left if right is None else right
        return left + right


def _inner(right: Shape) -> int:
    return -2 if len(right) > 1 else -1
