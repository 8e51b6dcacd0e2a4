"""Absolute value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.action import Fate
from symtheory.graph.operations.homogeneous import PositivelyHomogeneous
from symtheory.graph.operations.sign import Sign
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Absolute(PositivelyHomogeneous):
    """|x|."""

    name: ClassVar[str] = "abs"
    sign_fate = Fate.VANISHES

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return sp.Abs(operands[0])

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"torch.abs({operands[0]})"

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        if tangents[0] is None:
            return None
        return type(result)(Sign(), operands) * tangents[0]
