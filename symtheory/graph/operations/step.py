"""Derivative of a piecewise linear unit: a step from ``low`` to 1 at zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.action import Action, ActionSystem, Fate, Kind, Slot
from symtheory.graph.layout import Layout
from symtheory.graph.operation import Elementwise
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Step(Elementwise):
    """1 where x > 0 and ``low`` elsewhere; its own derivative is zero almost everywhere."""

    low: sp.Expr
    name: ClassVar[str] = "step"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return sp.Piecewise((sp.Integer(1), operands[0] > 0), (self.low, True))

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        x = operands[0]
        if self.low == 0:
            return f"({x} > 0).to({x}.dtype)"
        return f"torch.where({x} > 0, torch.ones_like({x}), torch.full_like({x}, {float(self.low)}))"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        def fate(slot: Slot) -> Fate:
            if slot.kind is Kind.NUMBER:
                return Fate.VANISHES  # positive factors leave the step
            return Fate.PASSES if slot.kind is Kind.PERMUTATION else Fate.FORBIDDEN

        return system.sieve(actions[0], fate)

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None
