"""Operations with f(g z) = g f(z) for positive g: ReLU, leaky ReLU and the absolute value."""

from __future__ import annotations

from collections.abc import Sequence

from symtheory.graph.action import Action, ActionSystem
from symtheory.graph.operation import Elementwise
from symtheory.graph.shapes import Shape


class PositivelyHomogeneous(Elementwise):
    """Positive diagonal changes of basis and common factors pass unchanged, other matrices do not."""

    def equivariance(self, system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]) -> Action:
        (action,) = actions
        system.restrict_to_diagonal(action)
        return action
