"""Rank correlations: scipy and slow counts as oracles, and intervals that cover what they claim."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from numeric.comparison.rank_correlation import (
    _multinomial,
    _weighted,
    kendall,
    partial_kendall,
    rank_correlation,
    rank_correlation_of_studies,
)
from numeric.errors import CheckError


def correlated(rng: np.random.Generator, n: int, r: float) -> tuple[np.ndarray, np.ndarray]:
    """A normal sample with correlation r: its τ is (2/π) arcsin r exactly (Greiner's relation)."""
    x, z = rng.standard_normal((2, n))
    return x, r * x + np.sqrt(1 - r**2) * z


def test_every_resample_has_the_tau_of_scipy_with_ties() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(4, size=12).astype(float), rng.integers(5, size=12).astype(float)
    counts = _multinomial(12, 25, seed=1)
    expected = []
    for row in counts.astype(int):
        rows = np.repeat(np.arange(12), row)
        expected.append(stats.kendalltau(x[rows], y[rows]).statistic)
    np.testing.assert_allclose(_weighted(x, y, counts), expected, atol=1e-12)
    assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic)
    assert kendall(x, np.ones(12)) == 0.0


def test_intervals_cover_the_exact_tau() -> None:
    # 200 samples of 40: a 95 % interval misses 10 of them, and 25 is five standard deviations (3) from that. The
    # percentile bootstrap is a little narrow at this size, which the band allows; half the width would miss 30 %.
    rng, exact, missed = np.random.default_rng(3), 2 / np.pi * np.arcsin(0.6), 0
    for k in range(200):
        found = rank_correlation(*correlated(rng, 40, 0.6), resamples=400, seed=k)
        missed += not found.low <= exact <= found.high
    assert 1 <= missed <= 25


def test_studies_are_the_clusters() -> None:
    rng = np.random.default_rng(5)
    exact = 2 / np.pi * np.arcsin(-0.7)
    x, y = np.empty((2, 30, 25))
    for s in range(30):
        a, b = correlated(rng, 25, -0.7)
        # Every study has its own scale and offset: pooled, the correlation would come out with the wrong sign.
        x[s], y[s] = a + 50 * s, b + 50 * s
    found = rank_correlation_of_studies(x, y)
    assert found.low <= exact <= found.high and found.excludes_zero
    assert found.high - found.low < 0.15
    assert found.tau == pytest.approx(exact, abs=0.06)
    assert rank_correlation(x.ravel(), y.ravel()).tau > 0.9
    x[0, :20] = np.nan  # a study may lack models
    assert np.isfinite(rank_correlation_of_studies(x, y).tau)


def test_the_partial_tau_removes_a_common_cause() -> None:
    rng = np.random.default_rng(7)
    cause, noise, other = rng.standard_normal((3, 300))
    x, y = cause + noise, cause + other
    assert kendall(x, y) > 0.25
    partial = rank_correlation(x, y, given=cause)
    # The exact partial τ of this family is not zero but small; without the cause it is 1/3.
    assert partial.tau == pytest.approx(partial_kendall(x, y, cause)) and abs(partial.tau) < 0.15
    assert partial_kendall(x, y, x) == 0.0


def test_samples_that_rank_nothing() -> None:
    with pytest.raises(CheckError, match="4 or more"):
        rank_correlation([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    with pytest.raises(CheckError, match="finite"):
        rank_correlation([1.0, 2.0, 3.0, np.nan], [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(CheckError, match="equal shapes"):
        rank_correlation_of_studies(np.ones((1, 5)), np.ones((1, 5)))
