"""Elementwise (Hadamard) product of two tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.action import (
    Action,
    ActionSystem,
    Fate,
    Form,
    Slot,
    combine,
    permutations_in,
    relabelled,
    without_permutations,
)
from symtheory.graph.layout import Layout
from symtheory.graph.operation import Elementwise
from symtheory.graph.operations.stretch import aligned_places, gathered, stretched_places
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Multiply(Elementwise):
    """x ⊙ y; diagonal changes of basis add up, others pass only beside a factor that does not vary on their axis."""

    name: ClassVar[str] = "multiply"

    @property
    def label(self) -> str:
        return "⊙"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return sp.Mul(*operands)

    def matrix(self, *operands: Any) -> Any:
        if all(isinstance(operand, sp.MatrixExpr) for operand in operands):
            if operands[0].shape != operands[1].shape:
                raise CalculusError("a product that stretches an operand has no matrix-expression meaning: bind sizes")
            return sp.HadamardProduct(*operands)
        return operands[0] * operands[1]

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"{operands[0]} * {operands[1]}"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        moved = [
            relabelled(action, aligned_places(layout, result)) for action, layout in zip(actions, layouts, strict=True)
        ]
        constant = [stretched_places(layout, result) for layout in reversed(layouts)]  # of the other factor

        def passes(slot: Slot, factor: int) -> bool:
            return not slot.is_matrix or slot.place in constant[factor]

        total: dict[Slot, Form] = {}
        meeting: list[Action] = []
        for factor, action in enumerate(moved):
            for slot, form in action.items():
                if passes(slot, factor):
                    total[slot] = combine(total.get(slot, {}), form)
            meeting.append({slot: form for slot, form in action.items() if not passes(slot, factor)})
        # Both factors may be permuted alike; no other matrix passes a product that varies along its axis.
        for stopped in meeting:
            system.forbid(without_permutations(stopped))
        return {**total, **system.agree(*map(permutations_in, meeting))}

    def translate(
        self, node: Node, shifts: Sequence[Node | None], sums: Sequence[Mapping[int, sp.Expr]]
    ) -> Node | Fate:
        terms = [shift * node.operands[1 - place] for place, shift in enumerate(shifts) if shift is not None]
        # Where both factors move, the product moves by more than the two terms.
        return terms[0] if len(terms) == 1 else Fate.FORBIDDEN

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        left = None if tangents[0] is None else tangents[0] * operands[1]
        right = None if tangents[1] is None else operands[0] * tangents[1]
        if left is None or right is None:
            return left if right is None else right
        return left + right

    def adjoint(
        self, place: int, cotangent: str, operands: Sequence[str], shapes: Sequence[Shape], result: Shape
    ) -> str | None:
        return gathered(f"{cotangent} * {operands[1 - place]}", shapes[place], result)
