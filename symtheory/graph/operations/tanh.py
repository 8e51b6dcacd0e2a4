"""Hyperbolic tangent."""

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
class Tanh(Inequivariant):
    """tanh(x); only sign flips pass, which are discrete."""

    name: ClassVar[str] = "tanh"
    odd = True

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return sp.tanh(operands[0])

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"torch.tanh({operands[0]})"

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else (1 - result**2) * tangents[0]
