"""Sum over axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from symtheory.errors import CalculusError, ShapeError
from symtheory.graph.action import Action, ActionSystem
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    import numpy as np

    from symtheory.graph.node import Node


@dataclass(frozen=True)
class Sum(Operation):
    """Σ over ``axes`` (counted from the end, negative), which disappear; changes of basis on them do not pass."""

    axes: tuple[int, ...]
    name: ClassVar[str] = "sum"

    @staticmethod
    def over(axes: Iterable[int], rank: int) -> Sum:
        """Axes counted from either end of a node with ``rank`` axes."""
        return Sum(tuple(sorted(axis - rank if axis >= 0 else axis for axis in axes)))

    @property
    def label(self) -> str:
        return "Σ"

    def shape(self, operands: Sequence[Shape]) -> Shape:
        (operand,) = operands
        rank = len(operand)
        if any(not -rank <= axis < 0 for axis in self.axes) or len(set(self.axes)) != len(self.axes):
            named = ", ".join(str(axis + rank) for axis in self.axes)
            raise ShapeError(f"cannot sum over axes ({named}): the operand has {rank}, counted from 0, each taken once")
        return tuple(size for axis, size in enumerate(operand, -len(operand)) if axis not in self.axes)

    def components(self, *operands: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.asarray(np.sum(operands[0], axis=self.axes), dtype=object)

    def matrix(self, *operands: Any) -> Any:
        raise CalculusError("a sum over axes has no matrix-expression meaning: write it with @")

    def torch(self, operands: Sequence[str], shapes: Sequence[Shape]) -> str:
        return f"{operands[0]}.sum(dim={self.axes})" if self.axes else operands[0]

    def equivariance(self, system: ActionSystem, actions: Sequence[Action], shapes: Sequence[Shape]) -> Action:
        (action,) = actions
        rank = len(action.axes)
        for axis in self.axes:
            system.vanish_axis(action.axes[axis])
        system.vanish_diagonal(action.diagonal)
        kept = tuple(form for axis, form in enumerate(action.axes, -rank) if axis not in self.axes)
        return Action(kept, scale=action.scale)

    def tangent(self, operands: Sequence[Node], tangents: Sequence[Node | None], result: Node) -> Node | None:
        return None if tangents[0] is None else tangents[0].sum(self.axes)
