"""The check of weight decay at end points: the l1 penalty of u v, and 3 |w|^(2/3) of a product of three."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from check_problems import DEPTH_THREE, HADAMARD, prediction, wide_regression

import numeric
from numeric.datasets import diabetes
from numeric.errors import CheckError
from numeric.experiments import Experiment
from numeric.experiments import weight_decay as experiment

PLAN = experiment.Plan(steps=4_000, penalty=0.2)
RIGHT = {
    "weight_decay": lambda w: 2 * w.abs(),
    "weight_decay_slope": lambda w: 2 * w.sign(),
    "weight_decay_norm": lambda point: point["u"] ** 2 + point["v"] ** 2,
}
CUBIC = {
    "weight_decay": lambda w: 3 * w.abs() ** (2 / 3),
    "weight_decay_slope": lambda w: 2 * w.sign() * w.abs() ** (-1 / 3),
    "weight_decay_norm": lambda point: point["a"] ** 2 + point["b"] ** 2 + point["c"] ** 2,
}
WRONG = {
    "twice the penalty": {"weight_decay": lambda w: 4 * w.abs(), "weight_decay_slope": lambda w: 4 * w.sign()},
    "twice the value": {"weight_decay": lambda w: 4 * w.abs()},
    "twice the slope": {"weight_decay_slope": lambda w: 4 * w.sign()},
    "another exponent": {"weight_decay": lambda w: 2 * w.square(), "weight_decay_slope": lambda w: 4 * w},
    "the opposite sign": {"weight_decay_slope": lambda w: -2 * w.sign()},
    "too weak at zero": {"weight_decay_slope": lambda w: 2 * w.sign() * torch.where(w.abs() < 1e-6, 0.01, 1.0)},
}


@pytest.fixture(scope="module")
def done() -> Experiment:
    return experiment.run(HADAMARD, SimpleNamespace(**RIGHT), wide_regression(), PLAN, seed=2)


def test_the_penalty_is_confirmed(done: Experiment) -> None:
    verdict = numeric.check(prediction("weight_decay", **RIGHT), done.runs, done.data)
    assert verdict.verdict == "confirmed"
    assert verdict.measured < 1e-9  # stationary to 1e-8 of λ max |θ| at worst, and here to rounding


def test_the_end_point_is_that_of_the_lasso(done: Experiment) -> None:
    lasso = pytest.importorskip("sklearn.linear_model").Lasso(
        alpha=PLAN.penalty, fit_intercept=False, tol=1e-14, max_iter=100_000
    )
    lasso.fit(done.data["x"].numpy(), done.data["y"].numpy())
    verdict = numeric.check(prediction("weight_decay", **RIGHT), done.runs, done.data)
    for coefficients in verdict.details["coefficients"]:
        assert torch.allclose(coefficients, torch.from_numpy(lasso.coef_), atol=1e-8)


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_another_penalty_is_refuted(done: Experiment, wrong: dict[str, object]) -> None:
    assert numeric.check(prediction("weight_decay", **{**RIGHT, **wrong}), done.runs, done.data).verdict == "refuted"


def test_a_penalty_that_is_not_convex_is_confirmed_at_every_end_point() -> None:
    done = experiment.run(DEPTH_THREE, SimpleNamespace(**CUBIC), wide_regression(), PLAN, seed=2)
    verdict = numeric.check(prediction("weight_decay", "depth_three", **CUBIC), done.runs, done.data)
    assert verdict.verdict == "confirmed"
    assert int(verdict.details["nonzero"].sum()) > 0


def test_training_that_has_not_ended_decides_nothing(done: Experiment) -> None:
    (run,) = done.runs
    moved = replace(run, final={name: 1.001 * leaf for name, leaf in run.final.items()})
    verdict = numeric.check(prediction("weight_decay", **RIGHT), moved, done.data)
    assert verdict.verdict == "inconclusive"
    assert "not stationary" in verdict.details["reason"]


def test_a_coefficient_on_its_way_to_zero_decides_nothing(done: Experiment) -> None:
    (run,) = done.runs
    dying = {name: leaf.clone() for name, leaf in run.final.items()}
    dead = int((run.final["u"] * run.final["v"])[0].abs().argmin())
    for leaf in dying.values():
        leaf[0, dead] = 1e-3
    verdict = numeric.check(prediction("weight_decay", **RIGHT), replace(run, final=dying), done.data)
    assert verdict.verdict == "inconclusive"
    assert "1 coefficients are neither nonzero nor zero" in verdict.details["reason"]


def test_a_decay_that_kills_every_coefficient_decides_nothing() -> None:
    strong = replace(PLAN, penalty=20.0)
    done = experiment.run(HADAMARD, SimpleNamespace(**RIGHT), wide_regression(), strong, seed=2)
    verdict = numeric.check(prediction("weight_decay", **RIGHT), done.runs, done.data)
    assert verdict.verdict == "inconclusive"
    assert "every coefficient is zero" in verdict.details["reason"]


def test_another_loss_is_an_error(done: Experiment) -> None:
    (run,) = done.runs
    other = replace(run, config={**run.config, "loss": "mine"})
    with pytest.raises(CheckError, match="gradient of"):
        numeric.check(prediction("weight_decay", **RIGHT), other, done.data)


def test_other_data_are_an_error(done: Experiment) -> None:
    pytest.importorskip("sklearn")
    with pytest.raises(CheckError, match="not what the runs were trained on"):
        numeric.check(prediction("weight_decay", **RIGHT), done.runs, diabetes())
