"""The generators of a group factor as affine vector fields on the entries of all parameters of a bound graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import singledispatch
from itertools import combinations, product

import numpy as np
import sympy as sp

from symtheory.errors import CertificateError
from symtheory.graph.shapes import Shape, show
from symtheory.graph.subgraph import parameters_below
from symtheory.symmetry.coordinatewise_group import CoordinatewiseGroup
from symtheory.symmetry.declared import DeclaredSymmetry
from symtheory.symmetry.edge_group import GENERAL, ORTHOGONAL, EdgeGroup
from symtheory.symmetry.factor import Factor
from symtheory.symmetry.rescaling import Rescaling
from symtheory.symmetry.translation import Translation

LARGEST_DENOMINATOR = 10_000

SparseField = dict[tuple[int, int], sp.Rational]
"""(row, column) → entry of M; the column D, one behind the last, is the constant part b."""


@dataclass(frozen=True)
class EntryNumbers:
    """Numbers of the entries of every parameter, in the graph's order: name → array of the parameter's shape.

    constants: values of the graph's constants, on which the shift of a bias may depend.
    """

    arrays: Mapping[str, np.ndarray]
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)

    @staticmethod
    def of(parameters: Mapping[str, Shape], constants: Mapping[str, np.ndarray] | None = None) -> EntryNumbers:
        arrays, start = {}, 0
        for name, shape in parameters.items():
            sizes = tuple(int(size) for size in shape)
            count = int(np.prod(sizes))
            arrays[name] = np.arange(start, start + count).reshape(sizes)
            start += count
        return EntryNumbers(arrays, constants or {})

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
def _(factor: Rescaling, entries: EntryNumbers) -> list[SparseField]:
    fields: list[SparseField] = []
    for index in np.ndindex(*(int(size) for size in factor.copies)):
        change: SparseField = {}
        for site in factor.sites:
            for entry in site.unfolded(entries.arrays[site.parameter])[index]:
                place = (int(entry), int(entry))
                change[place] = change.get(place, sp.Integer(0)) + site.exponent
        fields.append({place: value for place, value in change.items() if value != 0})
    return fields


@factor_fields.register
def _(factor: EdgeGroup, entries: EntryNumbers) -> list[SparseField]:
    return [
        _edge_field(factor, entries, copy, element)
        for copy in np.ndindex(*(int(size) for size in factor.copies))
        for element in _algebra(factor.algebra, int(factor.size))
    ]


def _algebra(algebra: str, size: int) -> Iterator[dict[tuple[int, int], int]]:
    """Basis of the Lie algebra as sparse h×h matrices."""
    if algebra == GENERAL:
        yield from ({(i, j): 1} for i, j in product(range(size), repeat=2))
    elif algebra == ORTHOGONAL:
        yield from ({(i, j): 1, (j, i): -1} for i, j in combinations(range(size), 2))
    else:
        # (e_i − e_0) ∧ (e_j − e_0): antisymmetric, and every row adds up to zero.
        for i, j in combinations(range(1, size), 2):
            cycle = ((i, j), (j, 0), (0, i))
            yield dict.fromkeys(cycle, 1) | {(b, a): -1 for a, b in cycle}


def _edge_field(
    factor: EdgeGroup, entries: EntryNumbers, copy: tuple[int, ...], element: Mapping[tuple[int, int], int]
) -> SparseField:
    """Along every place A, or −Aᵀ for the contragredient."""
    change: SparseField = {}
    for site in factor.sites:
        rows = site.unfolded(entries.arrays[site.parameter])[copy]
        for (i, j), value in element.items():
            row, column, weight = (i, j, value) if site.exponent > 0 else (j, i, -value)
            for target, origin in zip(rows[row], rows[column], strict=True):
                place = (int(target), int(origin))
                change[place] = change.get(place, sp.Integer(0)) + weight
    return {place: value for place, value in change.items() if value != 0}


@factor_fields.register
def _(factor: Translation, entries: EntryNumbers) -> list[SparseField]:
    involved = {name for node in factor.compensation.values() for name in parameters_below(node)}
    return _affine_fields(factor, involved, entries)


@factor_fields.register
def _(factor: DeclaredSymmetry, entries: EntryNumbers) -> list[SparseField]:
    return _affine_fields(factor, set(factor.shapes), entries)


def _affine_fields(factor: Factor, involved: set[str], entries: EntryNumbers) -> list[SparseField]:
    """Of a field that is affine in the parameters and linear in the element: its values at unit vectors tell it."""
    count = sum(array.size for array in entries.arrays.values())
    shapes = {name: array.shape for name, array in entries.arrays.items()}
    origin = {**entries.constants, **{name: np.zeros(shape) for name, shape in shapes.items()}}
    fields: list[SparseField] = []
    for index in np.ndindex(*(int(size) for size in factor.element_shape)):
        t = factor.identity()
        t[index] = 1.0
        constant = factor.field(t, origin)
        sparse = _entries_of(constant, entries, count)
        for name in sorted(involved):
            for place in np.ndindex(*shapes[name]):
                unit = {**origin, name: origin[name].copy()}
                unit[name][place] = 1.0
                change = factor.field(t, unit)
                slope = {key: change[key] - constant[key] for key in change}
                sparse |= _entries_of(slope, entries, int(entries.arrays[name][place]))
        fields.append(sparse)
    return fields


def _entries_of(change: Mapping[str, np.ndarray], entries: EntryNumbers, column: int) -> SparseField:
    return {
        (int(entries.arrays[name][place]), column): _exact(float(value[place]))
        for name, value in change.items()
        for place in np.ndindex(value.shape)
        if value[place] != 0
    }


def _exact(value: float) -> sp.Rational:
    """The fraction with a small denominator that rounds to the value, if there is one; else the float as it is."""
    short = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
    return sp.Rational(*(short if float(short) == value else Fraction(value)).as_integer_ratio())
