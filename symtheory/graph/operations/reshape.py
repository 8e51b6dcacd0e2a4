"""The same entries, in row-major order, under another shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import sympy as sp

from symtheory.errors import CalculusError, ShapeError
from symtheory.graph.action import Action, ActionSystem, Fate, Slot, relabelled
from symtheory.graph.axis_links import RESULT, End, Link
from symtheory.graph.layout import Layout, regroup
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import (
    Shape,
    batch_and_sizes,
    bind_shape,
    element_count,
    is_bound,
    same_shape,
    same_size,
    show,
)

if TYPE_CHECKING:
    import numpy as np

    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Reshape(Operation):
    """Row-major reshape; of the changes of basis only those on leading axes that stay as they are pass."""

    sizes: Shape
    name: ClassVar[str] = "reshape"

    @property
    def label(self) -> str:
        return f"reshape{show(self.sizes)}"

    def shape(self, operands: Sequence[Shape]) -> Shape:
        (operand,) = operands
        if not same_size(element_count(operand), element_count(self.sizes)):
            raise ShapeError(
                f"{show(operand)} has {element_count(operand)} entries and {show(self.sizes)} "
                f"has {element_count(self.sizes)}"
            )
        return self.sizes

    def components(self, *operands: np.ndarray) -> np.ndarray:
        if not is_bound(self.sizes):
            raise CalculusError(f"reshape to {show(self.sizes)} has unbound sizes: call bind(...) first")
        return operands[0].reshape(tuple(int(size) for size in self.sizes))

    def matrix(self, *operands: Any) -> Any:
        """Rows and columns that become a vector, or the other way round; other regroupings have no meaning here."""
        (operand,) = operands
        rows, columns = operand.shape if isinstance(operand, sp.MatrixExpr) else (sp.Integer(1),) * 2
        if len(self.sizes) <= 2 and same_shape((*self.sizes, sp.Integer(1), sp.Integer(1))[:2], (rows, columns)):
            return operand
        if len(self.sizes) == 1 and rows == 1 and same_size(self.sizes[0], columns):
            return operand.T
        raise CalculusError("a reshape has no matrix-expression meaning: bind small sizes instead")

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"{operands[0]}.reshape({batch_and_sizes(operands[0], len(shapes[0]), self.sizes)})"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        new_place = _matching_places(layouts[0], result)

        def fate(slot: Slot) -> Fate:
            places = slot.varies if slot.place is None else slot.varies | {slot.place}
            return Fate.PASSES if places <= new_place.keys() else Fate.FORBIDDEN

        passed = system.sieve(actions[0], fate)
        if len(passed) < len(actions[0]):
            system.blocked_by.append("reshape (changes of basis on the axes it regroups)")
        return relabelled(passed, new_place)

    def translate(
        self, node: Node, shifts: Sequence[Node | None], sums: Sequence[Mapping[int, sp.Expr]]
    ) -> Node | Fate:
        (shift,) = shifts
        if shift is None:
            return Fate.VANISHES
        sizes = [sp.Integer(1)] * len(self.sizes)
        for old, new in regroup(node.operands[0].shape, self.sizes):
            constant = [shift.shape[axis] == 1 for axis in old]
            if any(constant) and not all(constant):
                return Fate.FORBIDDEN
            for axis in new:
                sizes[axis] = sp.Integer(1) if any(constant) else self.sizes[axis]
        return shift.reshape(*sizes)

    def known_sums(self, node: Node, sums: Sequence[Mapping[int, sp.Expr]]) -> Mapping[int, sp.Expr]:
        operand = node.operands[0].shape
        return {
            new[0] - len(self.sizes): sums[0][old[0] - len(operand)]
            for old, new in regroup(operand, self.sizes)
            if len(old) == len(new) == 1 and old[0] - len(operand) in sums[0]
        }

    def linked_axes(self, shapes: Sequence[Shape], result: Shape) -> Iterator[Link]:
        for old, new in regroup(shapes[0], result):
            if min(len(old), len(new)) == 1:
                yield Link(tuple(End(0, axis) for axis in old), tuple(End(RESULT, axis) for axis in new))

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else tangents[0].reshape(*self.sizes)

    def adjoint(
        self, place: int, cotangent: str, operands: Sequence[str], shapes: Sequence[Shape], result: Shape
    ) -> str | None:
        return f"{cotangent}.reshape({batch_and_sizes(cotangent, len(result), shapes[0], operands[0])})"

    def needed_sizes(self) -> set[sp.Symbol]:
        return {symbol for size in self.sizes for symbol in size.free_symbols}

    def bind(self, sizes: Mapping[sp.Symbol, int]) -> Operation:
        return Reshape(bind_shape(self.sizes, sizes))


def _matching_places(old: Layout, new: Layout) -> dict[int, int]:
    """Place before → place after, in those groups of axes whose places have the same sizes in the same order."""
    matching: dict[int, int] = {}
    for left, right in regroup(old.shape, new.shape):
        before = [place for axis in left for place in old.places(axis) if old.sizes[place] != 1]
        after = [place for axis in right for place in new.places(axis) if new.sizes[place] != 1]
        sizes = [[layout.sizes[place] for place in side] for layout, side in ((old, before), (new, after))]
        if same_shape(tuple(sizes[0]), tuple(sizes[1])):
            matching |= dict(zip(before, after, strict=True))
    return matching
