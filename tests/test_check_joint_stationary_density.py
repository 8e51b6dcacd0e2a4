"""The check of the joint law of several coefficients confirms it and refutes laws that forget the features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

import pytest
import torch
from check_problems import prediction
from prediction_cases import declared, predictions
from torch import Tensor

import numeric
import symtheory as st
from numeric.errors import CheckError
from numeric.experiments import Experiment
from numeric.experiments import joint_stationary_density as experiment

MECHANISM = "joint_stationary_density"
PLAN = experiment.Plan(
    targets=(1.0, 0.8), lengths=(1.0, 1.2), correlations=((1.0, -0.4), (-0.4, 1.0)), replicas=3_000, snapshots=8
)
PLANS = {"hadamard": PLAN, "depth_3": replace(PLAN, replicas=4_000)}


@cache
def formulas(case: str) -> ModuleType:
    return predictions(case)[MECHANISM].load()


@cache
def done(case: str) -> Experiment:
    module = st.generate(declared(case)).load()
    return experiment.run(module, formulas(case), None, PLANS[case], seed=4, progress=False)


def judged(case: str, runs: Any = None, **changed: Callable[..., Tensor]) -> numeric.Verdict:
    law = prediction(MECHANISM, case, **{**vars(formulas(case)), **changed})
    return numeric.check(law, done(case).runs if runs is None else runs, done(case).data)


@pytest.mark.parametrize("case", PLANS)
def test_the_derived_law_is_confirmed(case: str) -> None:
    verdict = judged(case)
    assert verdict.verdict == "confirmed"
    shapes = [name for name in verdict.details["parts"] if name.startswith("shape")]
    assert len(shapes) == (2 if case == "hadamard" else 0)
    assert "correlation of coordinates 1 and 2" in verdict.details["parts"]


def test_the_product_of_the_laws_of_single_coordinates_is_refuted() -> None:
    marginal = formulas("hadamard").joint_stationary_density_marginal
    verdict = judged(
        "hadamard", joint_stationary_density_marginals=lambda w, y, gram, eta, sigma: marginal(w, y, 1.0, eta, sigma)
    )
    assert verdict.verdict == "refuted"
    assert verdict.details["decided_by"].startswith("shift of the mean")


def test_twice_the_temperature_is_refuted() -> None:
    marginals = formulas("hadamard").joint_stationary_density_marginals
    verdict = judged(
        "hadamard", joint_stationary_density_marginals=lambda w, y, X, eta, s: marginals(w, y, X, 2 * eta, s)
    )
    assert verdict.verdict == "refuted"


def test_another_measure_is_refuted() -> None:
    marginals = formulas("hadamard").joint_stationary_density_marginals
    verdict = judged(
        "hadamard", joint_stationary_density_marginals=lambda w, y, *rest: marginals(w, y, *rest) + torch.log(w)
    )
    assert verdict.verdict == "refuted"


@pytest.mark.parametrize("wrong", ["twice the shift", "shift without features", "half the covariance"])
def test_wrong_moments_are_refuted(wrong: str) -> None:
    module = formulas("depth_3")
    changed: dict[str, Callable[..., Tensor]] = {
        "twice the shift": {
            f"{MECHANISM}_mean": lambda y, *rest: 2 * module.joint_stationary_density_mean(y, *rest) - y
        },
        "shift without features": {
            f"{MECHANISM}_mean": lambda y, gram, *rest: module.joint_stationary_density_mean(
                y, torch.diag(gram.diagonal()), *rest
            )
        },
        "half the covariance": {
            f"{MECHANISM}_covariance": lambda *rest: module.joint_stationary_density_covariance(*rest) / 2
        },
    }[wrong]
    verdict = judged("depth_3", **changed)
    assert verdict.verdict == "refuted"
    assert verdict.details["decided_by"].startswith("variance" if "covariance" in wrong else "shift of the mean")


def test_two_step_sizes_decide_nothing() -> None:
    assert judged("hadamard", done("hadamard").runs[:2]).verdict == "inconclusive"


def test_a_gauge_that_is_not_balanced_decides_nothing() -> None:
    run = done("hadamard").runs[0]
    final = {"u": 1.5 * run.final["u"], "v": run.final["v"] / 1.5}
    verdict = judged("hadamard", [replace(run, final=final), *done("hadamard").runs[1:]])
    assert verdict.verdict == "inconclusive"
    assert "not balanced" in verdict.details["reason"]


def test_snapshots_that_still_drift_decide_nothing() -> None:
    run = done("hadamard").runs[0]
    w = run.observables["predictor"].clone()
    w[: len(w) // 2] *= 0.9
    verdict = judged("hadamard", [replace(run, observables={"predictor": w}), *done("hadamard").runs[1:]])
    assert verdict.verdict == "inconclusive"
    assert "still drifts" in verdict.details["reason"]


def test_targets_that_no_coefficients_fit_are_told() -> None:
    data = {"x": torch.ones(3, 1, dtype=torch.float64), "y": torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)}
    module = st.generate(declared("hadamard")).load()
    run = numeric.train(
        module,
        numeric.losses.linear_regression,
        data,
        optimizer=numeric.SGD(lr=0.01, label_noise=0.1),
        steps=6,
        replicas=10,
        initial={"u": torch.ones(1), "v": torch.ones(1)},
        observables={"predictor": numeric.observables.predictor(module)},
        record_every=2,
    )
    law = prediction(MECHANISM, "hadamard", **vars(formulas("hadamard")))
    verdict = numeric.check(law, [run], data)
    assert verdict.verdict == "inconclusive"
    with pytest.raises(CheckError, match="snapshots, replicas, coefficients"):
        numeric.check(law, [replace(run, observables={"predictor": torch.ones(1, 10)})], data)
