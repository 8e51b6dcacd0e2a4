"""Weighted linear least squares with known errors, and a line whose scatter gives the error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numeric.comparison.samples import FloatArray, Samples, as_array, same_length
from numeric.errors import CheckError


@dataclass(frozen=True)
class LeastSquares:
    """coefficients (k,), their covariance (k, k) from the stated errors, and the chi² of the fit."""

    coefficients: FloatArray
    covariance: FloatArray
    chi_square: float
    degrees_of_freedom: int

    @property
    def scale(self) -> float:
        """Factor max(1, sqrt(chi²/dof)) by which errors grow when the model fits worse than they allow."""
        if self.degrees_of_freedom == 0:
            return 1.0
        return float(max(1.0, np.sqrt(self.chi_square / self.degrees_of_freedom)))

    @property
    def standard_errors(self) -> FloatArray:
        """Errors of the coefficients (k,), enlarged by `scale`."""
        return np.asarray(np.sqrt(np.diag(self.covariance)) * self.scale, dtype=np.float64)


def weighted_least_squares(design: Samples, values: Samples, errors: Samples) -> LeastSquares:
    """Minimise Σ ((values − design @ coefficients)/errors)².

    design: (n, k); values, errors: (n,), one unit. CheckError when lengths differ, an error is not positive,
    or the columns of the design are linearly dependent (fewer points than coefficients included).
    """
    matrix = as_array(design, "the design matrix", (2,))
    y, sigma = as_array(values, "values"), as_array(errors, "errors")
    same_length(design=matrix, values=y, errors=sigma)
    if not (sigma > 0).all():
        raise CheckError("every standard error must be positive; leave points without noise to ConvergenceOrder")
    # The scale of a column cancels in the solution; equal scales keep the rank test meaningful.
    lengths = np.linalg.norm(matrix / sigma[:, None], axis=0)
    if (lengths == 0).any():
        raise CheckError("a column of the design matrix is zero; give values at which every term differs from zero")
    weighted = matrix / sigma[:, None] / lengths
    if np.linalg.matrix_rank(weighted) < matrix.shape[1]:
        raise CheckError(f"{len(y)} points do not determine {matrix.shape[1]} coefficients; give more distinct values")
    scaled, *_ = np.linalg.lstsq(weighted, y / sigma, rcond=None)
    covariance = np.linalg.inv(weighted.T @ weighted) / np.outer(lengths, lengths)
    residual = y / sigma - weighted @ scaled
    return LeastSquares(scaled / lengths, covariance, float(residual @ residual), len(y) - matrix.shape[1])


def straight_line(x: Samples, y: Samples) -> tuple[float, float, float]:
    """(slope, intercept, standard error of the slope) of the ordinary line, the error from its scatter.

    x, y: (n,) with n ≥ 3 distinct x; CheckError otherwise.
    """
    xs, ys = as_array(x, "x"), as_array(y, "y")
    if len(xs) < 3:
        raise CheckError(f"a slope with an error needs at least 3 points, and there are {len(xs)}")
    fit = weighted_least_squares(np.stack([np.ones_like(xs), xs], axis=1), ys, np.ones_like(ys))
    scatter = fit.chi_square / fit.degrees_of_freedom
    error = float(np.sqrt(fit.covariance[1, 1] * scatter))
    return float(fit.coefficients[1]), float(fit.coefficients[0]), error
