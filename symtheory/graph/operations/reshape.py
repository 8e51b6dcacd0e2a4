"""The same entries, in row-major order, under another shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.errors import CalculusError, ShapeError
from symtheory.graph.action import ZERO, Action, ActionSystem
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import Shape, bind_shape, element_count, is_bound, same_shape, same_size, show, torch_size

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

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        rank = len(shapes[0])
        batch = f"{operands[0]}.shape[:-{rank}]" if rank else f"{operands[0]}.shape"
        sizes = "".join(f", {torch_size(size)}" for size in self.sizes)
        return f"{operands[0]}.reshape((*{batch}{sizes or ','}))"

    def equivariance(self, system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]) -> Action:
        (action,) = actions
        kept = 0
        while kept < min(len(shapes[0]), len(self.sizes)) and same_shape(shapes[0][: kept + 1], self.sizes[: kept + 1]):
            kept += 1
        for form in action.axes[kept:]:
            if form:
                system.blocked_by.append("reshape (changes of basis on the axes it regroups)")
            system.vanish_axis(form)
        system.vanish_diagonal(action.diagonal)
        return Action(action.axes[:kept] + (ZERO,) * (len(self.sizes) - kept), scale=action.scale)

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else tangents[0].reshape(*self.sizes)

    def needed_sizes(self) -> set[sp.Symbol]:
        return {symbol for size in self.sizes for symbol in size.free_symbols}

    def bind(self, sizes: Mapping[sp.Symbol, int]) -> Operation:
        return Reshape(bind_shape(self.sizes, sizes))
