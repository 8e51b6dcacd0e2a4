"""A parameter as a family of matrices, one for every index of its batch places."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from symtheory.graph.layout import Layout
from symtheory.graph.shapes import Size


@dataclass(frozen=True)
class View:
    """The places of a parameter, sorted into those of a batch, of rows and of columns.

    parameter: its name; layout: its axes split into places; batch, rows, columns: places, each in order. A matrix has
    the product of the sizes of its rows and of its columns, 1 where there is no place.
    """

    parameter: str
    layout: Layout
    batch: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @cached_property
    def shape(self) -> tuple[Size, Size]:
        return self._size(self.rows), self._size(self.columns)

    def _size(self, places: tuple[int, ...]) -> Size:
        return sp.Mul(*(self.layout.sizes[place] for place in places))

    @cached_property
    def symbol(self) -> sp.MatrixSymbol:
        """One matrix of the family, named like the parameter."""
        return sp.MatrixSymbol(self.parameter, *self.shape)

    @cached_property
    def is_plain(self) -> bool:
        """Whether the parameter is this matrix as it is."""
        return not self.layout.is_split() and not self.batch and self.layout.rank == 2 and self.rows == (0,)

    def side(self, place: int) -> int | None:
        """0 where the place makes up the rows, 1 the columns, None where it is in the batch or one of several."""
        if self.rows == (place,):
            return 0
        return 1 if self.columns == (place,) else None
