"""Sum over axes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import sympy as sp

from symtheory.errors import CalculusError, ShapeError
from symtheory.graph.action import FIXING_ONES, Action, ActionSystem, Fate, Slot, relabelled
from symtheory.graph.axis_links import RESULT, End, Link, link
from symtheory.graph.layout import Layout
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import Shape, batch_and_sizes

if TYPE_CHECKING:
    import numpy as np

    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Sum(Operation):
    """Σ over ``axes`` (counted from the end, negative), which disappear; changes of basis on them do not pass."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "sum"

    @staticmethod
    def over(axes: Iterable[int], rank: int) -> Sum:
        """Axes counted from either end of a node with ``rank`` axes."""
        return Sum(tuple(sorted(axis - rank if axis >= 0 else axis for axis in axes)))

    @property
    def label(self) -> str:
        return "Σ"

    def shape(self, operands: Sequence[Shape]) -> Shape:
        (operand,) = operands
        rank = len(operand)
        if any(not -rank <= axis < 0 for axis in self.axes) or len(set(self.axes)) != len(self.axes):
            named = ", ".join(str(axis + rank) for axis in self.axes)
            raise ShapeError(f"cannot sum over axes ({named}): the operand has {rank}, counted from 0, each taken once")
        return tuple(size for axis, size in enumerate(operand, -len(operand)) if axis not in self.axes)

    def components(self, *operands: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.asarray(np.sum(operands[0], axis=self.axes), dtype=object)

    def matrix(self, *operands: Any) -> Any:
        raise CalculusError("a sum over axes has no matrix-expression meaning: write it with @")

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"{operands[0]}.sum(dim={self.axes})" if self.axes else operands[0]

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        summed = frozenset(place for axis in self.axes for place in layouts[0].places(axis))

        def fate(slot: Slot) -> Fate:
            if slot.kind in FIXING_ONES and slot.place in summed:
                return Fate.VANISHES  # the sum does not see it
            return Fate.FORBIDDEN if slot.touches(summed) else Fate.PASSES

        kept = [place for place in range(len(layouts[0].sizes)) if place not in summed]
        passed = system.sieve(actions[0], fate)
        return relabelled(passed, {place: new for new, place in enumerate(kept)})

    def translate(
        self, node: Node, shifts: Sequence[Node | None], sums: Sequence[Mapping[int, sp.Expr]]
    ) -> Node | Fate:
        (shift,) = shifts
        if shift is None:
            return Fate.VANISHES
        operand = node.operands[0].shape
        repeated = sp.Mul(*(operand[axis] for axis in self.axes if shift.shape[axis] == 1))
        return shift.sum(self.axes) * repeated

    def linked_axes(self, shapes: Sequence[Shape], result: Shape) -> Iterator[Link]:
        kept = [axis for axis in range(len(shapes[0])) if axis - len(shapes[0]) not in self.axes]
        for new, axis in enumerate(kept):
            yield link(End(0, axis), End(RESULT, new))

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else tangents[0].sum(self.axes)

    def adjoint(
        self, place: int, cotangent: str, operands: Sequence[str], shapes: Sequence[Shape], result: Shape
    ) -> str | None:
        if not self.axes:
            return cotangent
        axes = "".join(f".unsqueeze({axis})" for axis in sorted(self.axes, reverse=True))
        return f"{cotangent}{axes}.expand({batch_and_sizes(cotangent, len(result), shapes[0], operands[0])})"
