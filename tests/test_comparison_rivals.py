"""Rival statements about one observable, and the stretch of time between two relaxations."""

from __future__ import annotations

import numpy as np
import pytest

from numeric.comparison import Estimate, Rivals
from numeric.comparison.time_stretch import time_stretch
from numeric.errors import CheckError

FORECASTS = {"noise": 1.0, "balance": 0.0}


@pytest.mark.parametrize(
    ("measured", "supported", "reason"),
    [
        (Estimate(1.02, 0.02, 50), "noise", ""),
        (Estimate(-0.05, 0.02, 50), "balance", ""),
        (Estimate(0.5, 0.02, 50), None, "neither"),
        (Estimate(1.0, 0.2, 50), None, "cannot be told apart"),
        (Estimate(1.0, float("inf"), 50), None, "cannot be told apart"),
        (Estimate(1.0, float("nan"), 50), None, "cannot be told apart"),
    ],
)
def test_training_supports_the_one_near_forecast_or_none(measured: Estimate, supported: str, reason: str) -> None:
    outcome = Rivals().judge(FORECASTS, measured)
    assert outcome.supported == supported and reason in outcome.reason
    record = outcome.to_json()
    assert record["supported"] == supported and record["forecasts"] == FORECASTS
    assert "standard errors" in record["criterion"]


def test_a_third_statement_close_to_another_leaves_it_undecided() -> None:
    outcome = Rivals().judge({**FORECASTS, "conserved": 1.01}, Estimate(1.0, 0.01, 50))
    assert outcome.supported is None and "noise and conserved" in outcome.reason


def test_a_statement_of_leading_order_has_an_allowance_fixed_beforehand() -> None:
    measured = Estimate(1.05, 0.01, 50)
    assert Rivals().judge(FORECASTS, measured).supported is None
    assert Rivals(allowance=0.1).judge(FORECASTS, measured).supported == "noise"
    assert Rivals(allowance=0.1).judge(FORECASTS, Estimate(0.85, 0.01, 50)).supported is None


def test_one_forecast_is_no_comparison() -> None:
    with pytest.raises(CheckError, match="at least two"):
        Rivals().judge({"noise": 1.0}, Estimate(1.0, 0.1, 5))


def relaxation(rate: float, steps: np.ndarray) -> np.ndarray:
    return np.asarray(1 - 0.7 * np.exp(-rate * steps) - 0.3 * np.exp(-3 * rate * steps))


@pytest.mark.parametrize(("factor", "height"), [(1.0, 1.0), (2.0, 1.0), (0.5, 1.1), (3.0, 0.9)])
def test_time_stretch_is_the_ratio_of_rates_whatever_the_height(factor: float, height: float) -> None:
    steps = np.arange(0, 1200, 10.0)
    clean = height * relaxation(0.005 * factor, steps)
    found = time_stretch(steps, np.stack([clean, clean]), relaxation(0.005, steps))
    assert found.value == pytest.approx(factor, rel=0.02) and found.standard_error < 1e-9


def test_its_error_covers_the_spread_of_repeated_estimates() -> None:
    """100 ensembles of 32 replicas with AR(1) noise: z-scores have mean 0 and standard deviation 1, within 4 errors."""
    rng = np.random.default_rng(0)
    steps = np.arange(0, 1200, 20.0)
    predicted = relaxation(0.005, steps)
    scores = []
    for _ in range(100):
        noise = rng.normal(size=(32, len(steps)))
        for k in range(1, len(steps)):
            noise[:, k] = 0.9 * noise[:, k - 1] + 0.1 * noise[:, k]
        scores.append(time_stretch(steps, predicted + noise, predicted).z(1.0))
    assert abs(np.mean(scores)) < 0.4 and 0.72 < np.std(scores) < 1.35


def test_one_replica_has_no_error() -> None:
    with pytest.raises(CheckError, match="two replicas"):
        time_stretch(np.arange(5.0), np.ones((1, 5)), np.arange(5.0))
