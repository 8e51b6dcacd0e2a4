"""The check confirms the equilibrium of a scale in real training and refutes statements made wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import numeric
import symtheory as st
from numeric.comparison.verdict import Verdict
from numeric.errors import CheckError
from numeric.experiments import scale_equilibrium as experiment
from numeric.experiments.experiment import Experiment
from symtheory import catalog

PLAN = experiment.Plan(replicas=16, decays=(0.004, 0.0028, 0.002, 0.001))


@cache
def formulas(name: str = "weight_norm") -> dict[str, Callable[..., Any]]:
    module = catalog.load(name).predictions()["scale_equilibrium"].load()
    return {name: found for name, found in vars(module).items() if name.startswith("scale_equilibrium")}


@cache
def trained() -> Experiment:
    P = catalog.load("weight_norm").bind(d=3, h=4, k=5)
    return experiment.run(st.generate(P).load(), SimpleNamespace(**formulas()), None, PLAN, seed=11, progress=False)


def judged(**wrong: Callable[..., Any]) -> Verdict:
    functions = SimpleNamespace(**{**formulas(), **wrong})
    prediction = SimpleNamespace(mechanism="scale_equilibrium", parametrization="weight_norm", load=lambda: functions)
    return numeric.check(prediction, trained().runs)


def parts(verdict: Verdict) -> dict[str, str]:
    return {name: part["verdict"] for name, part in verdict.details["parts"].items()}


def test_the_derived_statement_is_confirmed() -> None:
    verdict = judged()
    assert verdict.verdict == "confirmed", verdict
    assert set(parts(verdict)) == {"exact law", "from above", "from below", "rate"}
    assert len(verdict.details["sensitivity"]) == len(PLAN.decays)
    start = {name: series[:, 0].mean() for name, series in verdict.details["trajectories"].items() if name != "steps"}
    assert start["started above"] > 2 > 0.5 > start["started below"]


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_a_wrong_factor_in_the_equilibrium_is_refuted(factor: float) -> None:
    """Factor 2 is what λ in the place of 2λ gives."""
    right = formulas()["scale_equilibrium_fourth_power"]
    found = parts(judged(scale_equilibrium_fourth_power=lambda *values: factor * right(*values)))
    assert found["from above"] == found["from below"] == "refuted"


def test_a_square_in_the_place_of_the_fourth_power_is_refuted() -> None:
    right = formulas()["scale_equilibrium_fourth_power"]
    found = parts(judged(scale_equilibrium_fourth_power=lambda *values: right(*values).sqrt()))
    assert found["from above"] == found["from below"] == "refuted"


def test_a_wrong_rate_is_refuted() -> None:
    right = formulas()["scale_equilibrium_rate"]
    assert parts(judged(scale_equilibrium_rate=lambda *values: right(*values) / 2))["rate"] == "refuted"


@pytest.mark.parametrize(
    "law",
    [
        lambda square, gradient, eta, decay: (1 - eta * decay) ** 2 * square - eta**2 * gradient,
        lambda square, gradient, eta, decay: (1 - 2 * eta * decay) * square + eta**2 * gradient,
    ],
    ids=["sign", "first order in the decay"],
)
def test_a_wrong_step_is_refuted(law: Callable[..., Any]) -> None:
    assert parts(judged(scale_equilibrium=law))["exact law"] == "refuted"


def test_heavy_tails_and_drift_decide_nothing() -> None:
    runs = list(trained().runs)
    last = runs[-1]
    burst = {name: values.clone() for name, values in last.observables.items()}
    burst["gradient_square.rescaling2"][3_000::500] *= 1e3
    prediction = SimpleNamespace(
        mechanism="scale_equilibrium", parametrization="weight_norm", load=lambda: SimpleNamespace(**formulas())
    )
    found = numeric.check(prediction, [*runs[:-1], replace(last, observables=burst)])
    assert found.details["parts"]["from below"]["verdict"] == "inconclusive"
    assert "heavy tails" in found.details["parts"]["from below"]["details"]["reason"]
    drifting = {name: values.clone() for name, values in last.observables.items()}
    drifting["square.rescaling2"] *= torch.linspace(1, 2, len(last.steps), dtype=torch.float64)[:, None, None]
    found = numeric.check(prediction, [*runs[:-1], replace(last, observables=drifting)])
    assert "between the halves" in found.details["parts"]["from below"]["details"]["reason"]


def test_what_the_check_needs() -> None:
    prediction = SimpleNamespace(
        mechanism="scale_equilibrium", parametrization="weight_norm", load=lambda: SimpleNamespace(**formulas())
    )
    with pytest.raises(CheckError, match="two runs with the same seed"):
        numeric.check(prediction, trained().runs[:-1])


def test_a_dead_scale_is_inconclusive() -> None:
    """A layer normalisation over two entries gives ±1 whatever it reads: its scale has no gradient but rounding."""
    P = catalog.load("layer_norm").bind(d=3, h=2, k=2)
    plan = replace(PLAN, replicas=4, decays=(0.02, 0.016, 0.01, 0.008))
    module, functions = st.generate(P).load(), SimpleNamespace(**formulas("layer_norm"))
    done = experiment.run(module, functions, None, plan, seed=1, progress=False)
    prediction = SimpleNamespace(mechanism="scale_equilibrium", parametrization="layer_norm", load=lambda: functions)
    assert numeric.check(prediction, done.runs).verdict != "confirmed"
