"""The generators of a group factor as affine vector fields on the entries of all parameters of a bound graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import singledispatch
from itertools import combinations, product

import numpy as np
import sympy as sp

from symtheory.errors import CertificateError
from symtheory.graph.shapes import Shape, show
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.edge_group import EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.scaling import Scaling

SparseField = dict[tuple[int, int], sp.Rational]
"""(row, column) → entry of M; the column D, one behind the last, is the constant part b."""


@dataclass(frozen=True)
class EntryNumbers:
    """Numbers of the entries of every parameter, in the graph's order: name → array of the parameter's shape."""

    arrays: Mapping[str, np.ndarray]

    @staticmethod
    def of(parameters: Mapping[str, Shape]) -> EntryNumbers:
        arrays, start = {}, 0
        for name, shape in parameters.items():
            sizes = tuple(int(size) for size in shape)
            count = int(np.prod(sizes))
            arrays[name] = np.arange(start, start + count).reshape(sizes)
            start += count
        return EntryNumbers(arrays)

    def require(self, factor: Factor) -> None:
        """``CertificateError`` unless the factor moves parameters of these shapes."""
        for name, shape in factor.shapes.items():
            if name not in self.arrays or tuple(shape) != self.arrays[name].shape:
                raise CertificateError(
                    f"factor '{factor.name}' moves '{name}' {show(shape)}, which the bound graph does not have: "
                    "find the group of the bound graph"
                )


@singledispatch
def factor_fields(factor: Factor, entries: EntryNumbers) -> list[SparseField]:
    """A basis of the factor's Lie algebra; ``CertificateError`` for a kind of factor that has no rule here."""
    raise CertificateError(
        f"factor '{factor.name}' ({type(factor).__name__}) has no vector fields: register them with factor_fields"
    )


@factor_fields.register
def _(factor: CoordinatewiseGroup, entries: EntryNumbers) -> list[SparseField]:
    places = np.stack([entries.arrays[name].ravel() for name in factor.shapes])
    return [
        {(int(coordinate[i]), int(coordinate[j])): matrix[i, j] for i, j in np.ndindex(matrix.shape) if matrix[i, j]}
        for matrix in factor.matrices
        for coordinate in places.T
    ]


@factor_fields.register
def _(factor: Scaling, entries: EntryNumbers) -> list[SparseField]:
    return [
        {
            (int(entry), int(entry)): exponent
            for name, exponent in factor.exponents.items()
            for entry in entries.arrays[name].ravel()
        }
    ]


@factor_fields.register
def _(factor: EdgeGroup, entries: EntryNumbers) -> list[SparseField]:
    return [_edge_field(factor, entries, element) for element in _algebra(factor.kind_of_group, int(factor.size))]


def _algebra(kind: str, size: int) -> Iterator[dict[tuple[int, int], int]]:
    """Basis of the Lie algebra as sparse h×h matrices."""
    if kind == "GL":
        yield from ({(i, j): 1} for i, j in product(range(size), repeat=2))
    elif kind == "O":
        yield from ({(i, j): 1, (j, i): -1} for i, j in combinations(range(size), 2))
    else:
        yield from ({(i, i): 1} for i in range(size))


def _edge_field(factor: EdgeGroup, entries: EntryNumbers, element: Mapping[tuple[int, int], int]) -> SparseField:
    """Along every axis ±A (transposed for the contragredient), or the exponent times the diagonal of a rescaling."""
    field: SparseField = {}
    for (name, axis), exponent in factor.axes.items():
        slices = np.moveaxis(entries.arrays[name], axis, 0)
        weight = exponent if factor.kind_of_group == "rescaling" else sp.sign(exponent)
        for (i, j), value in element.items():
            row, column = (i, j) if exponent > 0 else (j, i)
            for target, origin in zip(slices[row].ravel(), slices[column].ravel(), strict=True):
                place = (int(target), int(origin))
                field[place] = field.get(place, sp.Integer(0)) + weight * value
    return {place: value for place, value in field.items() if value != 0}
