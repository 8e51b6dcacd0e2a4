"""Where a group acts on one parameter: along which place, in how many copies, and with which exponent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import sympy as sp

from symtheory.graph.action import subsets
from symtheory.graph.layout import Layout
from symtheory.graph.shapes import Shape, Size
from symtheory.lazy_module import LazyModule

if TYPE_CHECKING:
    import numpy as np
else:
    np = LazyModule("numpy")

Pattern = Mapping[tuple[str, frozenset[int]], sp.Rational]
"""A rescaling whose factor varies over places: (parameter, those places) → exponent."""


@dataclass(frozen=True)
class Site:
    """A group element g of shape (*copies, h, h), or (*copies) for numbers, at work on a parameter.

    layout: the parameter's axes, split into places; copies: the places that tell the copies of g apart, in the order
    of the leading axes of g; place: the place that a matrix acts along, None for numbers; exponent: g enters as
    g^exponent, where −1 stands for the contragredient (g⁻¹)ᵀ of a matrix.
    """

    parameter: str
    layout: Layout
    copies: tuple[int, ...]
    exponent: sp.Rational
    place: int | None = None

    @cached_property
    def rest(self) -> tuple[int, ...]:
        """Places that are neither copied over nor of size 1 by declaration: what one copy of g acts on."""
        return tuple(place for place in range(len(self.layout.sizes)) if place not in self.copies)

    @property
    def copy_sizes(self) -> Shape:
        return tuple(self.layout.sizes[place] for place in self.copies)

    def describe(self) -> str:
        """The place in words: ``W axis 0``, or the part of it where a reshape splits the axis."""
        if self.place is None:
            return self.parameter
        return f"{self.parameter} {self.layout.describe(self.place)}"

    def is_plain_matrix(self) -> bool:
        """Whether the parameter has at most two axes and no reshape splits them: then it is its own matrix symbol."""
        return self.layout.rank <= 2 and not self.layout.is_split()

    @cached_property
    def matrix_shape(self) -> tuple[Size, Size]:
        """Rows and columns of what one copy of g acts on: up to two places as they are, more as an unfolding."""
        sizes = [self.layout.sizes[place] for place in self.rest]
        if len(sizes) <= 2:
            return (*sizes, sp.Integer(1), sp.Integer(1))[:2]
        if self.place is None:
            return (sp.Mul(*sizes), sp.Integer(1))
        return (self.layout.sizes[self.place], sp.Mul(*sizes) / self.layout.sizes[self.place])

    @property
    def side(self) -> int:
        """0 where g acts on the rows of that matrix, 1 on its columns."""
        return self.rest.index(self.place) if self.place is not None and len(self.rest) == 2 else 0

    def symbol(self) -> sp.Expr:
        """The parameter, or the part of it that one copy of g acts on, as a matrix symbol."""
        if not self.rest:
            return sp.Symbol(self.parameter, real=True)
        return sp.MatrixSymbol(self.parameter, *self.matrix_shape)

    # On arrays, whose shape is that of the parameter.

    @cached_property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.layout.sizes)

    def unfolded(self, array: np.ndarray) -> np.ndarray:
        """Shape (*copies, h, entries besides) for a matrix, (*copies, entries besides) for numbers."""
        front = (*self.copies, *(() if self.place is None else (self.place,)))
        moved = np.moveaxis(np.asarray(array).reshape(self._sizes), front, range(len(front)))
        return moved.reshape(*(self._sizes[place] for place in front), -1)

    def folded(self, matrix: np.ndarray) -> np.ndarray:
        """The array of which ``unfolded`` made this."""
        front = (*self.copies, *(() if self.place is None else (self.place,)))
        behind = [place for place in range(len(self._sizes)) if place not in front]
        moved = matrix.reshape(tuple(self._sizes[place] for place in (*front, *behind)))
        return np.moveaxis(moved, range(len(front)), front).reshape(tuple(int(size) for size in self.layout.shape))


def patterns_of(indices: Mapping[Site, tuple[int, ...]]) -> tuple[tuple[sp.Expr, Pattern], ...]:
    """The rescalings in a group of diagonal elements, by the part that varies over each subset of its indices.

    indices: for every site the places that belong to index 0, 1, … of the element. Returned with the dimension of
    each part: Π (n_p − 1), since the part has mean zero over each of its indices.
    """
    leading, order = next(iter(indices.items()))
    patterns: list[tuple[sp.Expr, Pattern]] = []
    for chosen in subsets(tuple(range(len(order)))):
        pattern: dict[tuple[str, frozenset[int]], sp.Rational] = {}
        for site, places in indices.items():
            key = (site.parameter, frozenset(places[index] for index in chosen))
            pattern[key] = pattern.get(key, sp.Integer(0)) + site.exponent
        kept = {key: exponent for key, exponent in pattern.items() if exponent != 0}
        if kept:
            patterns.append((sp.Mul(*(leading.layout.sizes[order[index]] - 1 for index in chosen)), kept))
    return tuple(patterns)
