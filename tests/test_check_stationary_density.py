"""The check of the stationary density of u v: Gamma(y/T − ½, scale T), T = eta sigma², on w > 0."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from check_problems import HADAMARD, prediction, wide_regression
from torch import Tensor

import numeric
from numeric.errors import CheckError
from numeric.experiments import Experiment
from numeric.experiments import stationary_density as experiment

REPLICAS = 3_000


def gamma(w: Tensor, y: float, eta: float, sigma: float) -> Tensor:
    temperature = eta * sigma**2
    return (y / temperature - 1.5) * torch.log(w) - w / temperature


def lognormal(w: Tensor, y: float, eta: float, sigma: float) -> Tensor:
    """The lognormal law of the same mean M and variance T M: only its shape is wrong."""
    temperature = eta * sigma**2
    mean = y - temperature / 2
    spread = math.log(1 + temperature / mean)
    return -torch.log(w) - (torch.log(w) - math.log(mean) + spread / 2) ** 2 / (2 * spread)


RIGHT = {"stationary_density": gamma, "stationary_density_gauge": lambda w: {"u": torch.sqrt(w), "v": torch.sqrt(w)}}
WRONG = {
    "twice the temperature": lambda w, y, eta, sigma: gamma(w, y, eta, 2**0.5 * sigma),
    "another measure": lambda w, y, eta, sigma: gamma(w, y, eta, sigma) + torch.log(w),
    "the shape of a lognormal law": lognormal,
}


@pytest.fixture(scope="module")
def done() -> Experiment:
    return experiment.run(HADAMARD, SimpleNamespace(**RIGHT), None, experiment.Plan(replicas=REPLICAS), seed=9)


def test_the_derived_density_is_confirmed(done: Experiment) -> None:
    verdict = numeric.check(prediction("stationary_density", **RIGHT), done.runs, done.data)
    assert verdict.verdict == "confirmed"
    details = verdict.details
    # Gamma(shape k, scale T) has mean k T and variance k T² with k = 1/T − ½, T = 0.2 here.
    assert details["predicted_mean"] == pytest.approx([0.9] * 3, rel=1e-8)
    assert details["predicted_variance"] == pytest.approx([0.18] * 3, rel=1e-8)
    assert details["samples"].shape == (3, REPLICAS)


@pytest.mark.parametrize("density", WRONG.values(), ids=WRONG)
def test_another_density_is_refuted(done: Experiment, density: object) -> None:
    wrong = prediction("stationary_density", stationary_density=density)
    verdict = numeric.check(wrong, done.runs, done.data)
    assert verdict.verdict == "refuted"
    assert verdict.details["decided_by"] == ("shape" if density is lognormal else "variance")


def test_a_density_of_infinite_mass_decides_nothing(done: Experiment) -> None:
    heavy = prediction("stationary_density", stationary_density=lambda w, y, eta, sigma: -2 * torch.log(w))
    verdict = numeric.check(heavy, done.runs, done.data)
    assert verdict.verdict == "inconclusive"
    assert "infinite mass" in verdict.details["reason"]


def test_two_step_sizes_decide_nothing(done: Experiment) -> None:
    verdict = numeric.check(prediction("stationary_density", **RIGHT), done.runs[:2], done.data)
    assert verdict.verdict == "inconclusive"


def test_an_ensemble_that_still_drifts_decides_nothing() -> None:
    early = experiment.Plan(replicas=REPLICAS, burn=0.2, gap=0.2, snapshots=4)
    done = experiment.run(HADAMARD, SimpleNamespace(**RIGHT), None, early, seed=9)
    verdict = numeric.check(prediction("stationary_density", **RIGHT), done.runs, done.data)
    assert verdict.verdict == "inconclusive"
    assert "drifts" in verdict.details["reason"]


def test_a_vector_target_is_an_error() -> None:
    data = wide_regression(n=2)
    run = numeric.train(
        HADAMARD,
        numeric.losses.linear_regression,
        data,
        optimizer=numeric.SGD(lr=0.01, label_noise=0.1),
        steps=5,
        initial={"u": torch.ones(6), "v": torch.zeros(6)},
        observables={"predictor": numeric.observables.predictor(HADAMARD)},
    )
    with pytest.raises(CheckError, match="scalar"):
        numeric.check(prediction("stationary_density", **RIGHT), run, data)
