"""Spans of affine vector fields, modulo the prime or in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import sympy as sp

from symtheory.symmetry.certificate import modular_matrix
from symtheory.symmetry.certificate.factor_fields import SparseField
from symtheory.symmetry.certificate.numerical_rank import RankGap, numerical_rank, short_rows, unit_rows
from symtheory.symmetry.certificate.truncated_algebra import TruncatedAlgebra


@dataclass
class Ranks:
    """Ranks in the algebra at hand; in float64 the narrowest gap that decided one is kept."""

    algebra: TruncatedAlgebra
    gaps: list[RankGap] = field(default_factory=list)

    def __call__(self, matrix: np.ndarray) -> int:
        """Rank of a matrix whose rows count by their direction, however short they are."""
        return self._rank(matrix, unit_rows)

    def of_scaled(self, matrix: np.ndarray) -> int:
        """Rank of a matrix whose rows have length about one unless they vanish; then they hold rounding errors."""
        return self._rank(matrix, short_rows)

    def _rank(self, matrix: np.ndarray, scaled: Callable[[np.ndarray], np.ndarray]) -> int:
        if not matrix.size:
            return 0
        if self.algebra.modulus is not None:
            return modular_matrix.rank(matrix)
        found = numerical_rank(scaled(matrix))
        self.gaps.append(found.gap)
        return found.rank

    @property
    def method(self) -> str:
        if self.algebra.modulus is not None:
            return "exact modulo the prime 2^31 − 1"
        return f"floating point, {min(self.gaps, key=lambda gap: gap.ratio)}"


def dense(fields: Sequence[SparseField], dimension: int, algebra: TruncatedAlgebra) -> np.ndarray:
    """Shape (fields, D, D + 1)."""
    result: np.ndarray = np.zeros((len(fields), dimension, dimension + 1), dtype=algebra.dtype)
    for index, sparse in enumerate(fields):
        for place, value in sparse.items():
            result[(index, *place)] = algebra.number(sp.Rational(value))
    return result


def values_at(fields: np.ndarray, theta: np.ndarray, algebra: TruncatedAlgebra) -> np.ndarray:
    """X(θ) of fields (count, D, D + 1) at a point (1, D); shape (count, D)."""
    moved = algebra.reduce(fields[:, :, :-1] * theta).sum(axis=-1)
    return np.asarray(algebra.reduce(moved + fields[:, :, -1]))


def outside(known: np.ndarray, fields: np.ndarray, rank: Callable[[np.ndarray], int]) -> list[int]:
    """Places of fields (rows) that complete the span of ``known`` to that of both, those with few entries first."""
    found = rank(known)
    missing = rank(np.concatenate([known, fields])) - found
    chosen: list[int] = []
    for place in np.argsort(np.count_nonzero(fields, axis=1), kind="stable"):
        if len(chosen) == missing:
            break
        if rank(np.concatenate([known, fields[[*chosen, int(place)]]])) > found + len(chosen):
            chosen.append(int(place))
    return chosen
