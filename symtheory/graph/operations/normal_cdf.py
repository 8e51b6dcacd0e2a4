"""Distribution function of the standard normal law, and its density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.operations.exponential import Exponential
from symtheory.graph.operations.inequivariant import Inequivariant
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class NormalCDF(Inequivariant):
    """Φ(x) = (1 + erf(x / √2)) / 2, the factor of x in the GELU."""

    name: ClassVar[str] = "normal_cdf"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return (1 + sp.erf(operands[0] / sp.sqrt(2))) / 2

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        # erfc keeps its digits where Φ is small; 1 + erf, and torch.special.ndtr with it, loses them all below −8.
        return f"0.5 * torch.erfc({operands[0]} * {-(0.5**0.5)})"

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else normal_density(operands[0]) * tangents[0]


def normal_density(x: Node) -> Node:
    """exp(−x²/2) / √(2π), elementwise; the shape of x."""
    return type(x)(Exponential(), (x**2 * sp.Rational(-1, 2),)) * (1 / sp.sqrt(2 * sp.pi))
