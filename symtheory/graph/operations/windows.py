"""All stretches of neighbouring entries along one axis, the first half of a convolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.errors import CalculusError, ShapeError
from symtheory.graph.action import Action, ActionSystem, Fate, Slot, relabelled
from symtheory.graph.axis_links import RESULT, End, Link, link
from symtheory.graph.layout import Layout
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import Shape, Size, bind_shape, show, torch_size

if TYPE_CHECKING:
    import numpy as np

    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Windows(Operation):
    """z[…, p, …, o] = x[…, p + o, …]: shape (…, L, …) becomes (…, L − size + 1, …, size).

    axis: where L stands, counted from the end, negative; the offset o in the window is a new last axis.
    """

    axis: int
    size: Size
    name: ClassVar[str] = "windows"

    @property
    def label(self) -> str:
        return f"windows({self.size})"

    def shape(self, operands: Sequence[Shape]) -> Shape:
        (operand,) = operands
        rank = len(operand)
        if not -rank <= self.axis < 0:
            given = self.axis + rank if self.axis >= 0 else self.axis  # as the person counted who wrote it
            raise ShapeError(f"{show(operand)} has no axis {given}")
        positions = sp.expand(operand[self.axis] - self.size + 1)
        if positions.is_nonpositive:
            raise ShapeError(
                f"axis {self.axis} of {show(operand)} has {operand[self.axis]} entries, "
                f"fewer than the {self.size} of a window"
            )
        place = rank + self.axis
        return (*operand[:place], positions, *operand[place + 1 :], self.size)

    def components(self, *operands: np.ndarray) -> np.ndarray:
        import numpy as np

        if not self.size.is_Integer:
            raise CalculusError(f"windows of {self.size} entries have an unbound size: call bind(...) first")
        return np.lib.stride_tricks.sliding_window_view(operands[0], int(self.size), axis=self.axis)

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        # Not Tensor.unfold: its backward has no batching rule, so that vmap over a gradient warns and runs sample by
        # sample. Nothing else is called _offset: names that begin with an underscore are refused.
        x, reach = operands[0], torch_size(self.size - 1)
        positions = f"{x}.shape[{self.axis}] - {reach if self.size.is_Integer else f'({reach})'}"
        stretch = f"{x}.narrow({self.axis}, _offset, {positions})"
        return f"torch.stack([{stretch} for _offset in range({torch_size(self.size)})], dim=-1)"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        along = layouts[0].places(self.axis)

        def fate(slot: Slot) -> Fate:
            return Fate.FORBIDDEN if slot.touches(along) else Fate.PASSES

        kept = [axis for axis in range(layouts[0].rank) if axis != layouts[0].rank + self.axis]
        places = {
            old: new for axis in kept for old, new in zip(layouts[0].places(axis), result.places(axis), strict=True)
        }
        passed = system.sieve(actions[0], fate)
        if len(passed) < len(actions[0]):
            # Factors c^p along the axis come out as c^p c^o, which later factors can undo.
            system.blocked_by.append("windows (geometric factors along the axis that is cut)")
        return relabelled(passed, places)

    def translate(
        self, node: Node, shifts: Sequence[Node | None], sums: Sequence[Mapping[int, sp.Expr]]
    ) -> Node | Fate:
        (shift,) = shifts
        if shift is None:
            return Fate.VANISHES
        if shift.shape[self.axis] == 1:  # the same in every window
            return shift.reshape(*shift.shape, 1)
        return type(node)(self, (shift,))

    def known_sums(self, node: Node, sums: Sequence[Mapping[int, sp.Expr]]) -> Mapping[int, sp.Expr]:
        return {axis - 1: total for axis, total in sums[0].items() if axis != self.axis}

    def linked_axes(self, shapes: Sequence[Shape], result: Shape) -> Iterator[Link]:
        for axis in range(len(shapes[0])):
            if axis != len(shapes[0]) + self.axis:
                yield link(End(0, axis), End(RESULT, axis))

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else type(result)(self, (tangents[0],))

    def adjoint(
        self, place: int, cotangent: str, operands: Sequence[str], shapes: Sequence[Shape], result: Shape
    ) -> str | None:
        last = torch_size(self.size - 1)
        margins = "0, 0, " * (-self.axis - 1) + f"_offset, {last if self.size.is_Integer else f'({last})'} - _offset"
        part = f"torch.nn.functional.pad({cotangent}.select(-1, _offset), ({margins}))"
        return f"sum([{part} for _offset in range({torch_size(self.size)})])"

    def needed_sizes(self) -> set[sp.Symbol]:
        return set(self.size.free_symbols)

    def bind(self, sizes: Mapping[sp.Symbol, int]) -> Operation:
        return replace(self, size=bind_shape((self.size,), sizes)[0])
