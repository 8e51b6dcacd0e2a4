"""The check of label noise along zero loss: the drift of GHᵀ confirmed, drifts made wrong on purpose refuted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from check_problems import prediction

import numeric
import symtheory as st
from numeric.errors import CheckError
from numeric.experiments import Experiment
from numeric.experiments import zero_loss_drift as experiment
from numeric.reporting.mechanism_figures import mechanism_figures
from symtheory import catalog

# 48 replicas leave 2 % on the intercept; the whole plan has 128.
PLAN = experiment.Plan(lrs=(0.2, 0.14, 0.1), replicas=48, spread=40.0, draws=64)


@cache
def functions() -> ModuleType:
    return low_rank().predictions()["label_noise"].load()


@cache
def low_rank() -> st.Parametrization:
    return catalog.load("low_rank").bind(n=3, m=2, h=2)


@pytest.fixture(scope="module")
def done() -> Experiment:
    return experiment.run(st.generate(low_rank()).load(), functions(), PLAN, seed=5)


def judged(done: Experiment, runs: Any = None, **wrong: Callable[..., Any]) -> numeric.comparison.Verdict:
    own = {name: getattr(functions(), name) for name in ("label_noise_trace", "label_noise_drift")}
    return numeric.check(prediction("label_noise", "low_rank", **{**own, **wrong}), runs or done.runs, done.data)


def times(factor: float) -> Callable[..., dict[str, torch.Tensor]]:
    return lambda *arguments: {name: factor * leaf for name, leaf in functions().label_noise_drift(*arguments).items()}


def test_the_drift_is_confirmed(done: Experiment) -> None:
    verdict = judged(done)
    assert verdict.verdict == "confirmed", verdict
    assert verdict.standard_error is not None and verdict.standard_error < 0.05
    assert verdict.n == 48
    assert set(verdict.details["parts"]) == {"along the drift", "across it, direction 1"}
    assert verdict.details["change"] == pytest.approx([1.0] * 3, abs=0.25)


def test_a_stiff_descent_that_follows_the_flow_says_the_same(done: Experiment) -> None:
    module = st.generate(low_rank()).load()
    followed = experiment.run(module, functions(), replace(PLAN, most_descent=1), seed=5)
    ratios = [judged(each).details["ratio"] for each in (done, followed)]
    assert judged(followed).verdict == "confirmed"
    assert 0 < float((ratios[0] - ratios[1]).abs().max()) < 0.01  # of order η, where noise leaves 0.02
    assert judged(followed, label_noise_drift=times(2.0)).verdict == "refuted"


@pytest.mark.parametrize("factor", [2.0, 0.5, -1.0])
def test_a_wrong_factor_or_sign_is_refuted(done: Experiment, factor: float) -> None:
    assert judged(done, label_noise_drift=times(factor)).verdict == "refuted"


def test_an_objective_with_balanced_weights_is_refuted(done: Experiment) -> None:
    """Weight decay's own balance, ‖G‖² + ‖H‖², in place of m‖G‖² + n‖H‖² with the same size of the drift."""

    def isotropic(point: dict[str, torch.Tensor], eta: float, sigma: float) -> dict[str, torch.Tensor]:
        return {name: -(eta**2) * sigma**2 / 4 * 2 * 2.5 * leaf for name, leaf in point.items()}

    assert judged(done, label_noise_drift=isotropic).verdict == "refuted"


def test_the_figure_shows_the_limit_in_eta(done: Experiment, tmp_path: Path) -> None:
    shown = mechanism_figures(judged(done), done, functions(), tmp_path)
    (figure,) = shown.figures
    assert figure.exists() and "tends to one" in shown.caption


def test_a_start_that_does_not_fit_decides_nothing(done: Experiment) -> None:
    away = [replace(run, initial={name: 1.01 * leaf for name, leaf in run.initial.items()}) for run in done.runs]
    verdict = judged(done, away)
    assert verdict.verdict == "inconclusive" and "does not fit the data" in verdict.details["reason"]


def test_ends_away_from_zero_loss_decide_nothing(done: Experiment) -> None:
    away = [
        replace(run, observables={name: 1.001 * leaf for name, leaf in run.observables.items()}) for run in done.runs
    ]
    verdict = judged(done, away)
    assert verdict.verdict == "inconclusive" and "has not returned" in verdict.details["reason"]


def test_a_start_in_the_balance_of_the_noise_decides_nothing(done: Experiment) -> None:
    balanced = [replace(run, initial=functions().label_noise_balanced(run.initial)) for run in done.runs]
    verdict = judged(done, balanced)
    assert verdict.verdict == "inconclusive" and "stationary along zero loss" in verdict.details["reason"]


def test_replicas_from_several_points_are_an_error(done: Experiment) -> None:
    run = done.runs[0]
    initial = {name: leaf.clone() for name, leaf in run.initial.items()}
    initial["G"][1] *= 1.1
    with pytest.raises(CheckError, match="start at different points"):
        judged(done, [replace(run, initial=initial)] * 3)


def test_a_network_with_constants_is_confirmed() -> None:
    P = catalog.load("lora").bind(d=2, k=2, r=1)
    own = P.predictions()["label_noise"]
    plan = replace(PLAN, replicas=32)
    done = experiment.run(st.generate(P).load(), own.load(), plan, seed=8)
    assert numeric.check(own, done.runs, done.data).verdict == "confirmed"
    with pytest.raises(CheckError, match=r"needs data\['W0'\]"):
        numeric.check(own, done.runs, {name: leaf for name, leaf in done.data.items() if name != "W0"})


def test_a_point_without_directions_is_refused() -> None:
    model = SimpleNamespace(
        NAME="scalar",
        PARAMETERS={"a": ()},
        INPUTS={},
        DECLARATION_HASH="1" * 16,
        predictor=lambda point: 2 * point["a"],
    )
    with pytest.raises(CheckError, match="no start at which the set of zero loss has a clear direction"):
        experiment.run(model, functions(), PLAN)
