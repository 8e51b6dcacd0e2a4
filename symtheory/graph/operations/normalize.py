"""Division of a vector by its norm: the Euclidean norm, or the root mean square."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sympy as sp

from symtheory.graph.action import ZERO, Action, ActionSystem
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

    def equivariance(self, system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]) -> Action:
        (action,) = actions
        system.vanish_diagonal(action.diagonal)
        system.restrict_to_orthogonal(action.axes[-1])
        for form in action.axes[:-1]:
            system.diagonal_axes.update(form)
            if self.eps != 0:
                system.vanish_axis(form)
        if self.eps != 0:
            system.vanish_scale(action.scale)
        return Action((ZERO,) * (len(shapes[0]) - 1) + action.axes[-1:])

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        z, dz = operands[0], tangents[0]
        if dz is None:
            return None
        size = z.shape[-1]
        column = (*z.shape[:-1], 1)
        squared = (z * z).sum(-1) * (1 / size if self.mean else 1) + self.eps
        radial = (z * dz).sum(-1) * (1 / size if self.mean else 1) / squared
        return dz * (squared ** sp.Rational(-1, 2)).reshape(*column) - result * radial.reshape(*column)
