"""Product with a number, or with an expression in the sizes such as 1/sqrt(d)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import sympy as sp

from symtheory.graph.action import TRIVIAL, Action, ActionSystem, Fate
from symtheory.graph.layout import Layout
from symtheory.graph.operation import Elementwise, Operation
from symtheory.graph.shapes import Shape, torch_number

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Scale(Elementwise):
    """factor · x; every change of basis passes (and leaves nothing behind when the factor is 0)."""

    factor: sp.Expr
    name: ClassVar[str] = "scale"

    @property
    def label(self) -> str:
        return "−" if self.factor == -1 else f"{self.factor}·"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return self.factor * operands[0]

    def matrix(self, *operands: Any) -> Any:
        return self.factor * operands[0]

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        if self.factor == -1:
            return f"-{operands[0]}"
        number = torch_number(self.factor)
        return f"{number} * {operands[0]}" if self.factor.is_number else f"({number}) * {operands[0]}"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        return actions[0] if self.factor != 0 else TRIVIAL

    def translate(
        self, node: Node, shifts: Sequence[Node | None], sums: Sequence[Mapping[int, sp.Expr]]
    ) -> Node | Fate:
        (shift,) = shifts
        return Fate.VANISHES if shift is None or self.factor == 0 else shift * self.factor

    def known_sums(self, node: Node, sums: Sequence[Mapping[int, sp.Expr]]) -> Mapping[int, sp.Expr]:
        return {axis: total * self.factor for axis, total in sums[0].items()}

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else tangents[0] * self.factor

    def adjoint(
        self, place: int, cotangent: str, operands: Sequence[str], shapes: Sequence[Shape], result: Shape
    ) -> str | None:
        return self.torch([cotangent], [result])

    def needed_sizes(self) -> set[sp.Symbol]:
        return set(self.factor.free_symbols)

    def bind(self, sizes: Mapping[sp.Symbol, int]) -> Operation:
        return Scale(self.factor.subs(sizes))
