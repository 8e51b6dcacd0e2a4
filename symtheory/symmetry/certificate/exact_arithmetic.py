"""The search for affine fields modulo the prime, where every rank is exact."""

from __future__ import annotations

import numpy as np

from symtheory.symmetry.certificate import modular_matrix
from symtheory.symmetry.certificate.field_arithmetic import FieldArithmetic
from symtheory.symmetry.certificate.truncated_algebra import PRIME

# Random equations beyond the number of unknowns; each is independent of the others up to a chance of about 1/PRIME.
SPARE = 10
# Directions have small integer entries and steps 16 bits (over 2^20), so that points stay of order one and exact.
DIRECTION, STEP = 8, 2**16


class ExactArithmetic(FieldArithmetic):
    """Residues modulo the prime, as int64."""

    @property
    def gap(self) -> None:
        return None

    def directions(self) -> np.ndarray:
        size = self.source.dimension
        while True:
            drawn = self.source.nonzero_integers(DIRECTION, size, size)
            if modular_matrix.rank(drawn % PRIME) == size:  # two random directions in the plane may be parallel
                return drawn

    def steps(self, count: int, width: int) -> np.ndarray:
        return self.source.nonzero_integers(STEP, count, width)

    def equations(self, unknowns: int) -> int:
        return unknowns + SPARE

    def rows(self, points: np.ndarray) -> np.ndarray:
        return self.source.rows(points)

    def factors(self, coefficients: np.ndarray) -> np.ndarray:
        return coefficients

    def multiply(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return modular_matrix.multiply(left, right)

    def inverse(self, matrix: np.ndarray) -> np.ndarray:
        return modular_matrix.inverse(matrix % PRIME)

    def row_echelon(self, matrix: np.ndarray) -> np.ndarray:
        return modular_matrix.row_echelon(matrix)

    def tidied(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def compressed(self, rows: np.ndarray) -> np.ndarray:
        count, columns = rows.shape
        if columns <= count + SPARE:
            return rows
        return self.multiply(rows, self.source.values(self.source.numerators(columns, count + SPARE)))

    def complement(self, rows: np.ndarray, dimension: int) -> np.ndarray:
        pivots = {int(np.flatnonzero(row)[0]) for row in self.row_echelon(rows)}
        return np.eye(dimension, dtype=np.int64)[[place for place in range(dimension) if place not in pivots]]

    def roughly_kernel(self, matrix: np.ndarray, usual: float) -> np.ndarray:
        return self.kernel(matrix, usual)

    def kernel(self, matrix: np.ndarray, usual: float) -> np.ndarray:
        return modular_matrix.nullspace(matrix)
