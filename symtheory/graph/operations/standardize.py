"""Mean zero and variance one along an axis: layer normalisation and batch normalisation, without gain and bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sympy as sp

from symtheory.errors import ShapeError
from symtheory.graph.action import Action, ActionSystem, Fate, Kind, Slot, permutes_alike
from symtheory.graph.layout import Layout
from symtheory.graph.operations.rowwise import RowWise
from symtheory.graph.shapes import Shape, show

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Standardize(RowWise):
    """(z − mean z) / √(var z + eps) along one axis (counted from the end, negative), var with divisor h.

    A positive factor drops out when eps = 0, and so does a shift that is the same all along the axis; rotations that
    fix the ones vector pass. Multiply by a parameter for a gain, add one for a bias.
    """

    axis: int = -1
    eps: sp.Expr = sp.Integer(0)

    @property
    def name(self) -> str:  # type: ignore[override]
        return "layer_norm" if self.axis == -1 else "batch_norm"

    def shape(self, operands: Sequence[Shape]) -> Shape:
        (operand,) = operands
        if len(operand) < -self.axis:
            place = "the last axis" if self.axis == -1 else "the axis before the last"
            raise ShapeError(f"{self.name} acts along {place} and {show(operand) if operand else 'a scalar'} has none")
        return operand

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
        centred = f"({z} - {z}.mean(dim={self.axis}, keepdim=True))"
        return f"{centred} * torch.rsqrt({z}.var(dim={self.axis}, keepdim=True, correction=0){eps})"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        along = layouts[0].places(self.axis)

        def fate(slot: Slot) -> Fate:
            if permutes_alike(slot, along):
                return Fate.PASSES
            if slot.is_matrix:
                passes = slot.place in along and slot.kind is Kind.SKEW_ONES
                return Fate.PASSES if passes else Fate.FORBIDDEN
            if slot.touches(along):
                return Fate.FORBIDDEN
            if slot.kind is Kind.SIGN:
                return Fate.PASSES
            return Fate.VANISHES if self.eps == 0 else Fate.FORBIDDEN

        return system.sieve(actions[0], fate)

    def translate(
        self, node: Node, shifts: Sequence[Node | None], sums: Sequence[Mapping[int, sp.Expr]]
    ) -> Node | Fate:
        (shift,) = shifts
        return Fate.VANISHES if shift is not None and shift.shape[self.axis] == 1 else Fate.FORBIDDEN

    def known_sums(self, node: Node, sums: Sequence[Mapping[int, sp.Expr]]) -> Mapping[int, sp.Expr]:
        return {self.axis: sp.Integer(0)}

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        z, dz = operands[0], tangents[0]
        if dz is None:
            return None
        size = z.shape[self.axis]
        column = tuple(sp.Integer(1) if axis == self.axis else s for axis, s in enumerate(z.shape, -z.rank))
        centred = z - (z.sum(self.axis) / size).reshape(*column)
        moved = dz - (dz.sum(self.axis) / size).reshape(*column)
        variance = (centred * centred).sum(self.axis) / size + self.eps
        radial = ((centred * moved).sum(self.axis) / size / variance).reshape(*column)
        return moved * (variance ** sp.Rational(-1, 2)).reshape(*column) - result * radial
