"""Sigmoid linear unit, also called swish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.operations.inequivariant import Inequivariant
from symtheory.graph.operations.sigmoid import Sigmoid
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class SiLU(Inequivariant):
    """x σ(x) with the logistic sigmoid σ."""

    name: ClassVar[str] = "silu"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return operands[0] * Sigmoid().scalar(*operands)

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"torch.nn.functional.silu({operands[0]})"

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        if tangents[0] is None:
            return None
        sigmoid = type(result)(Sigmoid(), operands)
        return (sigmoid + result * (1 - sigmoid)) * tangents[0]  # σ + x σ′, where x σ′ = x σ (1 − σ)
