"""The search for affine fields in float64: generous on the way, and one clear gap at the end.

On the way, only directions that violate the equations by more than ``VIOLATED`` are given up. So every solution stays,
up to the rounding error over ``VIOLATED``, and what else stays falls to later equations. The gap that is stated at the
end is the narrowest of all: between the violation of what was found and the least violation of anything given up.
"""

from __future__ import annotations

import numpy as np

from symtheory.errors import CertificateError
from symtheory.symmetry.certificate.field_arithmetic import FieldArithmetic
from symtheory.symmetry.certificate.gradient_source import FRACTION_BITS, GradientSource
from symtheory.symmetry.certificate.numerical_rank import RankGap, generous_kernel, numerical_kernel, row_echelon

VIOLATED = 1e-2
# Twice as many random equations as unknowns, and some: then the least singular value stays well away from zero.
TIMES, SPARE = 2, 20


class FloatArithmetic(FieldArithmetic):
    """Real numbers; bases are orthonormal, and equations are scaled so that their singular values are about one."""

    def __init__(self, source: GradientSource) -> None:
        super().__init__(source)
        self._gap = RankGap(0.0, 1.0)

    @property
    def gap(self) -> RankGap:
        return self._gap

    def directions(self) -> np.ndarray:
        size = self.source.dimension
        drawn = self.source.gaussians(size, size)
        if not self.source.needs_positive:
            return np.asarray(np.linalg.qr(drawn)[0])
        return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))

    def steps(self, count: int, width: int) -> np.ndarray:
        return self.source.gaussians(count, width) * 2.0**FRACTION_BITS

    def equations(self, unknowns: int) -> int:
        return TIMES * unknowns + SPARE

    def rows(self, points: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            found = self.source.rows(points)
        finite = np.isfinite(found).all(axis=1)
        if 2 * finite.sum() < len(found):
            raise CertificateError("the predictor is not finite at most random points: check its domain")
        found[~finite] = 0
        # Where units are saturated gradients are short, and rounding is not: they must not be made long.
        lengths = np.linalg.norm(found, axis=1)
        positive = lengths[lengths > 0]
        usual = np.median(positive) if len(positive) else 1.0
        return np.asarray(found / np.maximum(lengths, usual)[:, None])

    def factors(self, coefficients: np.ndarray) -> np.ndarray:
        return np.asarray(coefficients / np.linalg.norm(coefficients, axis=1, keepdims=True))

    def multiply(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.asarray(left @ right)

    def inverse(self, matrix: np.ndarray) -> np.ndarray:
        return np.linalg.inv(matrix)

    def row_echelon(self, matrix: np.ndarray) -> np.ndarray:
        return row_echelon(matrix)

    def tidied(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.qr(rows.T)[0].T)

    def compressed(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.qr(rows.T, mode="r")).T if len(rows) < rows.shape[1] else rows

    def complement(self, rows: np.ndarray, dimension: int) -> np.ndarray:
        return np.asarray(np.linalg.qr(rows.T, mode="complete")[0].T[len(rows) :])

    def roughly_kernel(self, matrix: np.ndarray, usual: float) -> np.ndarray:
        basis, least = generous_kernel(matrix / usual, VIOLATED)
        self._gap = RankGap(self._gap.zero, min(self._gap.nonzero, least))
        return basis

    def kernel(self, matrix: np.ndarray, usual: float) -> np.ndarray:
        basis, gap = numerical_kernel(matrix / usual)
        self._gap = RankGap(max(self._gap.zero, gap.zero), min(self._gap.nonzero, gap.nonzero))
        return basis
