"""Smooth coordinatewise nonlinearities through which no continuous change of basis passes."""

from __future__ import annotations

from collections.abc import Sequence

from symtheory.graph.action import Action, ActionSystem
from symtheory.graph.operation import Elementwise
from symtheory.graph.shapes import Shape


class Inequivariant(Elementwise):
    """Every linear action on the operand must vanish; ``missed`` names what other kind of change would pass."""

    missed: str = ""

    def equivariance(self, system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]) -> Action:
        (action,) = actions
        if self.missed and not action.is_trivial:
            system.blocked_by.append(f"{self.name} ({self.missed})")
        system.vanish(action)
        return Action.trivial(len(shapes[0]))
