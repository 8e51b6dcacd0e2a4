"""Broadcasting stretches axes of size 1; no change of basis on such an axis survives it."""

from __future__ import annotations

from collections.abc import Sequence

from symtheory.graph.action import ZERO, Action, ActionSystem
from symtheory.graph.shapes import Shape, broadcast


def hold_stretched_axes(system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]) -> tuple[Action, ...]:
    """The actions with those forms held at zero that live on an axis which broadcasting stretches."""
    target = broadcast(shapes)
    held = []
    for action, shape in zip(actions, shapes, strict=True):
        stretched = [size == 1 and wide != 1 for size, wide in zip(shape, target, strict=True)]
        for form, is_stretched in zip(action.axes, stretched, strict=True):
            if is_stretched:
                system.vanish_axis(form)
        if any(stretched):
            system.vanish_diagonal(action.diagonal)
        axes = tuple(ZERO if stretch else form for form, stretch in zip(action.axes, stretched, strict=True))
        held.append(Action(axes, ZERO if any(stretched) else action.diagonal, action.scale))
    return tuple(held)
