"""The check of the discrete Noether law confirms it and refutes laws that lack a term."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from check_problems import HADAMARD, prediction, wide_regression

import numeric
from numeric.errors import CheckError
from numeric.experiments import discrete_noether as experiment

RIGHT = {
    "discrete_noether": lambda point, gradient, eta, weight_decay: {
        "C": (1 - eta * weight_decay) ** 2 * (point["u"] ** 2 - point["v"] ** 2)
        + eta**2 * (gradient["u"] ** 2 - gradient["v"] ** 2)
    },
    "discrete_noether_scale": lambda point, gradient, eta, weight_decay: {
        "C": (1 - eta * weight_decay) ** 2 * (point["u"] ** 2 + point["v"] ** 2)
        + eta**2 * (gradient["u"] ** 2 + gradient["v"] ** 2)
    },
    "discrete_noether_charges": lambda point: {"C": point["u"] ** 2 - point["v"] ** 2},
}
WRONG = {
    "without the term in the gradient": lambda p, g, eta, decay: {
        "C": (1 - eta * decay) ** 2 * (p["u"] ** 2 - p["v"] ** 2)
    },
    "with the opposite sign": lambda p, g, eta, decay: {
        "C": (1 - eta * decay) ** 2 * (p["u"] ** 2 - p["v"] ** 2) - eta**2 * (g["u"] ** 2 - g["v"] ** 2)
    },
    "first order in the weight decay": lambda p, g, eta, decay: {
        "C": (1 - 2 * eta * decay) * (p["u"] ** 2 - p["v"] ** 2) + eta**2 * (g["u"] ** 2 - g["v"] ** 2)
    },
}


@pytest.fixture(scope="module")
def runs() -> tuple[numeric.Runs, ...]:
    return experiment.run(HADAMARD, None, wide_regression(n=8), experiment.Plan(steps=1_200), seed=3).runs


def test_the_law_is_confirmed_to_rounding(runs: tuple[numeric.Runs, ...]) -> None:
    verdict = numeric.check(prediction("discrete_noether", **RIGHT), runs)
    assert verdict.verdict == "confirmed"
    assert verdict.measured < 1e-14  # some 20 rounding errors of 1.1e-16
    assert verdict.n == 2_400
    assert set(verdict.details["residual"]) == {"λ = 0", "λ = 0.1"}


@pytest.mark.parametrize("law", WRONG.values(), ids=WRONG)
def test_a_law_with_a_wrong_term_is_refuted(runs: tuple[numeric.Runs, ...], law: object) -> None:
    wrong = prediction("discrete_noether", **{**RIGHT, "discrete_noether": law})
    assert numeric.check(wrong, runs).verdict == "refuted"


def test_too_few_steps_decide_nothing(runs: tuple[numeric.Runs, ...]) -> None:
    verdict = numeric.check(prediction("discrete_noether", **RIGHT), runs[0])
    assert verdict.verdict == "inconclusive"
    assert "2000 residuals were planned and 1200 recorded" in verdict.details["reason"]


def test_charges_that_do_not_move_put_no_law_to_the_test(runs: tuple[numeric.Runs, ...]) -> None:
    # At θ = 0 the gradient of every loss of u v vanishes: nothing moves, and wrong laws would hold as well.
    still = [
        replace(
            run,
            observables={name: torch.zeros_like(value) for name, value in run.observables.items()},
            final={name: torch.zeros_like(leaf) for name, leaf in run.final.items()},
        )
        for run in runs
    ]
    verdict = numeric.check(prediction("discrete_noether", **RIGHT), still)
    assert verdict.verdict == "inconclusive"
    assert "no charge moved" in verdict.details["reason"]


def test_steps_left_out_are_an_error() -> None:
    run = numeric.train(
        HADAMARD,
        numeric.losses.linear_regression,
        wide_regression(),
        optimizer=numeric.SGD(lr=0.01),
        steps=20,
        initial={"u": torch.ones(6), "v": torch.zeros(6)},
        observables={"point": lambda step: step.point, "gradient": lambda step: step.gradient},
        record_every=2,
    )
    with pytest.raises(CheckError, match="record_every=1"):
        numeric.check(prediction("discrete_noether", **RIGHT), run)


def test_momentum_is_outside_the_prediction() -> None:
    run = numeric.train(
        HADAMARD,
        numeric.losses.linear_regression,
        wide_regression(),
        optimizer=numeric.SGD(lr=0.01, momentum=0.5),
        steps=5,
        initial={"u": torch.ones(6), "v": torch.zeros(6)},
    )
    with pytest.raises(CheckError, match="momentum = 0"):
        numeric.check(prediction("discrete_noether", **RIGHT), run)
