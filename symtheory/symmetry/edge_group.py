"""Groups of changes of basis on an inner edge: GL(h), O(h), and positive diagonal matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symtheory.errors import CalculusError
from symtheory.graph.shapes import Size
from symtheory.graph.symbol_names import free_name
from symtheory.symmetry.factor import Factor


@dataclass(frozen=True)
class EdgeGroup(Factor):
    """A change of basis g of R^h, absorbed by one axis each of the parameters around the edge.

    axes: (parameter, axis) → exponent: that axis is moved by g^exponent, where a negative exponent of a GL element
    means the contragredient (g⁻¹)ᵀ; size: h; kind_of_group: "GL", "O" or "rescaling" (positive diagonal).
    """

    axes: Mapping[tuple[str, int], sp.Rational]
    size: Size
    kind_of_group: str

    @property
    def kind(self) -> str:
        return self.kind_of_group

    @property
    def lives_on(self) -> str:
        return f"edge R^{self.size} ({', '.join(f'{name} axis {axis}' for name, axis in self.axes)})"

    @property
    def dimension(self) -> sp.Expr:
        h = self.size
        return {"GL": h**2, "O": h * (h - 1) / 2, "rescaling": h}[self.kind_of_group]

    @property
    def scalings(self) -> tuple[dict[str, sp.Rational], ...]:
        if self.kind_of_group == "O":
            return ()
        total: dict[str, sp.Rational] = {}
        for (name, _), exponent in self.axes.items():
            total[name] = total.get(name, sp.Integer(0)) + exponent
        return (total,)

    @property
    def element(self) -> sp.MatrixSymbol:
        """An h×h matrix, invertible; orthogonal for O, positive diagonal for rescalings."""
        return sp.MatrixSymbol(free_name("A", self.shapes), self.size, self.size)

    @property
    def generators(self) -> tuple[dict[str, Any], ...]:
        """X_A for an arbitrary A of the Lie algebra (h×h; antisymmetric for O, diagonal for rescalings)."""
        field: dict[str, Any] = {}
        for (name, axis), exponent in self.axes.items():
            matrix = self.element if exponent > 0 or self.kind_of_group == "rescaling" else self.element.T
            factor = exponent * matrix if self.kind_of_group == "rescaling" else sp.sign(exponent) * matrix
            change = _along(axis, factor, self._matrix_symbol(name))
            field[name] = field[name] + change if name in field else change
        return (field,)

    def act(self, g: Any, point: Mapping[str, Any]) -> dict[str, Any]:
        """g: an h×h matrix expression; ``point``: parameter → matrix expression."""
        moved = dict(point)
        for (name, axis), exponent in self.axes.items():
            self._require_matrix(name)
            power = g if exponent == 1 else g**exponent
            left = power if exponent > 0 or self.kind_of_group == "rescaling" else power.T
            moved[name] = _along(axis, left, moved[name])
        return moved

    @property
    def charges(self) -> dict[str, Any]:
        """Σ ± (Gram matrix along the axis), an h×h matrix (its diagonal for rescalings); none for O."""
        if self.kind_of_group == "O":
            return {}
        total = sp.ZeroMatrix(self.size, self.size)
        for (name, axis), exponent in self.axes.items():
            symbol = self._matrix_symbol(name)
            gram = symbol * symbol.T if axis == 0 else symbol.T * symbol
            sign = exponent if self.kind_of_group == "rescaling" else sp.sign(exponent)
            total = total + sign * gram
        leading = next(iter(self.axes.values()))
        total = total if leading > 0 else -total
        charge = sp.DiagonalMatrix(total) if self.kind_of_group == "rescaling" else total
        return {self.name: charge}

    def _matrix_symbol(self, name: str) -> sp.MatrixSymbol:
        self._require_matrix(name)
        return self.symbol(name)

    def _require_matrix(self, name: str) -> None:
        if len(self.shapes[name]) > 2:
            raise CalculusError(f"'{name}' has more than two axes: no matrix expression of this factor")


def _along(axis: int, matrix: Any, symbol: Any) -> Any:
    """The matrix applied along an axis of another matrix."""
    return matrix * symbol if axis == 0 else symbol * matrix.T
