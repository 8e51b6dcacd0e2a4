"""Operations with f(g z) = g f(z) for positive g: ReLU, leaky ReLU and the absolute value."""

from __future__ import annotations

from collections.abc import Sequence

from symtheory.graph.action import Action, ActionSystem, Fate, Kind, Slot
from symtheory.graph.layout import Layout
from symtheory.graph.operation import Elementwise


class PositivelyHomogeneous(Elementwise):
    """Positive factors pass unchanged; matrices do not, and a change of sign only where ``sign_fate`` says so."""

    sign_fate = Fate.FORBIDDEN

    def equivariance(
        self, system: ActionSystem, actions: Sequence[Action], layouts: Sequence[Layout], result: Layout
    ) -> Action:
        return system.sieve(actions[0], self._fate)

    def _fate(self, slot: Slot) -> Fate:
        if slot.kind in (Kind.NUMBER, Kind.PERMUTATION):
            return Fate.PASSES
        return self.sign_fate if slot.kind is Kind.SIGN else Fate.FORBIDDEN
