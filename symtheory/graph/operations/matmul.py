"""Contraction of the last axis of the left operand with the matching axis of the right one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import sympy as sp

from symtheory.errors import ShapeError
from symtheory.graph.action import Action, ActionSystem, Fate, Form, Kind, Slot, combine, relabelled
from symtheory.graph.axis_links import RESULT, End, Link, link
from symtheory.graph.layout import Layout
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import Shape, broadcast, same_size

if TYPE_CHECKING:
    import numpy as np

    from symtheory.graph.node import Node

STACKS = "cdefghijlmnopqrtuvwxyz"
"""Letters of the stack axes of a product; a, b and k are its rows, its columns and the contracted axis."""


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

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        frame = _Frame(layouts)
        left, right = (relabelled(action, names) for action, names in zip(actions, frame.names, strict=True))
        passed: dict[Slot, Form] = {}
        for slot in {**left, **right}:
            first, second = left.get(slot, {}), right.get(slot, {})
            if not slot.touches(frame.contracted):
                if slot.kind is Kind.PERMUTATION and slot.place in frame.shared:
                    system.contract(slot, first, second)
                    passed[slot] = first
                elif slot.is_matrix and slot.place in frame.shared:
                    # A matrix along a stack passes only beside an operand that is the same all along it.
                    system.require_zero(slot.kind, first)
                    system.require_zero(slot.kind, second)
                else:
                    passed[slot] = combine(first, second)
            elif slot.is_matrix and slot.place not in frame.contracted:
                system.require_zero(slot.kind, first)
                system.require_zero(slot.kind, second)
            else:
                system.contract(slot, first, second)
        return relabelled(passed, frame.of_result(result))

    def translate(
        self, node: Node, shifts: Sequence[Node | None], sums: Sequence[Mapping[int, sp.Expr]]
    ) -> Node | Fate:
        left, right = shifts
        if left is not None and right is not None:
            return Fate.FORBIDDEN  # the product moves by more than the two terms
        moving, operand, axis = (0, left, -1) if left is not None else (1, right, _inner(node.operands[1].shape))
        if operand is None:
            return Fate.VANISHES
        other = node.operands[1 - moving]
        if operand.shape[axis] != 1 or node.operands[moving].shape[axis] == 1:
            return operand @ other if moving == 0 else other @ operand
        across = _inner(other.shape) if moving == 0 else -1
        kept = self._without_contracted(operand, moving, node)
        total = sums[1 - moving].get(across)
        if total is not None:
            return kept * total if total != 0 else Fate.VANISHES
        summed = other.sum(across)
        if node.operands[moving].rank > 1:
            place = summed.rank - (1 if moving == 0 and other.rank > 1 else 0)
            summed = summed.reshape(*summed.shape[:place], 1, *summed.shape[place:])
        return kept * summed

    def _without_contracted(self, shift: Node, moving: int, node: Node) -> Node:
        """A shift that is the same all along the contracted axis, as a shift of the result: constant along the axes
        that come from the other operand."""
        one = (sp.Integer(1),) * (node.operands[1 - moving].rank > 1)
        if moving == 0:
            shape = (*shift.shape[:-1], *one)
        elif shift.rank == 1:
            shape = one
        else:
            shape = (*shift.shape[:-2], *one, shift.shape[-1])
        return shift.reshape(*(sp.Integer(1),) * (node.rank - len(shape)), *shape)

    def known_sums(self, node: Node, sums: Sequence[Mapping[int, sp.Expr]]) -> Mapping[int, sp.Expr]:
        if node.operands[1].rank > 1 and -1 in sums[0] and -1 in sums[1]:
            return {-1: sums[0][-1] * sums[1][-1]}  # rows that add up to one, times rows that do
        return {}

    def linked_axes(self, shapes: Sequence[Shape], result: Shape) -> Iterator[Link]:
        left, right = shapes
        yield link(End(0, len(left) - 1), End(1, len(right) + _inner(right)))
        stacks = [len(shape) - 2 for shape in shapes]
        for operand, shape in enumerate(shapes):
            for axis in range(stacks[operand]):
                place = max(stacks) - stacks[operand] + axis
                if shape[axis] != 1:
                    yield link(End(operand, axis), End(RESULT, place))
        if len(left) > 1:
            yield link(End(0, len(left) - 2), End(RESULT, len(result) - (2 if len(right) > 1 else 1)))
        if len(right) > 1:
            yield link(End(1, len(right) - 1), End(RESULT, len(result) - 1))

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        left = None if tangents[0] is None else tangents[0] @ operands[1]
        right = None if tangents[1] is None else operands[0] @ tangents[1]
        if left is None or right is None:
            return left if right is None else right
        return left + right

    def contraction(self, shapes: Sequence[Shape]) -> tuple[str, str, str]:
        left, right = shapes
        stacks = STACKS[: max(len(left), len(right), 2) - 2]
        left_stack, right_stack = (stacks[len(stacks) - max(len(shape) - 2, 0) :] for shape in shapes)
        row, column = "a" * (len(left) > 1), "b" * (len(right) > 1)
        return f"{left_stack}{row}k", f"{right_stack}k{column}", f"{stacks}{row}{column}"


def _inner(right: Shape) -> int:
    return -2 if len(right) > 1 else -1


class _Frame:
    """Numbers for the indices of a product, on both operands: stack, rows, contracted, columns."""

    def __init__(self, layouts: Sequence[Layout]) -> None:
        self.layouts = tuple(layouts)
        left, right = layouts
        inner = right.rank + _inner(right.shape)
        stacks = [max(layout.rank - 2, 0) for layout in layouts]
        names: list[dict[int, int]] = [{}, {}]
        groups: dict[object, int] = {}

        def number(label: object) -> int:
            return groups.setdefault(label, len(groups))

        for operand, layout in enumerate(layouts):
            for axis in range(layout.rank):
                for part, place in enumerate(layout.places(axis)):
                    if axis == (left.rank - 1, inner)[operand]:
                        label: object = ("contracted", part)
                    elif axis < stacks[operand]:
                        label = ("stack", stacks[operand] - axis, part)
                    else:
                        label = (("rows", "columns")[operand], part)
                    names[operand][place] = number(label)
        self.names = names
        self.groups = groups
        self.contracted = frozenset(value for key, value in groups.items() if key[0] == "contracted")  # type: ignore[index]
        self.shared = frozenset(self._shared_stacks(stacks))

    def _shared_stacks(self, stacks: Sequence[int]) -> Iterator[int]:
        """Stack places along which both operands vary."""
        for depth in range(1, min(stacks) + 1):
            sizes = [layout.shape[stack - depth] for layout, stack in zip(self.layouts, stacks, strict=True)]
            if 1 not in sizes:
                for key, value in self.groups.items():
                    if key[:2] == ("stack", depth):  # type: ignore[index]
                        yield value

    def of_result(self, result: Layout) -> dict[int, int]:
        """Number of an index → place of the result."""
        left, right = self.layouts
        ends = ([("rows",)] if left.rank > 1 else []) + ([("columns",)] if right.rank > 1 else [])
        depth = result.rank - len(ends)
        labels = [("stack", depth - axis) for axis in range(depth)] + ends
        return {
            self.groups[*label, part]: place
            for axis, label in enumerate(labels)
            for part, place in enumerate(result.places(axis))
            if (*label, part) in self.groups
        }
