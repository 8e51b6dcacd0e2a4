"""A power law fitted to points with errors, and the interval of its exponent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from numeric.comparison.least_squares import straight_line
from numeric.comparison.samples import Samples, as_array
from numeric.errors import CheckError

FEWEST = 3
LEVEL = 0.95


@dataclass(frozen=True)
class PowerLaw:
    """y = exp(log_factor) xˢ: slope s with the half width of its 95 % interval; r_squared of the fit in logarithms."""

    slope: float
    half_width: float
    log_factor: float
    r_squared: float
    n: int


def power_law(x: Samples, y: Samples) -> PowerLaw:
    """Least squares of log y on log x, the error from the scatter of the points by Student's law.

    Raises CheckError for fewer than `FEWEST` points or values that are not positive.
    """
    horizontal, vertical = as_array(x, "x"), as_array(y, "y")
    if len(horizontal) < FEWEST or not ((horizontal > 0).all() and (vertical > 0).all()):
        raise CheckError(f"a power law needs at least {FEWEST} points with positive values")
    logs, heights = np.log(horizontal), np.log(vertical)
    slope, intercept, error = straight_line(logs, heights)
    total = float(((heights - heights.mean()) ** 2).sum())
    left = float(((heights - intercept - slope * logs) ** 2).sum())
    width = float(student.ppf((1 + LEVEL) / 2, len(logs) - 2)) * error
    return PowerLaw(slope, width, intercept, 1 - left / total if total else math.nan, len(logs))
