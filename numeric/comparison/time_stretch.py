"""How much faster a measured relaxation runs than a predicted one, whatever the height at which it ends."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from numeric.comparison.estimate import Estimate
from numeric.comparison.samples import FloatArray
from numeric.errors import CheckError

WIDEST = 8.0
"""Largest factor between the two rates that is looked for."""


def time_stretch(steps: FloatArray, measured: FloatArray, predicted: FloatArray) -> Estimate:
    """λ of the least squares fit of a · predicted(λ k) to the mean over replicas, with its error over replicas.

    steps: (T,) ascending, from 0; measured: (R, T); predicted: (T,), zero at step 0 and level at the end, where it is
    continued. The error is that of the linearized fit, replica by replica. CheckError below two replicas.
    """
    replicas = len(measured)
    if replicas < 2:
        raise CheckError("a rate with an error needs at least two replicas")
    mean = measured.mean(axis=0)

    def stretched(logarithm: float) -> FloatArray:
        return np.asarray(np.interp(np.exp(logarithm) * steps, steps, predicted))

    def misfit(logarithm: float) -> float:
        curve = stretched(logarithm)
        height = (curve @ mean) / max(float(curve @ curve), 1e-300)
        return float(((mean - height * curve) ** 2).sum())

    bound = np.log(WIDEST)
    grid = np.linspace(-bound, bound, 65)  # the misfit may have several minima: the search starts from the lowest
    best = int(np.argmin([misfit(point) for point in grid]))
    around = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    logarithm = float(minimize_scalar(misfit, bounds=around, method="bounded", options={"xatol": 1e-8}).x)
    curve, step = stretched(logarithm), 1e-3
    slope = (stretched(logarithm + step) - stretched(logarithm - step)) / (2 * step)
    height = (curve @ mean) / (curve @ curve)
    influence = np.linalg.pinv(np.stack([curve, height * slope], axis=1))[1]
    error = float(((measured - mean) @ influence).std(ddof=1) / np.sqrt(replicas))
    rate = float(np.exp(logarithm))
    return Estimate(rate, rate * error, replicas)
