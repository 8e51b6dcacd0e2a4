"""The check of the orbit volume by Langevin runs with held charges, and predictions made wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from check_problems import HADAMARD, prediction
from scipy.integrate import quad
from torch import Tensor

import numeric
import symtheory as st
from numeric.comparison.slice_geometry import SliceGeometry
from numeric.comparison.slice_law import slice_law
from numeric.errors import CheckError
from numeric.experiments import Experiment
from numeric.experiments import orbit_volume as experiment
from symtheory import catalog

SMALL = experiment.Plan(coordinate_replicas=4_000, replicas=400, samples=2)


def squares(point: dict[str, Tensor]) -> Tensor:
    return point["u"] ** 2 + point["v"] ** 2


RIGHT: dict[str, Callable[..., Any]] = {
    "orbit_volume": lambda point: 0.5 * (4 * squares(point)).log(),
    "orbit_volume_slope": lambda point: 0.5 * squares(point).log(),
    "orbit_volume_charges": lambda point: {"c": point["u"] ** 2 - point["v"] ** 2},
}


@pytest.fixture(scope="module")
def coefficient() -> Experiment:
    return experiment.run(HADAMARD, SimpleNamespace(**RIGHT), None, SMALL, seed=11)


def judged(done: Experiment, **wrong: Callable[..., Any]) -> numeric.Verdict:
    return numeric.check(prediction("orbit_volume", **{**RIGHT, **wrong}), done.runs, done.data)


def test_the_derived_law_is_confirmed(coefficient: Experiment) -> None:
    verdict = judged(coefficient)
    assert verdict.verdict == "confirmed"
    assert set(verdict.details["parts"]) == {"mean of w", "variance of w"}
    widths = verdict.details["width"]
    assert widths == sorted(widths, reverse=True) and widths[-1] < 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        {"orbit_volume": lambda point: 0.0 * squares(point)},
        {"orbit_volume": lambda point: (4 * squares(point)).log()},
        {"orbit_volume": lambda point: -0.5 * (4 * squares(point)).log()},
        {"orbit_volume_slope": lambda point: 0.0 * squares(point)},
    ],
    ids=["none", "doubled", "wrong sign", "slice volume taken for dw"],
)
def test_a_wrong_law_is_refuted(coefficient: Experiment, wrong: dict[str, Callable[..., Any]]) -> None:
    assert judged(coefficient, **wrong).verdict == "refuted"


def test_runs_that_cannot_decide_are_inconclusive(coefficient: Experiment) -> None:
    drifting = [
        replace(
            run,
            observables={
                k: v.clone() if k[0] == "g" else v * torch.linspace(1, 1.3, len(v))[:, None, None]
                for k, v in run.observables.items()
            },
        )
        for run in coefficient.runs
    ]
    verdict = numeric.check(prediction("orbit_volume", **RIGHT), drifting, coefficient.data)
    assert verdict.verdict == "inconclusive"
    few = [replace(run, observables={k: v[:, :40] for k, v in run.observables.items()}) for run in coefficient.runs]
    assert judged(replace(coefficient, runs=tuple(few))).verdict == "inconclusive"
    loose = experiment.Plan(coordinate_replicas=50, coordinate_width=0.9)
    wide = experiment.run(HADAMARD, SimpleNamespace(**RIGHT), None, loose, seed=1)
    verdict = judged(wide)
    assert verdict.verdict == "inconclusive" and "hold charges tighter" in verdict.details["reason"]


def test_other_noise_is_refused(coefficient: Experiment) -> None:
    (first, *_) = coefficient.runs
    other = replace(first, config={**first.config, "optimizer": {**first.config["optimizer"], "name": "SGD"}})
    with pytest.raises(CheckError, match="isotropic Langevin noise, and the run used SGD"):
        judged(replace(coefficient, runs=(other,)))


@pytest.fixture(scope="module")
def matrices() -> tuple[Any, Experiment]:
    graph = catalog.load("low_rank").bind(n=3, m=2, h=1)
    derived = graph.predictions()["orbit_volume"]
    plan = replace(SMALL, replicas=1_500)
    return derived, experiment.run(st.generate(graph), derived.load(), None, plan, seed=12)


def test_the_virial_of_a_slice_of_matrices(matrices: tuple[Any, Experiment]) -> None:
    derived, done = matrices
    verdict = numeric.check(derived, done.runs, done.data)
    assert verdict.verdict == "confirmed" and set(verdict.details["parts"]) == {"virial"}
    for factor in (0.0, 2.0, -1.0):
        functions = vars(derived.load())
        right = functions["orbit_volume"]
        wrong = {**functions, "orbit_volume": lambda point, factor=factor, right=right: factor * right(point)}
        assert numeric.check(prediction("orbit_volume", "low_rank", **wrong), done.runs, done.data).verdict == "refuted"


def test_law_on_a_slice_by_quadrature() -> None:
    """On u² − v² = c the derived law of w is exp(−½(w − y)²/T)/√(c² + 4w²) dw."""
    law = slice_law(
        lambda point: point["u"] * point["v"],
        lambda point: -RIGHT["orbit_volume"](point) - RIGHT["orbit_volume_slope"](point),
        {"u": 1.1, "v": -0.3},
        0.8,
        0.4,
    )
    c = 1.1**2 - 0.3**2

    def weight(w: float) -> float:
        return float(np.exp(-((w - 0.8) ** 2) / 0.8) / np.sqrt(c**2 + 4 * w**2))

    mass, mean = (quad(lambda w, k=k: w**k * weight(w), -6, 8, limit=200)[0] for k in (0, 1))
    assert law.mean == pytest.approx(mean / mass, rel=1e-6)


def test_virial_of_a_circle() -> None:
    """On a circle f = ½‖θ‖² is constant: both sides vanish. On a hyperbola, by the derivative along the curve."""
    point = {"u": torch.tensor([0.6, 1.2], dtype=torch.float64), "v": torch.tensor([0.8, 0.5], dtype=torch.float64)}
    slopes = {"u": torch.tensor([0.3, -0.2], dtype=torch.float64), "v": torch.tensor([0.1, 0.7], dtype=torch.float64)}
    circle = SliceGeometry.at(lambda p: {"c": p["u"] ** 2 + p["v"] ** 2}, {k: v[0] for k, v in point.items()})
    for side in circle.virial(point, slopes, slopes, 0.5):
        assert side.abs().max() < 1e-14
    # (u, v) = √c (cosh s, sinh s): speed² = ‖θ‖², f = ½ c cosh 2s; Δf = (f'/speed)'/speed.
    hyperbola = SliceGeometry.at(RIGHT["orbit_volume_charges"], {k: v[1] for k, v in point.items()})
    zero = {key: torch.zeros_like(value) for key, value in point.items()}
    laplacian = float(hyperbola.virial(point, zero, zero, 1.0)[0][1])
    c, s = 1.2**2 - 0.5**2, np.arctanh(0.5 / 1.2)

    def tangential(at: float) -> float:
        return float(c * np.sinh(2 * at) / np.sqrt(c * np.cosh(2 * at)))

    step = 1e-5
    expected = (tangential(s + step) - tangential(s - step)) / (2 * step) / np.sqrt(c * np.cosh(2 * s))
    assert laplacian == pytest.approx(expected, rel=1e-8)


def test_an_experiment_says_what_it_cannot_hold() -> None:
    with pytest.raises(CheckError, match="no charge to hold"):
        experiment.run(HADAMARD, SimpleNamespace())
    unlike = experiment.Plan(coordinate_width=1e-4)
    with pytest.raises(CheckError, match="steps to hold: choose other sizes"):
        experiment.run(HADAMARD, SimpleNamespace(**RIGHT), None, unlike)
