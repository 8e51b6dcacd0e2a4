"""Operations that treat every vector along one axis alike and keep the shape."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import sympy as sp

from symtheory.errors import ShapeError
from symtheory.graph.axis_links import Link, same_axes
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    import numpy as np


class RowWise(Operation):
    """f applied to each vector z of one axis (counted from the end), the last one unless a subclass says otherwise."""

    axis: int = -1

    def shape(self, operands: Sequence[Shape]) -> Shape:
        (operand,) = operands
        if not operand:
            raise ShapeError(f"{self.name} acts along the last axis and a scalar has none")
        return operand

    @abstractmethod
    def row(self, vector: Sequence[sp.Expr]) -> Sequence[sp.Expr]:
        """SymPy meaning on one vector."""

    def components(self, *operands: np.ndarray) -> np.ndarray:
        import numpy as np

        moved = np.moveaxis(operands[0], self.axis, -1)
        rows = moved.reshape(-1, moved.shape[-1])
        result = np.empty(rows.shape, dtype=object)
        for index, row in enumerate(rows):
            result[index, :] = self.row(list(row))
        return np.moveaxis(result.reshape(moved.shape), -1, self.axis)

    def linked_axes(self, shapes: Sequence[Shape], result: Shape) -> Iterator[Link]:
        yield from same_axes(shapes, result)
