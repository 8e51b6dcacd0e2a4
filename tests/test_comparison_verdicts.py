"""Criteria confirm the true, refute the false, and say when they cannot tell."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch

from numeric.comparison import Approach, ConvergenceOrder, ExactLaw, LeadingOrder, MeanTest, Verdict
from numeric.errors import CheckError

NAN = float("nan")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_verdict_is_valid_json_and_reads_as_a_line() -> None:
    details = {"reason": "too few", "curve": torch.ones(2), "pair": (np.float64(1.5), NAN)}
    verdict = Verdict("mirror", "inconclusive", 1.0, NAN, None, float("inf"), 3, "a test", details)
    record = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert list(record) == [
        "mechanism",
        "verdict",
        "predicted",
        "measured",
        "standard_error",
        "z",
        "n",
        "criterion",
        "details",
    ]
    assert record["measured"] is None and record["z"] is None
    assert record["details"] == {"reason": "too few", "curve": [1.0, 1.0], "pair": [1.5, None]}
    line = str(Verdict("mirror", "confirmed", 1.0, 1.02, 0.01, 2.0, 3, "a test"))
    assert line == "mirror: confirmed: measured 1.02 ± 0.01, predicted 1, z = +2.00, n = 3"
    with pytest.raises(FrozenInstanceError):
        verdict.n = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("residuals", "expected"),
    [
        ([1e-12, -5e-11, 0.0], "confirmed"),
        ([1e-12, -5e-10, 0.0], "refuted"),
        ([1e-12, NAN, 0.0], "inconclusive"),
        ([1.0, NAN, 0.0], "refuted"),
        ([1e-12, 1e-12], "inconclusive"),
        ([NAN, NAN, NAN], "inconclusive"),
        ([float("inf"), 0.0, 0.0], "refuted"),
        ([], "inconclusive"),
    ],
)
def test_exact_law(residuals: list[float], expected: str) -> None:
    verdict = ExactLaw(1e-10, n=3).judge("discrete_noether", residuals)
    assert verdict.verdict == expected
    assert ("reason" in verdict.details) == (expected == "inconclusive")


def test_exact_law_reads_tensors_of_replicas() -> None:
    verdict = ExactLaw(1e-10).judge("discrete_noether", torch.full((2, 5), -3e-11, dtype=torch.float64))
    assert (verdict.n, verdict.measured) == (10, pytest.approx(3e-11))


@pytest.mark.parametrize(
    ("scale", "shift", "expected"),
    [
        (0.1, 0.0, "confirmed"),
        (0.1, 0.1, "refuted"),
        (20.0, 0.0, "inconclusive"),
        (20.0, 0.5, "inconclusive"),
    ],
)
def test_mean_test(scale: float, shift: float, expected: str) -> None:
    # 1000 replicas: errors of 0.003 and 0.6 beside an effect of 1.
    verdict = MeanTest(4.0, n=1000).judge("mechanism", 2.0 + shift + scale * noise(1000), predicted=2.0, null=1.0)
    assert verdict.verdict == expected
    assert verdict.z == pytest.approx((verdict.measured - 2.0) / verdict.standard_error)


@pytest.mark.parametrize(
    ("replicas", "predicted", "reason"),
    [([1.0, NAN], 1.0, "not finite"), ([1.0], 1.0, "planned"), ([1.0, 1.1], NAN, "prediction")],
)
def test_mean_test_without_numbers(replicas: list[float], predicted: float, reason: str) -> None:
    verdict = MeanTest().judge("mechanism", replicas, predicted)
    assert verdict.verdict == "inconclusive"
    assert reason in verdict.details["reason"]


def test_mean_test_rarely_refutes_the_truth() -> None:
    # At 3 standard errors the truth is refuted in 0.27 %: of 2000, 5.4 expected; above 15 is a 3e-4 event.
    test = MeanTest(3.0, n=400)
    outcomes = [test.judge("m", 1.0 + row, predicted=1.0).verdict for row in noise(2000, 400, seed=1)]
    assert outcomes.count("refuted") <= 15
    assert outcomes.count("confirmed") + outcomes.count("refuted") == 2000


ETA = np.array([0.025, 0.05, 0.1])


@pytest.mark.parametrize(
    ("intercept", "error", "expected"),
    [(1.0, 0.02, "confirmed"), (2.0, 0.02, "refuted"), (0.5, 0.02, "refuted"), (1.0, 0.5, "inconclusive")],
)
def test_leading_order(intercept: float, error: float, expected: str) -> None:
    ratio = intercept + 3.0 * ETA + 0.3 * error * noise(3, seed=2)
    verdict = LeadingOrder().judge("stationary_density", ETA, ratio, np.full(3, error), n=10_000)
    assert verdict.verdict == expected
    assert verdict.details["coefficients"][1] == pytest.approx(3.0, abs=30 * error)


def test_leading_order_does_not_trust_a_line_through_a_curve() -> None:
    # True law 1 + 40 eta², errors stated far below the curvature: the intercept is off by 50 of them.
    ratio, error = 1.0 + 40.0 * ETA**2, np.full(3, 1e-3)
    line = LeadingOrder().judge("m", ETA, ratio, error, n=100)
    assert line.details["chi_square"] > 100
    assert line.verdict != "refuted"
    eta = np.array([0.02, 0.04, 0.07, 0.1])
    curve = LeadingOrder(degree=2).judge("m", eta, 1.0 + 40.0 * eta**2, np.full(4, 1e-3), n=100)
    assert curve.verdict == "confirmed"


def test_leading_order_refutes_a_factor_two_with_the_power_it_claims() -> None:
    # Errors just inside largest_error: a wrong factor 2 is refuted nearly always, the truth nearly never.
    error = np.full(3, 0.06)
    rng = np.random.default_rng(3)
    wrong = [LeadingOrder().judge("m", ETA, 0.5 + error * rng.standard_normal(3), error, 9) for _ in range(300)]
    right = [LeadingOrder().judge("m", ETA, 1.0 + error * rng.standard_normal(3), error, 9) for _ in range(300)]
    assert sum(v.verdict == "confirmed" for v in wrong) <= 9
    assert sum(v.verdict == "refuted" for v in right) <= 3


@pytest.mark.parametrize(
    ("eta", "ratio", "error", "reason"),
    [
        ([0.1, 0.2], [1.0, 1.0], [0.01, 0.01], "distinct values"),
        ([0.1, 0.1, 0.2], [1.0, 1.0, 1.0], [0.01, 0.01, 0.01], "distinct values"),
        ([0.1, 0.2, 0.3], [1.0, NAN, 1.0], [0.01, 0.01, 0.01], "not a finite"),
    ],
)
def test_leading_order_without_enough(eta: list[float], ratio: list[float], error: list[float], reason: str) -> None:
    verdict = LeadingOrder().judge("m", eta, ratio, error, n=1)
    assert verdict.verdict == "inconclusive"
    assert reason in verdict.details["reason"]


def test_leading_order_names_a_zero_error() -> None:
    with pytest.raises(CheckError, match="positive"):
        LeadingOrder().judge("m", ETA, np.ones(3), np.zeros(3), n=1)


@pytest.mark.parametrize(
    ("deviation", "expected"),
    [
        (0.3 * ETA, "confirmed"),
        (0.3 * ETA * (1 + ETA), "confirmed"),
        (0.3 * ETA**2, "refuted"),
        (np.full(3, 0.3), "refuted"),
        (np.array([0.01, 0.05, 0.02]), "inconclusive"),
        (np.array([0.01, 0.035, 0.046]), "inconclusive"),  # slope 1.1, but its error is 0.4
        (np.array([1e-15, 2e-15, 4e-15]), "inconclusive"),
        (np.array([0.01, NAN, 0.04]), "inconclusive"),
    ],
)
def test_convergence_order(deviation: np.ndarray, expected: str) -> None:
    verdict = ConvergenceOrder(1.0, tolerance=0.2).judge("mirror", ETA, deviation)
    assert verdict.verdict == expected
    assert ("reason" in verdict.details) == (expected == "inconclusive")


def test_convergence_order_needs_three_values() -> None:
    verdict = ConvergenceOrder(1.0).judge("mirror", ETA[:2], ETA[:2])
    assert verdict.verdict == "inconclusive"


STEPS = np.arange(200)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (np.exp(-STEPS / 50), "confirmed"),
        (0.6 + 0.4 * np.exp(-STEPS / 10), "refuted"),
        (1.0 - STEPS / 400, "inconclusive"),  # on its way, but the run was too short
        (0.05 + 0.9 * np.exp(-STEPS / 5), "inconclusive"),  # there, but no longer falling
        (np.where(STEPS == 150, 1e-6, 0.8), "refuted"),  # a single lucky record does not count
        (np.where(STEPS == 150, NAN, np.exp(-STEPS / 50)), "inconclusive"),
    ],
)
def test_approach_of_one_run(curve: np.ndarray, expected: str) -> None:
    verdict = Approach(0.25).judge("label_noise", curve, reference=1.0)
    assert verdict.verdict == expected
    assert verdict.standard_error is None
    assert ("reason" in verdict.details) == (expected == "inconclusive")


@pytest.mark.parametrize(("spread", "expected"), [(0.01, "confirmed"), (2.0, "inconclusive")])
def test_approach_over_replicas(spread: float, expected: str) -> None:
    curves = np.exp(-STEPS / 100) * 1.4 + spread * noise(16, 1, seed=4)
    verdict = Approach(0.4).judge("label_noise", curves, reference=1.0)
    assert verdict.verdict == expected
    assert verdict.n == 16


def test_approach_needs_a_reference() -> None:
    assert Approach(0.25).judge("label_noise", np.exp(-STEPS / 50), reference=0.0).verdict == "inconclusive"


def test_criteria_state_their_numbers() -> None:
    assert "1e-10" in ExactLaw(1e-10, n=2000).criterion and "2000" in ExactLaw(1e-10, n=2000).criterion
    assert "4 standard errors" in MeanTest(4.0).criterion
    assert "eta^2" in LeadingOrder(degree=2).criterion
    assert "0.15 of 1" in ConvergenceOrder(1.0, 0.15).criterion
    assert "0.25" in Approach(0.25).criterion
