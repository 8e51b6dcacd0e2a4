"""Ranks in float64, with the gap that decides them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

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
    """Rank and the gap that decided it."""

    rank: int
    gap: RankGap


def unit_rows(matrix: np.ndarray) -> np.ndarray:
    """The rows at length one, those of length zero left out: for rows of which only the direction matters."""
    lengths = np.linalg.norm(matrix, axis=1)
    return np.asarray(matrix[lengths > FLOOR] / lengths[lengths > FLOOR, None])


def short_rows(matrix: np.ndarray) -> np.ndarray:
    """Rows longer than one shortened to one: for rows that are zero, up to rounding, where they are far below one."""
    return np.asarray(matrix / np.maximum(np.linalg.norm(matrix, axis=1), 1.0)[:, None])


def numerical_rank(matrix: np.ndarray) -> NumericalRank:
    """Of a matrix with rows of length about one or less; ``CertificateError`` when there is no clear gap."""
    if not np.any(matrix):
        return NumericalRank(0, RankGap(0.0, 1.0))
    singular = _singular_values(_triangle(matrix))
    return _decide(singular / max(float(singular[0]), 1.0))


def numerical_kernel(matrix: np.ndarray) -> tuple[np.ndarray, RankGap]:
    """Orthonormal basis of {x : matrix · x = 0}, one vector a row, for a matrix whose singular values are about one.

    Values near zero are told from one, not from the largest, so that a matrix of rounding errors has rank 0.
    """
    singular, basis = _complete(matrix)
    found = _decide(singular)
    return basis[found.rank :], found.gap


def generous_kernel(matrix: np.ndarray, violated: float) -> tuple[np.ndarray, float]:
    """Orthonormal basis of the span of singular vectors below ``violated``, and the least singular value above."""
    singular, basis = _complete(matrix)
    rank = int(np.count_nonzero(singular >= violated))
    return basis[rank:], float(singular[rank - 1]) if rank else 1.0


def _decide(relative: np.ndarray) -> NumericalRank:
    """The rank from singular values in descending order, at the widest gap below which all counts as zero."""
    if not np.any(relative >= ZERO_BELOW):
        return NumericalRank(0, RankGap(float(max(relative, default=0.0)), 1.0))
    relative = np.maximum(relative, FLOOR)
    ratios = relative[:-1] / relative[1:]
    allowed = [index for index in range(len(ratios)) if relative[index + 1] < ZERO_BELOW and ratios[index] >= GAP]
    if allowed:
        rank = max(allowed, key=lambda index: ratios[index]) + 1
        return NumericalRank(rank, RankGap(float(relative[rank]), float(relative[rank - 1])))
    if relative[-1] >= ZERO_BELOW:
        return NumericalRank(len(relative), RankGap(0.0, float(relative[-1])))
    raise CertificateError("a rank cannot be told from rounding: bind smaller sizes")


def _triangle(matrix: np.ndarray) -> np.ndarray:
    """A matrix of no more rows than columns with the same singular values and right singular vectors."""
    rows, columns = matrix.shape
    if not np.isfinite(matrix).all():
        raise CertificateError("the predictor is not finite at some random points: check its domain")
    return np.asarray(np.linalg.qr(matrix, mode="r")) if rows > columns else matrix


def _complete(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As many singular values as columns, in descending order, and the right singular vectors, one a row."""
    triangle = _triangle(matrix)
    missing = triangle.shape[1] - len(triangle)
    square = np.concatenate([triangle, np.zeros((missing, triangle.shape[1]))])
    try:
        _, singular, basis = np.linalg.svd(square)
    except np.linalg.LinAlgError:
        # The fast driver fails on some matrices with many values at rounding level; the slow one does not.
        _, singular, basis = scipy.linalg.svd(square, lapack_driver="gesvd")
    return np.asarray(singular), np.asarray(basis)


def _singular_values(matrix: np.ndarray) -> np.ndarray:
    try:
        return np.asarray(np.linalg.svd(matrix, compute_uv=False))
    except np.linalg.LinAlgError:
        return np.asarray(scipy.linalg.svd(matrix, compute_uv=False, lapack_driver="gesvd"))


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
