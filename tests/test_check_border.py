"""numeric.check refuses what does not belong together, in one line."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from check_problems import HADAMARD, prediction, wide_regression

import numeric
from numeric.comparison.mechanisms.combine import combine
from numeric.comparison.verdict import Outcome, Verdict
from numeric.errors import CheckError


@pytest.fixture(scope="module")
def run() -> numeric.Runs:
    return numeric.train(
        HADAMARD,
        numeric.losses.linear_regression,
        wide_regression(),
        optimizer=numeric.GradientDescent(lr=0.01, weight_decay=0.1),
        steps=5,
        initial={"u": torch.ones(6), "v": torch.zeros(6)},
    )


def test_an_unknown_mechanism(run: numeric.Runs) -> None:
    with pytest.raises(CheckError, match="no check for 'tides'; known are discrete_noether"):
        numeric.check(prediction("tides"), run)


def test_no_runs() -> None:
    with pytest.raises(CheckError, match="no runs"):
        numeric.check(prediction("weight_decay"), [])


def test_a_prediction_about_another_model(run: numeric.Runs) -> None:
    with pytest.raises(CheckError, match="about 'depth_three' and the runs are of 'hadamard'"):
        numeric.check(prediction("weight_decay", "depth_three"), run, wide_regression())


def test_runs_of_two_models(run: numeric.Runs) -> None:
    other = replace(run, config={**run.config, "model": "squared_difference"})
    with pytest.raises(CheckError, match="different models: hadamard, squared_difference"):
        numeric.check(prediction("weight_decay"), [run, other])


def test_no_data(run: numeric.Runs) -> None:
    with pytest.raises(CheckError, match="needs the training data"):
        numeric.check(prediction("weight_decay"), run)


def test_runs_that_were_loaded_without_their_module(run: numeric.Runs) -> None:
    with pytest.raises(CheckError, match=r"Runs\.load\(folder, module\)"):
        numeric.check(prediction("weight_decay"), replace(run, module=None), wide_regression())


def test_a_formula_of_another_mechanism(run: numeric.Runs) -> None:
    with pytest.raises(CheckError, match="no formula 'mirror_start'"):
        numeric.check(prediction("mirror"), replace(run, config=_without_decay(run)), wide_regression())


def test_a_schedule_instead_of_a_step_size(run: numeric.Runs) -> None:
    optimizer = {**_without_decay(run)["optimizer"], "lr": {"schedule": "decay"}}
    scheduled = replace(run, config={**run.config, "optimizer": optimizer})
    right = prediction("mirror", mirror_start=lambda alpha: {"u": alpha, "v": 0 * alpha})
    with pytest.raises(CheckError, match="constant step size"):
        numeric.check(right, scheduled, wide_regression())


def test_langevin_is_no_gradient_descent(run: numeric.Runs) -> None:
    langevin = replace(run, config={**run.config, "optimizer": {"name": "Langevin", "lr": 0.1}})
    with pytest.raises(CheckError, match="the run used Langevin"):
        numeric.check(prediction("weight_decay"), langevin, wide_regression())


def test_diverged_runs_decide_nothing(run: numeric.Runs) -> None:
    verdict = numeric.check(prediction("weight_decay"), replace(run, diverged_steps=torch.tensor([7])))
    assert verdict.verdict == "inconclusive"
    assert verdict.details["reason"] == "diverged at step 7"


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (("confirmed", "confirmed"), "confirmed"),
        (("confirmed", "inconclusive"), "inconclusive"),
        (("inconclusive", "refuted"), "refuted"),
        (("refuted", "confirmed"), "refuted"),
    ],
)
def test_parts_join_by_the_gravest(outcomes: tuple[Outcome, ...], expected: Outcome) -> None:
    parts = {
        f"part {k}": Verdict("mirror", outcome, 1.0, float(k), None, None, 3, "own", {"reason": "why"})
        for k, outcome in enumerate(outcomes)
    }
    joined = combine(parts, "both", {"eta": [1.0]})
    assert joined.verdict == expected
    assert parts[joined.details["decided_by"]].verdict == expected
    assert joined.criterion == "both"
    assert set(joined.details) == {"eta", "decided_by", "parts", "reason"}
    assert joined.to_json()["details"]["parts"]["part 1"]["measured"] == 1.0


def _without_decay(run: numeric.Runs) -> dict[str, object]:
    return {**run.config, "optimizer": {**run.config["optimizer"], "weight_decay": 0.0}}
