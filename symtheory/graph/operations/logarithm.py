"""Elementwise natural logarithm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.operations.inequivariant import Inequivariant
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Logarithm(Inequivariant):
    """log(x); a positive multiple of x would come out as a shift, which linear actions do not cover."""

    name: ClassVar[str] = "log"
    missed = "scalings, which come out as shifts"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return sp.log(operands[0])

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"torch.log({operands[0]})"

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else operands[0] ** -1 * tangents[0]
