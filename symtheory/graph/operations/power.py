"""Elementwise power with a rational exponent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.action import Action, ActionSystem, Fate, Kind, Slot, scaled
from symtheory.graph.layout import Layout
from symtheory.graph.operation import Elementwise
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Power(Elementwise):
    """x ** k; a diagonal change of basis g comes out as g ** k."""

    exponent: sp.Rational
    name: ClassVar[str] = "power"

    @property
    def label(self) -> str:
        return f"(·)^{self.exponent}"

    def scalar(self, *operands: sp.Expr) -> sp.Expr:
        return operands[0] ** self.exponent

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        exponent = int(self.exponent) if self.exponent.is_Integer else float(self.exponent)
        return f"{operands[0]} ** {exponent}" if exponent >= 0 else f"{operands[0]} ** ({exponent})"

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        def fate(slot: Slot) -> Fate:
            if slot.kind is Kind.SIGN and self.exponent.is_Integer:
                return Fate.PASSES
            return Fate.PASSES if slot.kind in (Kind.NUMBER, Kind.PERMUTATION) else Fate.FORBIDDEN

        factor = Fraction(int(self.exponent.p), int(self.exponent.q))
        passed = system.sieve(actions[0], fate)
        return {slot: form if slot.is_matrix else scaled(form, factor) for slot, form in passed.items()}

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        if tangents[0] is None or self.exponent == 0:
            return None
        if self.exponent == 1:
            return tangents[0]
        return operands[0] ** (self.exponent - 1) * tangents[0] * self.exponent
