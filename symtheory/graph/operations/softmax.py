"""Softmax along the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.action import Action, ActionSystem
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

    def equivariance(self, system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]) -> Action:
        (action,) = actions
        if not action.is_trivial:
            system.blocked_by.append("softmax (shift along the ones vector)")
        system.vanish(action)
        return Action.trivial(len(shapes[0]))

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        if tangents[0] is None:
            return None
        weighted = result * tangents[0]
        return weighted - result * weighted.sum(-1).reshape(*result.shape[:-1], 1)
