"""Ranks in float64, with the gap that decides them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symtheory.errors import CertificateError

# Singular values relative to the largest: rounding of a few thousand operations stays below the first number, and a
# gap is a factor of at least the second between what counts as zero and what does not.
ZERO_BELOW, GAP = 1e-8, 1e3
FLOOR = 1e-17
# Row reduction only makes fields readable: smaller pivots are passed over, smaller results are taken for zero.
PIVOT, ROUNDING = 1e-4, 1e-8


@dataclass(frozen=True)
class RankGap:
    """Largest relative singular value taken for zero (0 if none) and smallest one that is not."""

    zero: float
    nonzero: float

    @property
    def ratio(self) -> float:
        return self.nonzero / max(self.zero, FLOOR)

    def __str__(self) -> str:
        return f"rank gap {self.zero:.0e} to {self.nonzero:.0e}"


@dataclass(frozen=True)
class NumericalRank:
    """Rank, an orthonormal basis of the null space (one vector a row), and the gap."""

    rank: int
    nullspace: np.ndarray
    gap: RankGap


def numerical_rank(matrix: np.ndarray) -> NumericalRank:
    """Of a matrix whose rows are scaled to length one first; ``CertificateError`` when there is no clear gap."""
    lengths = np.linalg.norm(matrix, axis=1)
    kept = matrix[lengths > FLOOR] / lengths[lengths > FLOOR, None]
    columns = matrix.shape[1]
    if not kept.size:
        return NumericalRank(0, np.eye(columns), RankGap(0.0, 1.0))
    _, values, basis = np.linalg.svd(kept, full_matrices=len(kept) < columns)
    relative = np.maximum(values / values[0], FLOOR)
    ratios = relative[:-1] / relative[1:]
    allowed = [index for index in range(len(ratios)) if relative[index + 1] < ZERO_BELOW and ratios[index] >= GAP]
    if allowed:
        rank = max(allowed, key=lambda index: ratios[index]) + 1
        gap = RankGap(float(relative[rank]), float(relative[rank - 1]))
    elif relative[-1] >= ZERO_BELOW:
        rank, gap = len(relative), RankGap(0.0, float(relative[-1]))
    else:
        raise CertificateError("a rank cannot be told from rounding: bind smaller sizes")
    return NumericalRank(rank, basis[rank:], gap)


def row_echelon(matrix: np.ndarray) -> np.ndarray:
    """Reduced row echelon form of independent rows; entries below ``ROUNDING`` become zero."""
    reduced = matrix.copy()
    row = 0
    for column in range(matrix.shape[1]):
        if row == len(reduced):
            break
        pivot = row + int(np.argmax(np.abs(reduced[row:, column])))
        if abs(reduced[pivot, column]) < PIVOT:
            continue
        reduced[[row, pivot]] = reduced[[pivot, row]]
        reduced[row] /= reduced[row, column]
        others = np.arange(len(reduced)) != row
        reduced[others] -= np.outer(reduced[others, column], reduced[row])
        row += 1
    return np.where(np.abs(reduced) < ROUNDING, 0.0, reduced)
