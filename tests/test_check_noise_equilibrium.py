"""The check of the noise equilibrium on a small ReLU net: the derived statement, and others beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from check_problems import prediction
from torch import Tensor

import numeric
import symtheory as st
from numeric.comparison.mechanisms import noise_equilibrium_assumptions as assumptions
from numeric.errors import CheckError
from numeric.experiments import Experiment
from numeric.experiments import noise_equilibrium as experiment
from symtheory import catalog

PLAN = experiment.Plan(replicas=64, most_samples=16_384, records=64)
Functions = dict[str, Callable[..., Any]]


@pytest.fixture(scope="module")
def graph() -> st.Parametrization:
    return catalog.load("shallow_relu").bind(d=3, h=2, k=1)


@pytest.fixture(scope="module")
def honest(graph: st.Parametrization) -> Functions:
    return {
        name: value for name, value in vars(graph.predictions()["noise_equilibrium"].load()).items() if callable(value)
    }


@pytest.fixture(scope="module")
def done(graph: st.Parametrization, honest: Functions) -> Experiment:
    return experiment.run(st.generate(graph).load(), SimpleNamespace(**honest), None, PLAN, seed=11)


def judged(done: Experiment, functions: Functions) -> numeric.comparison.Verdict:
    return numeric.check(prediction("noise_equilibrium", "shallow_relu", **functions), done.runs, done.data)


def test_the_derived_equilibrium_and_rate_are_confirmed(done: Experiment, honest: Functions) -> None:
    verdict = judged(done, honest)
    assert verdict.verdict == "confirmed", verdict
    assert set(verdict.details["parts"]) == {"equilibrium", "rate", "closed form"}
    rivals = verdict.details["rivals"]
    assert rivals["supported"] == "noise equilibrium" and rivals["forecasts"]["balance"] == 0.0
    assert all(entry["residual"] < 0.2 and entry["beside"] < 1e-6 for entry in verdict.details["assumptions"].values())


def closed_form(factor: float) -> Callable[[Functions], Functions]:
    """|V|/|W| times a factor."""

    def change(honest: Functions) -> Functions:
        ratio = honest["noise_equilibrium_normal_ratio"]
        return {**honest, "noise_equilibrium_normal_ratio": lambda **units: factor * ratio(**units)}

    return change


def drift(factor: float) -> Callable[[Functions], Functions]:
    """All velocities along the orbit times a factor: the same equilibrium at another rate."""

    def change(honest: Functions) -> Functions:
        velocity, rates = honest["noise_equilibrium_velocity"], honest["noise_equilibrium_rates"]
        return {
            **honest,
            "noise_equilibrium_velocity": lambda *given: factor * velocity(*given),
            "noise_equilibrium_rates": lambda *given: factor * rates(*given),
        }

    return change


def towards_balance(honest: Functions) -> Functions:
    """The path of isotropic noise: charges decay to zero, at the right rate."""

    def velocity(point: dict[str, Tensor], *given: Any) -> Tensor:
        gram = honest["noise_equilibrium_gram"](point)
        rates = honest["noise_equilibrium_rates"](point, *given)
        charges = honest["noise_equilibrium_charges"](point)
        return -rates.mean() * charges / gram.diagonal(dim1=-2, dim2=-1) / 2

    return {**honest, "noise_equilibrium_velocity": velocity}


WRONG = {
    "2 d for d": (closed_form(1 / math.sqrt(2)), "closed form"),
    "ratio 1": (closed_form(math.sqrt(3)), "closed form"),
    "the root of d, not its inverse": (closed_form(3.0), "closed form"),
    "twice the drift": (drift(2.0), "rate"),
    "balance of isotropic noise": (towards_balance, "equilibrium"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_another_statement_is_refuted(done: Experiment, honest: Functions, name: str) -> None:
    change, part = WRONG[name]
    verdict = judged(done, change(honest))
    assert verdict.verdict == "refuted", verdict
    assert verdict.details["parts"][part]["verdict"] == "refuted"


def test_a_run_too_short_decides_nothing(done: Experiment, honest: Functions) -> None:
    """The first third of every run: the predicted path has not arrived."""
    count = len(done.runs[0].steps) // 4
    short = [
        replace(
            run, steps=run.steps[:count], observables={name: leaf[:count] for name, leaf in run.observables.items()}
        )
        for run in done.runs
    ]
    verdict = judged(replace(done, runs=tuple(short)), honest)
    assert verdict.verdict == "inconclusive" and "train longer" in verdict.details["reason"]


def test_w_that_relaxes_no_faster_than_charges_decides_nothing(
    done: Experiment, honest: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    checking = import_module("numeric.comparison.mechanisms.noise_equilibrium")  # the package's name is the function
    monkeypatch.setattr(checking, "settling", lambda gradients: 1e-6)
    verdict = judged(done, honest)
    assert verdict.verdict == "inconclusive" and "use less noise" in verdict.details["reason"]


def test_the_slowest_curvature_leaves_out_what_is_flat() -> None:
    """H = mean of g gᵀ over four gradients: diag(1, 4, 0) / 4 for columns of one entry each."""
    gradients = {
        "a": torch.tensor([[1.0], [0.0], [0.0], [0.0]], dtype=torch.float64),
        "b": torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 0.0], [0.0, 0.0]], dtype=torch.float64),
    }
    assert assumptions.settling(gradients) == pytest.approx(0.25)


def test_it_needs_one_start_and_label_noise(done: Experiment, honest: Functions) -> None:
    run = done.runs[0]
    scattered = {
        name: leaf + torch.arange(len(leaf)).reshape(-1, *[1] * (leaf.ndim - 1)) for name, leaf in run.initial.items()
    }
    with pytest.raises(CheckError, match="start at different points"):
        judged(replace(done, runs=(replace(run, initial=scattered),)), honest)
    optimizer = {**run.config["optimizer"], "label_noise": 0.0}
    with pytest.raises(CheckError, match="label_noise"):
        judged(replace(done, runs=(replace(run, config={**run.config, "optimizer": optimizer}),)), honest)


def test_zero_loss_that_noise_follows_beside_the_orbit_is_not_trained() -> None:
    """The gate of one more product: (a b + c) u has zero loss along a b + c, where noise drifts and no group acts."""
    a, b, c, u = (st.param(name, 2) for name in "abcu")
    P = st.Parametrization(a * b * u + c * u, name="more_than_an_orbit")
    with pytest.raises(CheckError, match="beside the orbit"):
        experiment.run(st.generate(P).load(), P.predictions()["noise_equilibrium"].load(), None, PLAN, seed=1)
