"""Logistic sigmoid."""

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
class Sigmoid(Inequivariant):
    """σ(x) = 1 / (1 + exp(−x)); a change of sign comes out with a shift, σ(−x) = 1 − σ(x)."""

    name: ClassVar[str] = "sigmoid"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return 1 / (1 + sp.exp(-operands[0]))

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"torch.sigmoid({operands[0]})"

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else result * (1 - result) * tangents[0]
