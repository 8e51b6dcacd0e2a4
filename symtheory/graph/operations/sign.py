"""Derivative of the absolute value."""

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
class Sign(Elementwise):
    """1 where x > 0, −1 where x < 0, and 0 at 0, as torch differentiates |x| there; its own derivative is zero."""

    name: ClassVar[str] = "sign"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return sp.sign(operands[0])

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"torch.sign({operands[0]})"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        def fate(slot: Slot) -> Fate:
            if slot.kind is Kind.NUMBER:
                return Fate.VANISHES  # positive factors leave the sign
            return Fate.PASSES if slot.kind in (Kind.PERMUTATION, Kind.SIGN) else Fate.FORBIDDEN

        return system.sieve(actions[0], fate)

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None
