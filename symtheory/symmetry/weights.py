"""Weight coordinates: the basis in which a torus of symmetries acts by rescaling each coordinate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from symtheory.errors import DerivationError
from symtheory.graph.elementwise import ElementwiseModel
from symtheory.symmetry.solutions import nullspace


@dataclass(frozen=True)
class WeightCoordinates:
    """p = ``matrix`` · θ with (A_a θ acts as) p_i ↦ ω_{a i} p_i.

    symbols: p_1 … p_k; matrix: k×k, primitive integer rows; inverse: θ_i as expressions in p;
    forms: p_i as expressions in θ; weights: for every generator a the rational weights (ω_{a1}, …, ω_{ak}).
    """

    symbols: tuple[sp.Symbol, ...]
    matrix: sp.ImmutableMatrix
    forms: tuple[sp.Expr, ...]
    inverse: tuple[sp.Expr, ...]
    weights: tuple[tuple[sp.Rational, ...], ...]


def weight_coordinates(model: ElementwiseModel) -> WeightCoordinates:
    """Joint eigenbasis of the generators; the parameters themselves where those are diagonal or absent.

    Raises ``DerivationError`` when generators do not commute or are not diagonalizable over the rationals, as for a
    rotation (whose invariant metric is the Euclidean one).
    """
    generators = model.generators
    for index, left in enumerate(generators):
        if any(left * right != right * left for right in generators[:index]):
            raise DerivationError("the generators do not commute: they have no common weight coordinates")
    rows = sorted(_joint_eigenrows(generators, model.dimension), key=_reading_order)
    matrix = sp.Matrix(rows)
    symbols = tuple(sp.Symbol(f"p{index}", real=True) for index in range(1, model.dimension + 1))
    weights = tuple(tuple(_eigenvalue(sp.Matrix([row]), generator) for row in rows) for generator in generators)
    return WeightCoordinates(
        symbols,
        sp.ImmutableMatrix(matrix),
        tuple(matrix * sp.Matrix(model.coordinates)),
        tuple(matrix.inv() * sp.Matrix(symbols)),
        weights,
    )


def _joint_eigenrows(generators: Sequence[sp.Matrix], k: int) -> list[list[sp.Rational]]:
    spaces = [sp.eye(k)]
    for generator in generators:
        spaces = [part for space in spaces for part in _split(space, generator)]
    return [row for space in spaces for row in space.tolist()]


def _split(space: sp.Matrix, generator: sp.Matrix) -> list[sp.Matrix]:
    """The invariant row space ``space`` split into row eigenspaces of the generator."""
    restricted = space * generator * space.T * (space * space.T).inv()
    parts = []
    for value in sorted(restricted.eigenvals()):
        if not value.is_Rational:
            raise DerivationError("a generator has no rational weights (a rotation, say): no weight coordinates")
        shifted = (restricted - value * sp.eye(restricted.shape[0])).T
        rows = nullspace(shifted.tolist(), restricted.shape[0])
        parts.append(_primitive_rows(sp.Matrix(rows) * space))
    if sum(part.shape[0] for part in parts) != space.shape[0]:
        raise DerivationError("a generator is not diagonalizable: no weight coordinates")
    return parts


def _primitive_rows(matrix: sp.Matrix) -> sp.Matrix:
    rows = []
    for row in matrix.tolist():
        scale = sp.ilcm(1, *(entry.q for entry in row))
        integers = [entry * scale for entry in row]
        rows.append([entry / sp.igcd(0, *integers) for entry in integers])
    return sp.Matrix(rows)


def _reading_order(row: Sequence[sp.Expr]) -> tuple[int, list[sp.Expr]]:
    first = next(index for index, entry in enumerate(row) if entry != 0)
    return first, [-entry for entry in row]


def _eigenvalue(row: sp.Matrix, generator: sp.Matrix) -> sp.Rational:
    image = row * generator
    pivot = next(index for index, entry in enumerate(row) if entry != 0)
    return image[pivot] / row[pivot]
