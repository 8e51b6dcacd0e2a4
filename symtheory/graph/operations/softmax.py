"""Softmax along the last axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.action import Action, ActionSystem, Fate, Slot, permutes_alike
from symtheory.graph.layout import Layout
from symtheory.graph.operations.rowwise import RowWise
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Softmax(RowWise):
    """exp(z_i) / Σ_j exp(z_j); invariant under a shift along the ones vector, which linear actions do not cover."""

    name: ClassVar[str] = "softmax"

    def row(self, vector: Sequence[sp.Expr]) -> Sequence[sp.Expr]:
        weights = [sp.exp(entry) for entry in vector]
        total = sp.Add(*weights)
        return [weight / total for weight in weights]

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"torch.softmax({operands[0]}, dim=-1)"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        def fate(slot: Slot) -> Fate:
            return Fate.PASSES if permutes_alike(slot, layouts[0].places(-1)) else Fate.FORBIDDEN

        return system.sieve(actions[0], fate)

    def translate(
        self, node: Node, shifts: Sequence[Node | None], sums: Sequence[Mapping[int, sp.Expr]]
    ) -> Node | Fate:
        (shift,) = shifts
        return Fate.VANISHES if shift is not None and shift.shape[-1] == 1 else Fate.FORBIDDEN

    def known_sums(self, node: Node, sums: Sequence[Mapping[int, sp.Expr]]) -> Mapping[int, sp.Expr]:
        return {-1: sp.Integer(1)}

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        if tangents[0] is None:
            return None
        weighted = result * tangents[0]
        return weighted - result * weighted.sum(-1).reshape(*result.shape[:-1], 1)
