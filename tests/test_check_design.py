"""Training of designs against explicit solutions for the target, and for targets that they were not made for."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch
from check_problems import wide_regression
from scipy.optimize import minimize
from test_cli_training import run as command

import symtheory as st
from numeric.comparison.design.constrained import smallest_divergence, smallest_penalty
from numeric.comparison.design.judge import judge_label_noise, judge_mirror, judge_norms, judge_weight_decay
from numeric.comparison.design.penalised import penalised
from numeric.comparison.design.proximal import proximal_gradient, shrink_singular_values
from numeric.comparison.design.wanted import Wanted
from numeric.datasets import orthonormal_rows
from numeric.experiments import label_noise
from numeric.experiments.decide import Decision
from numeric.experiments.design import Design, Plan, decide_design
from numeric.row_space import row_space
from symtheory.cli.design import target_functions
from symtheory.inverse_design import coordinates
from symtheory.inverse_design.profile import THETA, Profile
from symtheory.inverse_design.target import Target

SOLVER = 1e-5
"""SLSQP and trust-region solvers of scipy stop on changes of the value near 1e-14, that is near 1e-7 in w."""

PLAN = Plan(steps=12_000, replicas=2, units=(0.1, 0.05, 0.025))
STRONG = replace(PLAN, penalty=0.4, lr=0.6, steps=12_000)
"""Leaves no coefficient of |w| near the edge of dying, where training takes long."""


def wanted(target: str, designed: st.DesignedParametrization) -> Wanted:
    """A target as the check sees it, with the signs of a design."""
    made = designed.design
    functions = target_functions(designed.core, Target.of(target), made.mechanism, made.of).load()
    return Wanted(functions, "simplex" if made.of == "simplex" else made.signs)


def decided(target: str, mechanism: str, of: str = "coordinates") -> tuple[st.DesignedParametrization, Decision]:
    designed = st.design(target, mechanism, of=of)
    core, data = designed.core, wide_regression()
    if of in ("groups", "singular_values"):
        core = core.bind(**{str(size): 8 for size in core.free_sizes})
        data = wide_regression(20, 64)
    functions = target_functions(core, designed.design.target, mechanism, of).load()
    settings = Design(mechanism, of, designed.design.signs, functions)
    return designed, decide_design(
        settings,
        st.generate(core).load(),
        data,
        plan=STRONG if target == "abs(w)" and of == "coordinates" else PLAN,
        seed=3,
    )


decided = cache(decided)

HONEST = [
    ("abs(w)", "weight_decay", "coordinates"),
    ("sqrt(abs(w))", "weight_decay", "coordinates"),
    ("abs(w)", "weight_decay", "groups"),
    ("abs(w)", "weight_decay", "singular_values"),
    ("abs(w)*log(abs(w))", "mirror", "coordinates"),
    ("w*log(w)", "mirror", "coordinates"),
    ("w*log(w)", "mirror", "simplex"),
    ("w**2", "mirror", "coordinates"),
]


@pytest.mark.parametrize(("target", "mechanism", "of"), HONEST)
def test_training_ends_at_the_explicit_solution(target: str, mechanism: str, of: str) -> None:
    _, decision = decided(target, mechanism, of)
    assert decision.verdict.verdict == "confirmed", decision.verdict


WRONG = [
    ("abs(w)", "weight_decay", "coordinates", "2*abs(w)"),
    ("abs(w)", "weight_decay", "coordinates", "abs(w)**1.5"),
    ("sqrt(abs(w))", "weight_decay", "coordinates", "2*sqrt(abs(w))"),
    ("abs(w)", "weight_decay", "groups", "2*abs(w)"),
    ("abs(w)", "weight_decay", "singular_values", "2*abs(w)"),
    ("abs(w)*log(abs(w))", "mirror", "coordinates", "abs(w)**1.5"),
    ("w*log(w)", "mirror", "coordinates", "-log(w)"),
    ("w*log(w)", "mirror", "simplex", "-log(w)"),
    ("w**2", "mirror", "coordinates", "w**2 + w**4"),
]


@pytest.mark.parametrize(("target", "mechanism", "of", "other"), WRONG)
def test_another_target_is_refuted(target: str, mechanism: str, of: str, other: str) -> None:
    designed, decision = decided(target, mechanism, of)
    assert decision.experiment is not None
    runs, data = decision.experiment.runs, decision.experiment.data
    asked = wanted(other, designed)
    if mechanism == "mirror":
        start = 1 / 6 if of == "simplex" else float(sp.sympify(designed.design.function).subs(THETA, 1))
        verdict = judge_mirror(asked, runs, data, 0.0 if designed.design.signs == "odd" else start)
    elif of == "coordinates":
        verdict = judge_weight_decay(asked, asked.functions, runs[0], data)
    else:
        verdict = judge_norms(asked, of, runs[0], data)
    assert verdict.verdict == "refuted"


def test_label_noise_goes_to_the_minimum_of_its_target_and_of_no_other() -> None:
    designed, plan = st.design("abs(w)", "label_noise"), label_noise.Plan(steps=6_000, replicas=6, records=12)
    right = wanted("abs(w)", designed)
    done = label_noise.run(st.generate(designed).load(), right.functions, wide_regression(), plan, seed=5)
    verdict = judge_label_noise(right, right.functions, done.runs[0], done.data)
    assert verdict.verdict == "confirmed" and verdict.details["explicit"] == "the minimum"
    wrong = wanted("w**2", designed)
    assert judge_label_noise(wrong, wrong.functions, done.runs[0], done.data).verdict == "refuted"


def hand(penalty: str, signs: str = "difference") -> Wanted:
    return wanted(penalty, replace_signs(st.design("abs(w)*log(abs(w))", "mirror"), signs))


def replace_signs(designed: st.DesignedParametrization, signs: str) -> st.DesignedParametrization:
    return st.DesignedParametrization.of(replace(designed.design, signs=signs), "by_hand")


@pytest.mark.parametrize("penalty", ["abs(w) + w**2", "abs(w)**1.5"])
def test_explicit_solutions_are_those_of_a_general_solver(penalty: str) -> None:
    data = wide_regression()
    x, y = data["x"].numpy(), data["y"].numpy()
    asked, value = hand(penalty), sp.lambdify("w", sp.sympify(penalty), "numpy")

    def split(p: np.ndarray) -> float:
        return float(value(np.maximum(p, 0)).sum())

    constraint = {"type": "eq", "fun": lambda p: x @ (p[:6] - p[6:]) - y}
    best = min(
        (
            minimize(split, np.abs(start), bounds=[(0, None)] * 12, constraints=constraint, options={"ftol": 1e-14})
            for start in np.random.default_rng(0).normal(size=(4, 12))
        ),
        key=lambda found: found.fun,
    )
    rows, target = row_space(data["x"], data["y"])
    w, misfit, _ = smallest_penalty(asked, rows, target, torch.ones(6, dtype=torch.float64), torch.zeros(6))
    assert misfit < 1e-8 and float(asked.penalty(w.abs().clamp_min(1e-30)).sum()) <= best.fun + 1e-7
    assert np.allclose(w.numpy(), best.x[:6] - best.x[6:], atol=1e-3)
    solution, violation = penalised(asked, data["x"], data["y"], 0.2)

    def objective(w: np.ndarray) -> float:
        return float(((x @ w - y) ** 2).mean() / 2 + 0.1 * value(np.abs(w)).sum())

    assert violation < 1e-9
    for step in np.random.default_rng(1).normal(size=(200, 6)) * 1e-3:
        assert objective(solution.numpy() + step) > objective(solution.numpy())


def test_divergence_of_the_entropy_is_solved_in_closed_form_for_one_equation() -> None:
    """Σ w log w − w less its tangent at ½, subject to Σ w = 3: all w alike."""
    rows, target = row_space(torch.ones(1, 4, dtype=torch.float64), torch.tensor([3.0], dtype=torch.float64))
    w, left = smallest_divergence(hand("w*log(w)", "positive"), rows, target, 0.5)
    assert left < 1e-9 and torch.allclose(w, torch.full((4,), 0.75, dtype=torch.float64))


def test_proximal_gradient_shrinks_singular_values_of_a_full_observation() -> None:
    matrix = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    eye = torch.eye(16, dtype=torch.float64)
    w, _ = proximal_gradient(shrink_singular_values, 4 * eye, 4 * matrix.flatten(), 0.5, (4, 4))
    assert torch.allclose(w, shrink_singular_values(matrix, 0.5), atol=1e-10)


def test_data_of_positive_targets_can_be_fitted() -> None:
    _, decision = decided("w*log(w)", "mirror")
    assert decision.experiment is not None
    data = decision.experiment.data
    assert torch.allclose(orthonormal_rows(data["x"], data["y"])["y"].norm(), data["y"].norm())


def test_command_prints_code_that_check_accepts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    arguments = ("sqrt(abs(w))", "--mechanism", "label_noise", "--name", "rooted", "-o", str(file))
    status, out, err = command(capsys, monkeypatch, "design", *arguments)
    assert status == 0 and err == "" and f"Written to {file}, as rooted" in out
    for words in ("Domain: every real w", "label noise minimises", "symbolically"):
        assert words in out
    status, out, _ = command(capsys, monkeypatch, "derive", f"{file}:rooted")
    assert status == 0 and "R(w) = sqrt(|w|)" in out
    status, out, _ = command(capsys, monkeypatch, "design", "abs(w)", "-m", "weight_decay", "--json")
    record = json.loads(out)
    assert status == 0 and record["phi"] == "theta**2" and "u ** 2 - v ** 2" in record["source"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("abs(w",), "no formula"),
        (("abs(v)",), "'v' is unknown"),
        (("abs(w)", "-m", "tides"), "no mechanism 'tides'"),
        (("-w**2",), "not positive"),
        (("abs(w)", "-m", "weight_decay", "-o", "/nowhere/mine.py"), "cannot write"),
        (("-log(w)", "-m", "orbit_volume", "--check"), "no training check"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    # A formula may start with a minus sign; what stands before -- are options.
    options, formula = list(arguments[1:]), arguments[0]
    status, out, err = command(capsys, monkeypatch, "design", *options, "--", formula)
    assert status == 2 and out == "" and err.count("\n") == 1 and words in err


def test_a_false_design_exits_with_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """θ⁴ for |w| under weight decay, let through by a forward road that looks away: training says no."""
    pytest.importorskip("sklearn")
    monkeypatch.setattr(coordinates, "closed_profile", lambda *_: Profile(THETA**4, "difference"))
    monkeypatch.setattr(coordinates, "confirm_coordinates", lambda *_: "not looked at")
    arguments = ("abs(w)", "-m", "weight_decay", "--check", "--json", "--device", "cpu")
    status, out, _ = command(capsys, monkeypatch, "design", *arguments)
    assert json.loads(out)["verdict"]["verdict"] == "refuted"
    assert status == 1
