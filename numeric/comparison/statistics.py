"""Mean, variance and any other statistic of independent replicas, with standard errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from numeric.comparison.estimate import Estimate
from numeric.comparison.samples import FloatArray, Samples, as_array
from numeric.errors import CheckError


def replica_mean(values: Samples) -> Estimate:
    """Mean of independent replicas (R,) and its standard error s/sqrt(R). CheckError below two replicas."""
    array = as_array(values, "the replica values")
    _need(len(array), 2, "a mean with an error")
    return Estimate(float(array.mean()), float(array.std(ddof=1) / np.sqrt(len(array))), len(array))


def replica_variance(values: Samples) -> Estimate:
    """Unbiased variance s² of independent replicas (R,) with its standard error from the fourth moment.

    Var(s²) = (m₄ − (R−3)/(R−1) s⁴)/R, m₄ the fourth central moment: right for any law with four moments,
    where 2 s⁴/(R−1) holds for normal samples only. CheckError below four replicas.
    """
    array = as_array(values, "the replica values")
    n = len(array)
    _need(n, 4, "a variance with an error")
    variance = float(array.var(ddof=1))
    fourth = float(np.mean((array - array.mean()) ** 4))
    squared_error = (fourth - (n - 3) / (n - 1) * variance**2) / n
    return Estimate(variance, float(np.sqrt(max(squared_error, 0.0))), n)


def drift_of_halves(values: FloatArray) -> float:
    """By how many standard errors the second half of the records (T, R) lies above the first, averaged per replica.

    CheckError below two replicas.
    """
    half = len(values) // 2
    return replica_mean(values[half:].mean(0) - values[:half].mean(0)).z(0.0)


def bootstrap(
    statistic: Callable[[torch.Tensor], torch.Tensor | float],
    values: torch.Tensor,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """`statistic` of the replicas with the standard error found by drawing replicas with replacement.

    values: (R, ...), one row a replica; statistic maps (R, ...) to one number in whatever unit it likes. The
    draws come from a torch.Generator seeded with `seed`, so the result can be repeated. CheckError below two
    replicas.
    """
    n = len(values)
    _need(n, 2, "a bootstrap")
    generator = torch.Generator(device="cpu").manual_seed(seed)
    drawn = np.empty(resamples)
    for k in range(resamples):
        rows = torch.randint(n, (n,), generator=generator).to(values.device)
        drawn[k] = float(statistic(values[rows]))
    return Estimate(float(statistic(values)), float(drawn.std(ddof=1)), n)


def _need(n: int, least: int, purpose: str) -> None:
    if n < least:
        raise CheckError(f"{purpose} needs at least {least} replicas, and there are {n}: train more replicas")
