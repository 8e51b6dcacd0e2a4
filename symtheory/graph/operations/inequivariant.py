"""Smooth coordinatewise nonlinearities through which no continuous change of basis passes."""

from __future__ import annotations

from collections.abc import Sequence

from symtheory.graph.action import Action, ActionSystem, Fate, Kind, Slot
from symtheory.graph.layout import Layout
from symtheory.graph.operation import Elementwise


class Inequivariant(Elementwise):
    """Every linear action on the operand must vanish; ``missed`` names what other kind of change would pass.

    odd: whether f(−x) = −f(x), so that a change of sign passes.
    """

    missed: str = ""
    odd: bool = False

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        if self.missed and actions[0]:
            system.blocked_by.append(f"{self.name} ({self.missed})")
        return system.sieve(actions[0], self._fate)

    def _fate(self, slot: Slot) -> Fate:
        passes = slot.kind is Kind.PERMUTATION or (self.odd and slot.kind is Kind.SIGN)
        return Fate.PASSES if passes else Fate.FORBIDDEN
