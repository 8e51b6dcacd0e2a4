"""Derivative of a piecewise linear unit: a step from ``low`` to 1 at zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.action import Action, ActionSystem
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
        return f"torch.where({x} > 0, torch.ones_like({x}), torch.full_like({x}, {float(self.low)}))"

    def equivariance(self, system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]) -> Action:
        (action,) = actions
        system.restrict_to_diagonal(action)  # positive factors do not change the step
        return Action.trivial(len(shapes[0]))

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None
