"""Layer normalisation without gain and bias (multiply and add parameters for those)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.action import ZERO, Action, ActionSystem
from symtheory.graph.operations.rowwise import RowWise
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class LayerNorm(RowWise):
    """(z − mean z) / √(var z + eps), var with divisor h; a positive factor drops out when eps = 0.

    Shifts along the ones vector and rotations that fix it pass as well; linear actions on an axis do not cover them.
    """

    eps: sp.Expr = sp.Integer(0)
    name: ClassVar[str] = "layer_norm"

    def row(self, vector: Sequence[sp.Expr]) -> Sequence[sp.Expr]:
        size = sp.Integer(len(vector))
        mean = sp.Add(*vector) / size
        centred = [entry - mean for entry in vector]
        deviation = sp.sqrt(sp.Add(*(entry**2 for entry in centred)) / size + self.eps)
        return [entry / deviation for entry in centred]

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        # Written out: fused layer-norm kernels have been seen to give wrong higher derivatives.
        z = operands[0]
        eps = f" + {float(self.eps)}" if self.eps else ""
        centred = f"({z} - {z}.mean(dim=-1, keepdim=True))"
        return f"{centred} * torch.rsqrt({z}.var(dim=-1, keepdim=True, correction=0){eps})"

    def equivariance(self, system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]) -> Action:
        (action,) = actions
        if action.axes[-1]:
            system.blocked_by.append("layer_norm (rotations that fix the ones vector, shifts along it)")
        system.vanish_axis(action.axes[-1])
        system.vanish_diagonal(action.diagonal)
        for form in action.axes[:-1]:
            system.diagonal_axes.update(form)
            if self.eps != 0:
                system.vanish_axis(form)
        if self.eps != 0:
            system.vanish_scale(action.scale)
        return Action((ZERO,) * len(shapes[0]))

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        z, dz = operands[0], tangents[0]
        if dz is None:
            return None
        size = z.shape[-1]
        column = (*z.shape[:-1], 1)
        centred = z - (z.sum(-1) / size).reshape(*column)
        moved = dz - (dz.sum(-1) / size).reshape(*column)
        variance = (centred * centred).sum(-1) / size + self.eps
        radial = ((centred * moved).sum(-1) / size / variance).reshape(*column)
        return moved * (variance ** sp.Rational(-1, 2)).reshape(*column) - result * radial
