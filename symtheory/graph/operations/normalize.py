"""Division of a vector by its norm: the Euclidean norm, or the root mean square."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sympy as sp

from symtheory.graph.action import Action, ActionSystem, Fate, Kind, Slot, permutes_alike
from symtheory.graph.layout import Layout
from symtheory.graph.operations.rowwise import RowWise
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Normalize(RowWise):
    """z / √(Σ z² + eps), or z / √(mean z² + eps) with ``mean``: rotations pass, a positive factor drops out (eps = 0).

    Undefined at z = 0 when eps = 0. With eps > 0 the factor does not drop out, and is not reported as a symmetry.
    """

    mean: bool = False
    eps: sp.Expr = sp.Integer(0)

    @property
    def name(self) -> str:  # type: ignore[override]
        return "rms_norm" if self.mean else "normalize"

    def _squared_norm(self, total: sp.Expr, size: sp.Expr) -> sp.Expr:
        return (total / size if self.mean else total) + self.eps

    def row(self, vector: Sequence[sp.Expr]) -> Sequence[sp.Expr]:
        total = sp.Add(*(entry**2 for entry in vector))
        norm = sp.sqrt(self._squared_norm(total, sp.Integer(len(vector))))
        return [entry / norm for entry in vector]

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        z = operands[0]
        reduction = "mean" if self.mean else "sum"
        eps = f" + {float(self.eps)}" if self.eps else ""
        return f"{z} * torch.rsqrt({z}.square().{reduction}(dim=-1, keepdim=True){eps})"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        last = layouts[0].places(-1)

        def fate(slot: Slot) -> Fate:
            if permutes_alike(slot, last):
                return Fate.PASSES
            if slot.is_matrix:
                passes = slot.place in last and slot.kind in (Kind.SKEW, Kind.SKEW_ONES)
                return Fate.PASSES if passes else Fate.FORBIDDEN
            if slot.kind is Kind.SIGN:
                return Fate.PASSES
            drops_out = self.eps == 0 and not slot.touches(last)
            return Fate.VANISHES if drops_out else Fate.FORBIDDEN

        return system.sieve(actions[0], fate)

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        z, dz = operands[0], tangents[0]
        if dz is None:
            return None
        size = z.shape[-1]
        column = (*z.shape[:-1], 1)
        squared = (z * z).sum(-1) * (1 / size if self.mean else 1) + self.eps
        radial = (z * dz).sum(-1) * (1 / size if self.mean else 1) / squared
        return dz * (squared ** sp.Rational(-1, 2)).reshape(*column) - result * radial.reshape(*column)
