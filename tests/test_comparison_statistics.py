"""Estimates and their errors, each against an exact answer or a slow count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from numeric.comparison import (
    autocorrelation,
    bootstrap,
    integrated_autocorrelation_time,
    replica_mean,
    replica_variance,
    series_mean,
    straight_line,
    weighted_least_squares,
)
from numeric.errors import CheckError


def autoregressive(a: float, shape: tuple[int, int], seed: int) -> np.ndarray:
    """Stationary AR(1) replicas (R, T) with unit innovations, by the plain recursion."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(shape)
    series = np.empty(shape)
    series[:, 0] = noise[:, 0] / np.sqrt(1 - a**2)
    for t in range(1, shape[1]):
        series[:, t] = a * series[:, t - 1] + noise[:, t]
    return series


def test_autocorrelation_against_the_plain_sum() -> None:
    series = autoregressive(0.7, (3, 12), seed=11)
    centred = series - series.mean()
    sums = [sum(float(row[k:] @ row[: 12 - k]) for row in centred) for k in range(12)]
    np.testing.assert_allclose(autocorrelation(series), np.array(sums) / sums[0], atol=1e-12)


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9, -0.5])
def test_autocorrelation_time_of_ar1(a: float) -> None:
    # Exact: (1+a)/(1−a). The window cuts exp(−5) of it and the noise over 40 × 5000 steps is about 2 %.
    time = integrated_autocorrelation_time(autoregressive(a, (40, 5000), seed=1))
    assert time == pytest.approx((1 + a) / (1 - a), rel=0.06)


def test_error_of_a_correlated_mean_is_the_spread_of_means() -> None:
    # 600 series: the claimed error (root mean square) against the spread of their means (known to 3 %).
    series = autoregressive(0.8, (600, 2000), seed=2)
    claimed = np.sqrt(np.mean([series_mean(row).standard_error ** 2 for row in series[:100]]))
    spread = series.mean(axis=1).std(ddof=1)
    assert claimed == pytest.approx(spread, rel=0.12)
    assert replica_mean(series[0]).standard_error < 0.5 * spread  # ignoring the correlation is badly wrong


def test_series_too_short_for_its_correlation_gives_no_error() -> None:
    assert series_mean(np.linspace(0.0, 1.0, 200)).standard_error == np.inf


def test_constant_series_is_known_exactly() -> None:
    mean = series_mean(np.full(100, 2.5))
    assert (mean.value, mean.standard_error) == (2.5, 0.0)


@pytest.mark.parametrize("law", [stats.norm(), stats.expon(), stats.uniform()])
def test_error_of_a_variance_is_the_spread_of_variances(law: stats.rv_continuous) -> None:
    samples = law.rvs(size=(4000, 200), random_state=np.random.default_rng(3))
    estimates = [replica_variance(row) for row in samples]
    spread = np.std([e.value for e in estimates], ddof=1)
    claimed = np.sqrt(np.mean([e.standard_error**2 for e in estimates]))
    # Spread known to 1.5 %; plugging in sample moments adds a bias of order 1/R (more for heavy tails).
    assert claimed == pytest.approx(spread, rel=0.06)


def test_error_of_a_variance_against_its_exact_value() -> None:
    # For a fair coin with values ±1: m₄ = s⁴ = 1 up to sampling, so the error is of order 1/R, not 1/sqrt(R).
    estimate = replica_variance(torch.tensor([1.0, -1.0] * 500, dtype=torch.float64))
    assert estimate.value == pytest.approx(1000 / 999)
    assert estimate.standard_error < 0.002


def test_bootstrap_repeats_and_matches_the_known_error() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    first = bootstrap(torch.mean, values, resamples=2000, seed=5)
    again = bootstrap(torch.mean, values, resamples=2000, seed=5)
    other = bootstrap(torch.mean, values, resamples=2000, seed=6)
    assert first == again
    assert first.standard_error != other.standard_error
    # 2000 resamples know the error to 1.6 %.
    assert first.standard_error == pytest.approx(replica_mean(values).standard_error, rel=0.06)


def test_bootstrap_resamples_whole_replicas() -> None:
    # Rows are constant, so resampling entries instead of rows would give an error sqrt(10) times too small.
    rows = torch.randn(200, 1, generator=torch.Generator().manual_seed(7), dtype=torch.float64).expand(200, 10)
    error = bootstrap(torch.mean, rows, resamples=1000, seed=8).standard_error
    assert error == pytest.approx(replica_mean(rows[:, 0]).standard_error, rel=0.1)


def test_weighted_least_squares_against_normal_equations() -> None:
    rng = np.random.default_rng(9)
    x, sigma = np.linspace(0.01, 0.1, 6), rng.uniform(0.1, 0.4, 6)
    design = np.stack([np.ones(6), x], axis=1)
    y = 2 + 3 * x + sigma * rng.standard_normal(6)
    fit = weighted_least_squares(design, y, sigma)
    weight = np.diag(sigma**-2)
    covariance = np.linalg.inv(design.T @ weight @ design)
    np.testing.assert_allclose(fit.coefficients, covariance @ design.T @ weight @ y, rtol=1e-10)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-10)
    chi = float(np.sum(((y - design @ fit.coefficients) / sigma) ** 2))
    assert (fit.chi_square, fit.degrees_of_freedom) == (pytest.approx(chi), 4)


def test_errors_grow_when_the_model_misfits() -> None:
    x = np.linspace(0, 1, 5)
    fit = weighted_least_squares(np.stack([np.ones(5), x], axis=1), x**2, np.full(5, 1e-6))
    # The best line leaves residuals (2, −1, −2, −1, 2)/16 and three degrees of freedom.
    assert fit.scale == pytest.approx(1e6 * np.sqrt(14 / 256 / 3))
    np.testing.assert_allclose(fit.standard_errors, np.sqrt(np.diag(fit.covariance)) * fit.scale)


def test_straight_line_against_scipy() -> None:
    rng = np.random.default_rng(10)
    x = np.arange(5.0)
    y = 1 - 2 * x + rng.standard_normal(5)
    expected = stats.linregress(x, y)
    assert straight_line(x, y) == pytest.approx((expected.slope, expected.intercept, expected.stderr))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: replica_mean([1.0]), "at least 2 replicas"),
        (lambda: replica_variance([1.0, 2.0]), "at least 4 replicas"),
        (lambda: replica_mean([[1.0, 2.0]]), "shape"),
        (lambda: straight_line([1, 2], [1, 2]), "at least 3 points"),
        (lambda: weighted_least_squares([[1, 1], [1, 1]], [1, 2], [1, 1]), "do not determine"),
        (lambda: weighted_least_squares([[1], [1]], [1, 2], [1, 0]), "positive"),
        (lambda: weighted_least_squares([[1], [1]], [1, 2, 3], [1, 1]), "values has 3"),
        (lambda: integrated_autocorrelation_time([1.0]), "at least 2 recorded steps"),
    ],
)
def test_unusable_input_is_named(call: object, words: str) -> None:
    with pytest.raises(CheckError, match=words):
        call()  # type: ignore[operator]
