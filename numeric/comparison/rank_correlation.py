"""Kendall's rank correlation with intervals: over models, and over repetitions of a whole study."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from numeric.comparison.samples import FloatArray, Samples, as_array
from numeric.errors import CheckError

LEVEL = 0.95  # of every interval


@dataclass(frozen=True)
class RankCorrelation:
    """τ (dimensionless, −1 to 1) with a bootstrap interval [low, high] of level 95 %.

    n: models that went in (in each study); studies: how many independent repetitions; spread: standard deviation of τ
    over these, NaN for one study.
    """

    tau: float
    low: float
    high: float
    n: int
    studies: int = 1
    spread: float = float("nan")

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero, so that the sign can be stated."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.tau:+.2f} [{self.low:+.2f}, {self.high:+.2f}]".replace("-", "−")


def kendall(x: Samples, y: Samples) -> float:
    """Kendall's τ-b of two samples (M,), ties corrected; 0 where one of them is constant (it ranks nothing)."""
    left, right = _pair(x, y)
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return 0.0
    return float(stats.kendalltau(left, right).statistic)


def partial_kendall(x: Samples, y: Samples, given: Samples) -> float:
    """τ of x and y with `given` held fixed, (τ_xy − τ_xz τ_yz)/√((1−τ_xz²)(1−τ_yz²)); all (M,), dimensionless.

    0 where `given` ranks like x or y, so that nothing is left.
    """
    return float(_partial(*(np.array(kendall(*pair)) for pair in ((x, y), (x, given), (y, given)))))


def rank_correlation(
    x: Samples, y: Samples, *, given: Samples | None = None, resamples: int = 2000, seed: int = 0
) -> RankCorrelation:
    """τ-b of two quantities measured on M models, (M,) each, with a percentile interval from drawing models anew.

    given: a third quantity (M,) to hold fixed, which makes it the partial τ. Percentile bootstrap: a pair of copies of
    one model is a tie in both and drops out of τ-b. Raises CheckError for fewer than 4 models, values that are not
    finite, or unequal lengths.
    """
    left, right = _pair(x, y)
    weights = _multinomial(len(left), resamples, seed)
    if given is None:
        tau, drawn = kendall(left, right), _weighted(left, right, weights)
    else:
        third, _ = _pair(given, left)
        tau = partial_kendall(left, right, third)
        drawn = _partial(*(_weighted(*pair, weights) for pair in ((left, right), (left, third), (right, third))))
    return RankCorrelation(tau, *_interval(drawn), len(left))


def rank_correlation_of_studies(x: Samples, y: Samples, *, resamples: int = 2000, seed: int = 0) -> RankCorrelation:
    """Mean over S studies of their τ-b, (S, M) each, with an interval from drawing whole studies anew.

    Models are compared with models of their own study only: data and their difficulty are common to a study (one
    cluster), and the spread of τ between studies holds that of the models in them. NaN marks models that a study
    lacks. Raises CheckError for fewer than 2 studies or 4 models in one.
    """
    left, right = as_array(x, "the first quantity", (2,)), as_array(y, "the second quantity", (2,))
    if left.shape != right.shape or len(left) < 2:
        raise CheckError(f"studies need equal shapes (S, M) with S at least 2, got {left.shape} and {right.shape}")
    taus = np.empty(len(left))
    for k, (a, b) in enumerate(zip(left, right, strict=True)):
        present = ~(np.isnan(a) | np.isnan(b))
        taus[k] = kendall(a[present], b[present])
    chosen = np.random.default_rng(seed).integers(len(taus), size=(resamples, len(taus)))
    spread = float(np.std(taus, ddof=1))
    return RankCorrelation(float(taus.mean()), *_interval(taus[chosen].mean(1)), left.shape[1], len(taus), spread)


def _weighted(x: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """τ-b of every resample at once, (K,): row k of `weights` (K, M) counts how often it holds each model."""
    signs = [np.sign(np.subtract.outer(values, values)) for values in (x, y)]

    def pairs(matrix: FloatArray) -> FloatArray:
        return np.einsum("km,km->k", weights @ matrix, weights)

    agreement = pairs(signs[0] * signs[1])
    scale = np.sqrt(pairs(signs[0] ** 2) * pairs(signs[1] ** 2))
    return np.divide(agreement, scale, out=np.zeros_like(agreement), where=scale > 0)


def _partial(xy: FloatArray, xz: FloatArray, yz: FloatArray) -> FloatArray:
    scale = np.sqrt(np.clip((1 - xz**2) * (1 - yz**2), 0, None))
    return np.divide(xy - xz * yz, scale, out=np.zeros_like(scale), where=scale > 1e-12)


def _multinomial(n: int, resamples: int, seed: int) -> FloatArray:
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    return counts.astype(np.float64)


def _interval(drawn: FloatArray) -> tuple[float, float]:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _pair(x: Samples, y: Samples) -> tuple[FloatArray, FloatArray]:
    left, right = as_array(x, "the first quantity"), as_array(y, "the second quantity")
    if len(left) != len(right) or len(left) < 4:
        raise CheckError(f"a rank correlation needs two equally long samples of 4 or more: {len(left)}, {len(right)}")
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise CheckError("a rank correlation needs finite values: leave out the models without a value")
    return left, right
