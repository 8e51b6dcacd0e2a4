"""The check of weight decay on orbits, and its end points against solvers that know nothing of the parametrization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from check_problems import prediction
from scipy.optimize import minimize

import numeric
import symtheory as st
from numeric.errors import CheckError
from numeric.experiments import Experiment
from numeric.experiments import weight_decay_of_group as experiment
from numeric.reporting.mechanism_figures import mechanism_figures
from symtheory import catalog

PLAN = experiment.Plan(lr=0.05, weight_decay=0.3, steps=4_000, replicas=2)
NAMES = ("weight_decay", "weight_decay_norm", "weight_decay_balance", "weight_decay_balanced")


@cache
def lora() -> st.Parametrization:
    return catalog.load("lora").bind(d=4, k=3, r=3)


@cache
def functions() -> ModuleType:
    return lora().predictions()["weight_decay"].load()


@pytest.fixture(scope="module")
def done() -> Experiment:
    return experiment.run(st.generate(lora()).load(), functions(), PLAN, seed=3)


def judged(done: Experiment, runs: Any = None, **wrong: Callable[..., Any]) -> numeric.comparison.Verdict:
    own = {name: getattr(functions(), name) for name in NAMES}
    return numeric.check(prediction("weight_decay", "lora", **{**own, **wrong}), runs or done.runs, done.data)


def frobenius(point: dict[str, torch.Tensor]) -> torch.Tensor:
    return 2 * torch.linalg.matrix_norm(point["B"] @ point["A"])


WRONG: dict[str, dict[str, Callable[..., Any]]] = {
    "twice the penalty": {"weight_decay": lambda point: 2 * functions().weight_decay(point)},
    "Frobenius norm": {"weight_decay": frobenius},
    "no minimum at all": {"weight_decay": lambda point: functions().weight_decay_norm(point)},
    "balance of the noise": {"weight_decay_balance": lambda p: {"GL": 4 * p["B"].mT @ p["B"] - 3 * p["A"] @ p["A"].mT}},
    "the opposite sign": {"weight_decay_balance": lambda p: {"GL": p["B"].mT @ p["B"] + p["A"] @ p["A"].mT}},
    "a point of another orbit": {
        "weight_decay_balanced": lambda p: {
            name: 1.001 * leaf for name, leaf in functions().weight_decay_balanced(p).items()
        }
    },
}


def test_the_orbit_minimum_is_confirmed(done: Experiment) -> None:
    verdict = judged(done)
    assert verdict.verdict == "confirmed", verdict
    assert set(verdict.details["parts"]) == {"balance", "norm", "fibre"}
    assert float(verdict.details["start_charges"].min()) > 0.05 > 1e-9 > float(verdict.details["charges"].max())


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_another_minimum_is_refuted(done: Experiment, wrong: dict[str, Callable[..., Any]]) -> None:
    assert judged(done, **wrong).verdict == "refuted"


def test_the_end_point_solves_the_convex_problem_with_the_nuclear_norm(done: Experiment) -> None:
    """min ½ mean ‖(W0 + W) x − y‖² + λ ‖W‖_* by proximal gradient steps: singular values shrunk by λ a step."""
    data = {name: leaf.numpy() for name, leaf in done.data.items()}
    x, y = data["x"], data["y"] - data["x"] @ done.constants["W0"].numpy().T
    step = 1 / np.linalg.eigvalsh(x.T @ x / len(x)).max()
    W = np.zeros((3, 4))
    for _ in range(4_000):
        left, values, right = np.linalg.svd(W - step * (W @ x.T - y.T) @ x / len(x), full_matrices=False)
        W = left * np.maximum(values - step * PLAN.weight_decay, 0) @ right
    (run,) = done.runs
    for B, A in zip(run.final["B"].numpy(), run.final["A"].numpy(), strict=True):
        np.testing.assert_allclose(B @ A, W, atol=1e-7)
    assert 0 < np.linalg.matrix_rank(W, tol=1e-6) < 3  # decay has removed a singular value, not all


def test_the_end_point_solves_the_group_lasso() -> None:
    """min ½ mean ‖w − y‖² + λ Σ_g ‖w_g‖ by BFGS, for w = a_g V_g."""
    a, V = st.param("a", 3), st.param("V", 3, 2)
    P = st.Parametrization(a.reshape(3, 1) * V, name="groups")
    own = P.predictions()["weight_decay"]
    done = experiment.run(st.generate(P).load(), own.load(), PLAN, seed=4)
    assert numeric.check(own, done.runs, done.data).verdict == "confirmed"
    y = done.data["y"].numpy()

    def penalized(flat: np.ndarray) -> float:
        w = flat.reshape(3, 2)
        return float(0.5 * ((w - y) ** 2).sum((-1, -2)).mean() + PLAN.weight_decay * np.linalg.norm(w, axis=1).sum())

    (run,) = done.runs
    w = run.module.predictor(run.final)[0].numpy()
    living = np.linalg.norm(w, axis=1) > 1e-6
    assert living.any()
    found = minimize(penalized, y.mean(0).ravel(), method="Powell", options={"xtol": 1e-10, "ftol": 1e-14})
    np.testing.assert_allclose(penalized(w.ravel()), found.fun, rtol=1e-6)
    np.testing.assert_allclose(w, found.x.reshape(3, 2), atol=1e-3)


def test_a_relu_net_is_confirmed_by_its_path_norm() -> None:
    P = catalog.load("shallow_relu").bind(d=2, h=3, k=1)
    own = P.predictions()["weight_decay"]
    done = experiment.run(st.generate(P).load(), own.load(), replace(PLAN, lr=0.02, weight_decay=0.1), seed=3)
    assert numeric.check(own, done.runs, done.data).verdict == "confirmed"


def test_a_balance_without_closed_minimum_is_confirmed() -> None:
    P = catalog.load("deep_relu").bind(d=2, h1=3, h2=2, k=1)
    own = P.predictions()["weight_decay"]
    done = experiment.run(st.generate(P).load(), own.load(), replace(PLAN, lr=0.02, weight_decay=0.1), seed=2)
    verdict = numeric.check(own, done.runs, done.data)
    assert verdict.verdict == "confirmed" and set(verdict.details["parts"]) == {"balance"}


def test_the_figure_shows_norms_against_the_smallest(done: Experiment, tmp_path: Path) -> None:
    shown = mechanism_figures(judged(done), done, functions(), tmp_path)
    (figure,) = shown.figures
    assert figure.exists() and "smallest on its orbit" in shown.caption


def test_training_that_has_not_settled_decides_nothing(done: Experiment) -> None:
    (run,) = done.runs
    verdict = judged(done, replace(run, final={name: 2.0 * leaf for name, leaf in run.final.items()}))
    assert verdict.verdict == "inconclusive" and "not settled" in verdict.details["reason"]


def test_charges_of_the_start_that_are_left_decide_nothing() -> None:
    """Where steps are small, decay alone has not had the time: no law would be broken by charges of this size."""
    short = replace(PLAN, lr=0.01, steps=600)
    verdict = judged(experiment.run(st.generate(lora()).load(), functions(), short, seed=3))
    assert verdict.verdict == "inconclusive" and "charges of the start" in verdict.details["reason"]
    assert float(verdict.details["charges"].max()) > 1e-3  # which would refute


def test_a_start_that_is_smallest_already_decides_nothing(done: Experiment) -> None:
    (run,) = done.runs
    verdict = judged(done, replace(run, initial=functions().weight_decay_balanced(run.initial)))
    assert verdict.verdict == "inconclusive" and "smallest on its orbit already" in verdict.details["reason"]


def test_a_decay_that_takes_all_to_zero_decides_nothing() -> None:
    strong = replace(PLAN, weight_decay=20.0, lr=0.02)
    done = experiment.run(st.generate(lora()).load(), functions(), strong, seed=3)
    verdict = judged(done)
    assert verdict.verdict == "inconclusive" and "to zero" in verdict.details["reason"]


def test_a_step_that_diverges_is_made_smaller() -> None:
    wild = replace(PLAN, lr=2.0, steps=200, cuts=3, cut=6)
    (run,) = experiment.run(st.generate(lora()).load(), functions(), wild, seed=3).runs
    assert run.config["optimizer"]["lr"] < 2.0 and run.config["steps"] > 200


def test_several_runs_are_an_error(done: Experiment) -> None:
    with pytest.raises(CheckError, match="takes one Runs"):
        judged(done, [*done.runs, *done.runs])


def test_an_end_that_oscillates_decides_nothing_and_a_smaller_step_is_taken() -> None:
    """V (Wx)³ at a step at which two points alternate: the charges are those that the oscillation holds."""
    cubic = catalog.load("monomial").bind(d=3, h=4, k=5)
    law, module = cubic.predictions()["weight_decay"], st.generate(cubic).load()
    plan = experiment.Plan(lr=0.005, weight_decay=0.2, steps=8_000, replicas=2, cuts=0)
    verdicts = []
    for cuts in (0, 1):
        found = experiment.run(module, law.load(), replace(plan, cuts=cuts), seed=1)
        verdicts.append(numeric.check(law, found.runs, found.data))
    assert verdicts[0].verdict == "inconclusive" and "oscillation" in verdicts[0].details["reason"]
    held, charges = verdicts[0].details["held"], verdicts[0].details["charges"]
    assert torch.all((held / charges > 0.5) & (held / charges < 2))
    assert verdicts[1].verdict == "confirmed"


def test_the_point_before_the_last_step_is_needed(done: Experiment) -> None:
    (run,) = done.runs
    early = replace(run, steps=run.steps[:-1], observables={n: v[:-1] for n, v in run.observables.items()})
    with pytest.raises(CheckError, match="steps − 1"):
        judged(done, [early])
