"""Axes of size 1 put in front, so that operands of different rank can meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy as sp

from symtheory.graph.action import ZERO, Action, ActionSystem
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    import numpy as np

    from symtheory.graph.node import Node


@dataclass(frozen=True)
class AddAxes(Operation):
    """Shape (…) becomes (1, …, 1, …); changes of basis pass unchanged."""

    count: int
    name: ClassVar[str] = "add_axes"

    @property
    def label(self) -> str:
        return "broadcast"

    def shape(self, operands: Sequence[Shape]) -> Shape:
        return (sp.Integer(1),) * self.count + operands[0]

    def components(self, *operands: np.ndarray) -> np.ndarray:
        return operands[0].reshape((1,) * self.count + operands[0].shape)

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return operands[0] + f".unsqueeze(-{len(shapes[0]) + 1})" * self.count

    def equivariance(self, system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]) -> Action:
        (action,) = actions
        return Action((ZERO,) * self.count + action.axes, action.diagonal, action.scale)

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else tangents[0].reshape(*result.shape)
