"""Gaussian error linear unit, in its exact form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.operations.inequivariant import Inequivariant
from symtheory.graph.operations.normal_cdf import NormalCDF, normal_density
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class GELU(Inequivariant):
    """x Φ(x) with the distribution function Φ of the standard normal law, not its approximation by tanh."""

    name: ClassVar[str] = "gelu"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return operands[0] * NormalCDF().scalar(*operands)

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"torch.nn.functional.gelu({operands[0]})"

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        if tangents[0] is None:
            return None
        (x,) = operands
        return (type(result)(NormalCDF(), (x,)) + x * normal_density(x)) * tangents[0]
