"""The check of the noise equilibrium under shifts that biases make up for: v (w x + b) + c, b + t needing c − v t."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from check_problems import prediction
from torch import Tensor

import numeric
import symtheory as st
from numeric.experiments import Experiment
from numeric.experiments import noise_equilibrium as experiment

# Little noise and a long way, for the shifted bias fluctuates about its way as all parameters do.
PLAN = experiment.Plan(
    temperature=0.05, displacement=1.0, steepest=4.0, replicas=128, most_samples=2_048, records=64, teachers=8
)
Functions = dict[str, Callable[..., Any]]


@pytest.fixture(scope="module")
def graph() -> st.Parametrization:
    v, w, b, c = st.param("v", 2, 1), st.param("w", 1, 2), st.param("b", 1), st.param("c", 2)
    return st.Parametrization(v @ (w @ st.input("x", 2) + b) + c, name="two_biases")


@pytest.fixture(scope="module")
def honest(graph: st.Parametrization) -> Functions:
    functions = vars(graph.predictions()["noise_equilibrium"].load())
    return {name: value for name, value in functions.items() if callable(value)}


@pytest.fixture(scope="module")
def done(graph: st.Parametrization, honest: Functions) -> Experiment:
    return experiment.run(st.generate(graph).load(), SimpleNamespace(**honest), None, PLAN, seed=11)


def judged(done: Experiment, functions: Functions) -> numeric.comparison.Verdict:
    return numeric.check(prediction("noise_equilibrium", "two_biases", **functions), done.runs, done.data)


def test_where_noise_takes_a_shift_and_how_fast_is_confirmed(done: Experiment, honest: Functions) -> None:
    verdict = judged(done, honest)
    assert verdict.verdict == "confirmed", verdict
    assert {"equilibrium of the shifts", "rate of the shifts"} <= set(verdict.details["parts"])


def shifting(honest: Functions, change: Callable[[Tensor, float], Tensor]) -> Functions:
    """The functions with another velocity of the shifts alone, told the honest one and η."""
    velocity, signs = honest["noise_equilibrium_velocity"], honest["noise_equilibrium_signs"]

    def changed(point: dict[str, Tensor], gradients: dict[str, Tensor], eta: float, decay: float) -> Tensor:
        found = velocity(point, gradients, eta, decay)
        return torch.where(signs(point) == 0, change(found, eta), found)

    return {**honest, "noise_equilibrium_velocity": changed}


def test_shifts_twice_as_fast_are_refuted(done: Experiment, honest: Functions) -> None:
    """E⟨g, Ng⟩ without the half in front of it."""
    verdict = judged(done, shifting(honest, lambda found, eta: 2 * found))
    assert verdict.verdict == "refuted", verdict
    assert verdict.details["parts"]["rate of the shifts"]["verdict"] == "refuted"


def test_shifts_to_another_place_are_refuted(done: Experiment, honest: Functions) -> None:
    """That at the start is added, so that the velocity vanishes twice as far away."""
    first: dict[float, Tensor] = {}
    wrong = shifting(honest, lambda found, eta: found + first.setdefault(eta, found.clone()))
    verdict = judged(done, wrong)
    assert verdict.verdict == "refuted", verdict
    assert verdict.details["parts"]["equilibrium of the shifts"]["verdict"] == "refuted"
