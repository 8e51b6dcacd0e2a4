"""The check of the label-noise drift, for the l1 penalty of u v and the power 4/3 of a product of three."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from check_problems import DEPTH_THREE, HADAMARD, prediction, wide_regression

import numeric
from numeric.errors import CheckError
from numeric.experiments import Experiment
from numeric.experiments import label_noise as experiment

PLAN = experiment.Plan(steps=6_000, replicas=6, records=12, descent_steps=2_000)
RIGHT = {"label_noise": lambda w: 2 * w.abs(), "label_noise_kernel": lambda point: point["u"] ** 2 + point["v"] ** 2}
CUBIC = {
    "label_noise": lambda w: 3 * w.abs() ** (4 / 3),
    "label_noise_kernel": lambda p: (p["a"] * p["b"]) ** 2 + (p["a"] * p["c"]) ** 2 + (p["b"] * p["c"]) ** 2,
}


@pytest.fixture(scope="module")
def done() -> Experiment:
    return experiment.run(HADAMARD, SimpleNamespace(**RIGHT), wide_regression(), PLAN, seed=5)


def test_the_derived_penalty_is_confirmed(done: Experiment) -> None:
    verdict = numeric.check(prediction("label_noise", **RIGHT), done.runs, done.data)
    assert verdict.verdict == "confirmed"
    reference = verdict.details["reference"]
    assert int((reference.abs() > 1e-9).sum()) == 3  # a vertex: as many coefficients as rows


@pytest.mark.parametrize("power", [2.0, 3.0])
def test_another_exponent_is_not_confirmed(done: Experiment, power: float) -> None:
    wrong = prediction("label_noise", label_noise=lambda w: w.abs() ** power)
    assert numeric.check(wrong, done.runs, done.data).verdict == "refuted"


def test_a_higher_power_is_confirmed_by_its_own_reference() -> None:
    done = experiment.run(DEPTH_THREE, SimpleNamespace(**CUBIC), wide_regression(), PLAN, seed=6)
    verdict = numeric.check(prediction("label_noise", "depth_three", **CUBIC), done.runs, done.data)
    assert verdict.verdict == "confirmed"


def test_a_penalty_that_is_not_convex_decides_nothing(done: Experiment) -> None:
    verdict = numeric.check(prediction("label_noise", label_noise=lambda w: w.abs() ** 0.5), done.runs, done.data)
    assert verdict.verdict == "inconclusive"
    assert "not convex" in verdict.details["reason"]


def test_a_penalty_that_is_no_power_decides_nothing(done: Experiment) -> None:
    verdict = numeric.check(prediction("label_noise", label_noise=torch.cosh), done.runs, done.data)
    assert verdict.verdict == "inconclusive"
    assert "no power" in verdict.details["reason"]


def test_limits_that_do_not_fit_decide_nothing(done: Experiment) -> None:
    (run,) = done.runs
    unfit = replace(run, observables={"solution": 1.2 * run.observables["solution"]})
    verdict = numeric.check(prediction("label_noise", **RIGHT), unfit, done.data)
    assert verdict.verdict == "inconclusive"
    assert "has not reached Xw = y" in verdict.details["reason"]


def test_a_start_from_which_descent_ends_at_the_minimiser_decides_nothing(done: Experiment) -> None:
    (run,) = done.runs
    solution = run.observables["solution"].clone()
    solution[0] = solution[-1]
    ends = replace(run, observables={"solution": solution})
    verdict = numeric.check(prediction("label_noise", **RIGHT), ends, done.data)
    assert verdict.verdict == "inconclusive"
    assert "already ends" in verdict.details["reason"]


def test_the_observable_must_have_been_recorded(done: Experiment) -> None:
    (run,) = done.runs
    with pytest.raises(CheckError, match="'solution'"):
        numeric.check(prediction("label_noise", **RIGHT), replace(run, observables={}), done.data)
