"""The check of mirror flow against the explicit solution for u v and for a product of three."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from check_problems import DEPTH_THREE, HADAMARD, prediction, wide_regression
from scipy.optimize import minimize

import numeric
from numeric.errors import CheckError
from numeric.experiments import Experiment
from numeric.experiments import mirror as experiment

PLAN = experiment.Plan(slopes=(1.0, 0.5), lrs=(0.04, 0.02, 0.01), time=25.0)
RIGHT = {
    "mirror_inverse": lambda tau, alpha: alpha**2 * torch.sinh(2 * tau) / 2,
    "mirror_slope": lambda tau, alpha: alpha**2 * torch.cosh(2 * tau),
    "mirror_start": lambda alpha: {"u": alpha, "v": torch.zeros_like(alpha)},
}
CUBIC = {
    "mirror_inverse": lambda tau, alpha: alpha**3 * torch.tan(alpha * tau) / torch.cos(alpha * tau) ** 2,
    "mirror_slope": lambda tau, alpha: alpha**4 * (2 - torch.cos(2 * alpha * tau)) / torch.cos(alpha * tau) ** 4,
    "mirror_start": lambda alpha: {"a": alpha, "b": alpha, "c": torch.zeros_like(alpha)},
}
WRONG = {
    "twice the scale": {"mirror_inverse": lambda tau, alpha: RIGHT["mirror_inverse"](tau, 2 * alpha)},
    "the smallest norm": {"mirror_inverse": lambda tau, alpha: tau + 0 * alpha},
    "the opposite sign": {"mirror_inverse": lambda tau, alpha: -RIGHT["mirror_inverse"](tau, alpha)},
}


@pytest.fixture(scope="module")
def done() -> Experiment:
    return experiment.run(HADAMARD, SimpleNamespace(**RIGHT), wide_regression(), PLAN)


def test_the_potential_is_confirmed_for_both_scales(done: Experiment) -> None:
    verdict = numeric.check(prediction("mirror", **RIGHT), done.runs, done.data)
    assert verdict.verdict == "confirmed"
    assert len(verdict.details["deviation"]) == 2
    assert torch.equal(verdict.details["eta"], verdict.details["eta"].sort(descending=True).values)
    for spread in verdict.details["distance"].values():
        distance = spread[~torch.isnan(spread)]
        # Halving eta halves the distance to the minimiser, to 10 %.
        assert torch.allclose(distance[:-1] / distance[1:], torch.full((2,), 2.0, dtype=torch.float64), rtol=0.1)


def test_the_minimiser_agrees_with_a_general_purpose_solver(done: Experiment) -> None:
    verdict = numeric.check(prediction("mirror", **RIGHT), done.runs, done.data)
    x, y = done.data["x"].numpy(), done.data["y"].numpy()

    def potential(w: np.ndarray) -> float:  # Q for alpha = 1, where Q' = asinh(2 w)/2
        return float(np.sum(w * np.arcsinh(2 * w) / 2 - np.sqrt(4 * w**2 + 1) / 4))

    found = minimize(
        potential,
        np.linalg.pinv(x) @ y,
        jac=lambda w: np.arcsinh(2 * w) / 2,
        constraints={"type": "eq", "fun": lambda w: x @ w - y, "jac": lambda w: x},
        options={"ftol": 1e-14, "maxiter": 500},
        method="SLSQP",
    )
    # SLSQP stops on a change of Q by 1e-14, that is near 1e-7 in w.
    assert np.allclose(verdict.details["minimiser"]["alpha = 1"].numpy(), found.x, atol=1e-5)


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_another_potential_is_refuted(done: Experiment, wrong: dict[str, object]) -> None:
    assert numeric.check(prediction("mirror", **{**RIGHT, **wrong}), done.runs, done.data).verdict == "refuted"


def test_a_mirror_variable_with_a_finite_range_is_inverted() -> None:
    done = experiment.run(DEPTH_THREE, SimpleNamespace(**CUBIC), wide_regression(), PLAN)
    assert numeric.check(prediction("mirror", "depth_three", **CUBIC), done.runs, done.data).verdict == "confirmed"
    wrong = {**CUBIC, "mirror_inverse": lambda tau, alpha: CUBIC["mirror_inverse"](tau, 0.8 * alpha)}
    assert numeric.check(prediction("mirror", "depth_three", **wrong), done.runs, done.data).verdict == "refuted"


def test_runs_that_have_not_reached_the_fit_decide_nothing() -> None:
    short = experiment.Plan(slopes=(1.0,), lrs=PLAN.lrs, time=2.0)
    done = experiment.run(HADAMARD, SimpleNamespace(**RIGHT), wide_regression(), short)
    verdict = numeric.check(prediction("mirror", **RIGHT), done.runs, done.data)
    assert verdict.verdict == "inconclusive"
    assert "has not reached Xw = y" in verdict.details["reason"]


def test_two_step_sizes_are_too_few(done: Experiment) -> None:
    verdict = numeric.check(prediction("mirror", **RIGHT), done.runs[:2], done.data)
    assert verdict.verdict == "inconclusive"


def test_a_start_off_the_leaf_is_an_error() -> None:
    data = wide_regression()
    run = numeric.train(
        HADAMARD,
        numeric.losses.linear_regression,
        data,
        optimizer=numeric.GradientDescent(lr=0.01),
        steps=5,
        initial={"u": torch.linspace(0.9, 1.1, 6), "v": torch.zeros(6)},
    )
    with pytest.raises(CheckError, match="mirror_start"):
        numeric.check(prediction("mirror", **RIGHT), run, data)
