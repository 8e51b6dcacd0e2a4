"""Functions of the means of several correlated series, with errors that know the autocorrelation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from scipy.stats import t as student
from torch import Tensor

from numeric.comparison.autocorrelation import integrated_autocorrelation_time
from numeric.comparison.estimate import Estimate

# Independent samples below which an error cannot be stated.
FEWEST = 5
NORMAL = 1.959964  # the 97.5 % quantile of a normal law


def of_means(statistic: Callable[[Tensor], Tensor], series: Tensor) -> Estimate:
    """A smooth function of the means (k,) of k series (T, k), with its standard error to first order.

    What each step adds to the value is one series, whose error is that of its mean: correlations in time and between
    the series are both in it. Infinite where fewer than `FEWEST` independent samples are left.
    """
    means = series.mean(0).requires_grad_()
    value = statistic(means)
    (slope,) = torch.autograd.grad(value, means, allow_unused=True)
    slope = torch.zeros_like(means) if slope is None else slope
    influence = (series - means.detach()) @ slope
    return Estimate(float(value.detach()), error_of_mean(influence), len(series))


def error_of_mean(series: Tensor) -> float:
    """Standard error of the mean of a stationary series (T,), widened as Student's law for the independent samples that
    its autocorrelation leaves."""
    spread = float(series.var(correction=0))
    if len(series) < FEWEST or not math.isfinite(spread):
        return math.inf
    if spread == 0:
        return 0.0
    time = max(integrated_autocorrelation_time(series), 1.0)
    independent = len(series) / time
    if independent < FEWEST:
        return math.inf
    widened = float(student.ppf(0.975, independent - 1)) / NORMAL
    return math.sqrt(spread / (independent - 1)) * widened


def slope_of(series: Tensor, steps: Tensor) -> float:
    """Slope of the least-squares line through a series (T,) at these steps."""
    centred = steps.to(series) - steps.to(series).mean()
    return float(centred @ series / (centred @ centred))
