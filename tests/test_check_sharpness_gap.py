"""The check of the sharpness gap: runs at the edge confirm the forecast and refute wrong ones; others are undecided."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import symtheory as st
from numeric.comparison.mechanisms.sharpness_gap import sharpness_gap
from numeric.errors import CheckError
from numeric.experiments import sharpness_gap as experiment
from numeric.experiments.decide import decide
from numeric.experiments.experiment import Experiment
from numeric.experiments.valley import Valley
from numeric.reporting.mechanisms import DRAWINGS
from symtheory.catalog.curved_valley import curved_valley

SEED = 7
PLAN = replace(experiment.Plan(), edges=(12.0, 18.0, 30.0), replicas=250)


@pytest.fixture(scope="module")
def functions() -> Any:
    return curved_valley.predictions()["sharpness_gap"].load()


@pytest.fixture(scope="module")
def at_edge(functions: Any) -> Experiment:
    module = st.generate(curved_valley, "euclidean").load()
    return experiment.run(module, functions, None, PLAN, seed=SEED, progress=False)


def altered(functions: Any, name: str, factor: float) -> SimpleNamespace:
    """The functions with one result multiplied."""
    made = {key: value for key, value in vars(functions).items() if key.startswith("sharpness_gap")}
    made[name] = lambda *numbers: factor * getattr(functions, name)(*numbers)
    return SimpleNamespace(**made)


def test_langevin_runs_confirm_the_gap(functions: Any, at_edge: Experiment) -> None:
    verdict = sharpness_gap(functions, at_edge.runs)
    assert verdict.verdict == "confirmed", str(verdict)
    plots, caption = DRAWINGS["sharpness_gap"](verdict.details, at_edge, functions)
    assert plots[0][0] == "extrapolation"
    assert caption


@pytest.mark.parametrize(("name", "factor"), [("sharpness_gap", 2.0), ("sharpness_gap_of_drift_noise", 0.5)])
def test_wrong_formulas_are_refuted(functions: Any, at_edge: Experiment, name: str, factor: float) -> None:
    """The forecasts are 4/3 and 2/3 of the truth: isotropic noise along ∇S counts twice as much as that along u."""
    assert sharpness_gap(altered(functions, name, factor), at_edge.runs).verdict == "refuted"


def test_runs_away_from_the_edge_decide_nothing(functions: Any, at_edge: Experiment) -> None:
    quiet = []
    for run in at_edge.runs:
        observables = dict(run.observables)
        observables["edge.position"] = observables["edge.position"] / 3
        quiet.append(replace(run, observables=observables))
    verdict = sharpness_gap(functions, quiet)
    assert verdict.verdict == "inconclusive"
    assert "not at the edge" in verdict.details["reason"]


def test_a_network_that_does_not_sharpen_is_told_so() -> None:
    W, V, x = st.param("W", 3, 2), st.param("V", 1, 3), st.input("x", 2)
    net = st.Parametrization(V @ st.tanh(W @ x), name="net")
    decision = decide(net.predictions()["sharpness_gap"], st.generate(net).load(), seed=SEED, progress=False)
    assert decision.verdict.verdict == "inconclusive"
    assert "not at the edge" in decision.verdict.details["reason"]


def test_the_valley_is_measured_as_written_down() -> None:
    """½(40 + 3s)x² − s/2: S, α and β on the floor, and a start at a wanted sharpness."""
    valley = Valley(lambda theta: (40 + 3 * theta[1]) * theta[0] ** 2 / 2 - theta[1] / 2)
    found = valley.measure(torch.tensor([0.01, 1.0], dtype=torch.float64))
    assert float(found["sharpness"]) == pytest.approx(43, rel=1e-3)
    assert float(found["alpha"]) == pytest.approx(1.5, rel=1e-3)
    assert float(found["beta"]) == pytest.approx(9, rel=1e-3)
    assert abs(float(found["position"])) == pytest.approx(0.01, rel=1e-2)
    start = valley.start(torch.tensor([0.0, 1.0], dtype=torch.float64), 80.0)
    assert float(valley.measure(start)["sharpness"]) == pytest.approx(80, rel=2e-3)
    rising = Valley(lambda theta: (40 - 3 * theta[1]) * theta[0] ** 2 / 2 - theta[1] / 2)
    with pytest.raises(CheckError, match="does not sharpen"):
        rising.start(torch.tensor([0.0, 1.0], dtype=torch.float64), 80.0)
