"""Rectified linear unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.operations.homogeneous import PositivelyHomogeneous
from symtheory.graph.operations.step import Step
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class ReLU(PositivelyHomogeneous):
    """max(x, slope · x) with 0 ≤ slope < 1: the ReLU for slope 0, the leaky ReLU otherwise."""

    slope: sp.Expr = sp.Integer(0)
    name: ClassVar[str] = "relu"

    @property
    def label(self) -> str:
        return "relu" if self.slope == 0 else f"leaky_relu({self.slope})"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return sp.Max(operands[0], self.slope * operands[0])

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        if self.slope == 0:
            return f"torch.relu({operands[0]})"
        return f"torch.nn.functional.leaky_relu({operands[0]}, {float(self.slope)})"

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        if tangents[0] is None:
            return None
        return type(result)(Step(self.slope), operands) * tangents[0]
