"""The Kolmogorov-Smirnov distance between replicas and a predicted law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import kstwo

from numeric.comparison.density import NumericDensity
from numeric.comparison.samples import Samples, as_array
from numeric.errors import CheckError


@dataclass(frozen=True)
class GoodnessOfFit:
    """distance: largest gap of the two distribution functions (dimensionless); p_value under the predicted
    law; n: samples; expected_distance: median distance of n samples that do come from the predicted law."""

    distance: float
    p_value: float
    n: int
    expected_distance: float


def kolmogorov_smirnov(samples: Samples, density: NumericDensity) -> GoodnessOfFit:
    """Distance of independent samples (n,) to a law that was not fitted to them, with the exact p-value.

    A law that holds to leading order only is rejected by enough samples: watch how the distance falls with
    the small parameter, down to `expected_distance`. CheckError for no samples, or samples that are NaN.
    """
    array = np.sort(as_array(samples, "the samples"))
    n = len(array)
    if n == 0 or np.isnan(array).any():
        raise CheckError("a goodness of fit needs at least one sample and no NaN; drop diverged replicas knowingly")
    below = density.cdf(array)
    steps = np.arange(n + 1) / n
    distance = float(max((steps[1:] - below).max(), (below - steps[:-1]).max()))
    return GoodnessOfFit(distance, float(kstwo.sf(distance, n)), n, float(kstwo.median(n)))
