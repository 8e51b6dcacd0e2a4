"""Cumulative sum along the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.action import Action, ActionSystem, Fate, Slot
from symtheory.graph.layout import Layout
from symtheory.graph.operations.rowwise import RowWise
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class CumulativeSum(RowWise):
    """z_1, z_1 + z_2, …: a fixed linear map with distinct structure on each coordinate, so its axis stays put."""

    name: ClassVar[str] = "cumsum"

    def row(self, vector: Sequence[sp.Expr]) -> Sequence[sp.Expr]:
        return list(accumulate(vector))

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"torch.cumsum({operands[0]}, dim=-1)"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        def fate(slot: Slot) -> Fate:
            return Fate.FORBIDDEN if slot.touches(layouts[0].places(-1)) else Fate.PASSES

        return system.sieve(actions[0], fate)

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else type(result)(self, (tangents[0],))

    def adjoint(
        self, place: int, cotangent: str, operands: Sequence[str], shapes: Sequence[Shape], result: Shape
    ) -> str | None:
        return f"{cotangent}.flip(-1).cumsum(dim=-1).flip(-1)"
