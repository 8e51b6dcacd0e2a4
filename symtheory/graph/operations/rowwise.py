"""Operations that treat every vector along the last axis alike and keep the shape."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import sympy as sp

from symtheory.errors import ShapeError
from symtheory.graph.operation import Operation
from symtheory.graph.shapes import Shape

if TYPE_CHECKING:
    import numpy as np


class RowWise(Operation):
    """f applied to each vector z of the last axis."""

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

        rows = operands[0].reshape(-1, operands[0].shape[-1])
        result = np.empty(rows.shape, dtype=object)
        for index, row in enumerate(rows):
            result[index, :] = self.row(list(row))
        return result.reshape(operands[0].shape)
