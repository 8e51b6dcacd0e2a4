"""The checks of the laws of a product of two matrices confirm them and refute laws made wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

import pytest
import torch
from check_problems import prediction
from matrix_products import product
from torch import Tensor

import numeric
import symtheory as st
from numeric.errors import CheckError
from numeric.experiments import Experiment, joint_matrix_moments, stationary_singular_values

ONE, JOINT = "stationary_density", "joint_stationary_density"
SIZES = {ONE: (6, 6, 2), JOINT: (3, 4, 2)}


@cache
def formulas(mechanism: str) -> ModuleType:
    return product("G @ H.T", *SIZES[mechanism]).predictions()[mechanism].load()


@cache
def done(mechanism: str) -> Experiment:
    module = st.generate(product("G @ H.T", *SIZES[mechanism])).load()
    if mechanism == ONE:
        plan = stationary_singular_values.Plan(lrs=(0.09, 0.055, 0.03), replicas=600)
        return stationary_singular_values.run(module, formulas(ONE), plan, seed=4, progress=False)
    plan = joint_matrix_moments.Plan(replicas=2_500)
    return joint_matrix_moments.run(module, formulas(JOINT), plan, seed=4, progress=False)


def judged(mechanism: str, runs: Any = None, **changed: Callable[..., Tensor]) -> numeric.Verdict:
    law = prediction(mechanism, "product", **{**vars(formulas(mechanism)), **changed})
    return numeric.check(law, done(mechanism).runs if runs is None else runs, done(mechanism).data)


@pytest.mark.parametrize("mechanism", SIZES)
def test_the_derived_law_is_confirmed(mechanism: str) -> None:
    verdict = judged(mechanism)
    assert verdict.verdict == "confirmed"
    wanted = {
        ONE: {"mean of the nuclear norm", "variance of the nuclear norm", "joint density", "shape"},
        JOINT: {
            "variance of diagonal entries",
            "variance of other entries within the rank",
            "variance of entries beside the rank",
            "shift of the mean",
            "excess of the nuclear norm",
            "correlation of W_ij and W_ji",
        },
    }
    assert set(verdict.details["parts"]) == wanted[mechanism]


def wrong_laws() -> dict[str, dict[str, Callable[..., Tensor]]]:
    """The joint law of two singular values at n = 6, p ∝ |s₁ − s₂| exp(−Σs/T), and that of its sum, made wrong."""
    joint, norm = formulas(ONE).stationary_density, formulas(ONE).stationary_density_norm

    def both(change: Callable[[Tensor], Tensor], degree: float) -> dict[str, Callable[..., Tensor]]:
        return {
            ONE: lambda s, *rest: joint(s, *rest) + change(s),
            f"{ONE}_norm": lambda x, *rest: norm(x, *rest) + degree * x.log(),
        }

    def gap(s: Tensor) -> Tensor:
        return (s[..., 0] - s[..., 1]).abs().log()

    return {
        "twice the temperature": {
            ONE: lambda s, eta, *rest: joint(s, 2 * eta, *rest),
            f"{ONE}_norm": lambda x, eta, *rest: norm(x, 2 * eta, *rest),
        },
        "without repulsion": both(lambda s: -gap(s), -1),
        "another repulsion, same nuclear norm": both(lambda s: s.log().sum(-1) / 2 - gap(s), 0),
        # The volume of matrices of rank 2 in s: Π s⁸ |s₁² − s₂²|.
        "measure of W in the place of that of s": both(lambda s: 8 * s.log().sum(-1) + gap(s**2), 18),
    }


@pytest.mark.parametrize("wrong", list(wrong_laws()))
def test_wrong_laws_of_singular_values_are_refuted(wrong: str) -> None:
    verdict = judged(ONE, **wrong_laws()[wrong])
    assert verdict.verdict == "refuted"
    assert wrong != "another repulsion, same nuclear norm" or verdict.details["decided_by"] == "joint density"


@pytest.mark.parametrize(
    "wrong", ["twice the shift", "half the variance", "balanced gauge", "no repulsion of singular values"]
)
def test_wrong_moments_around_a_target_are_refuted(wrong: str) -> None:
    module = formulas(JOINT)
    changed: dict[str, Callable[..., Tensor]] = {
        "twice the shift": {f"{JOINT}_mean": lambda y, *rest: 2 * module.joint_stationary_density_mean(y, *rest) - y},
        "half the variance": {
            f"{JOINT}_frame_variance": lambda *rest: module.joint_stationary_density_frame_variance(*rest) / 2
        },
        # At n = m the kernel is s_i + s_j, whatever the weights.
        "balanced gauge": {
            f"{JOINT}_frame_variance": lambda y, eta, sigma: _of_equal_weights(module, y, eta, sigma),
        },
        "no repulsion of singular values": {
            f"{JOINT}_singular_values": lambda y, eta, sigma: _without_pairs(module, y, eta, sigma),
        },
    }[wrong]
    verdict = judged(JOINT, **changed)
    assert verdict.verdict == "refuted"
    decided = {"twice the shift": "shift of the mean", "no repulsion of singular values": "excess of the nuclear norm"}
    assert verdict.details["decided_by"].startswith(decided.get(wrong, "variance of"))


def _of_equal_weights(module: ModuleType, y: Tensor, eta: float, sigma: float) -> Tensor:
    values = torch.linalg.svdvals(y) * torch.tensor([1.0, 1.0, 0.0])
    row, column = values[:, None], torch.nn.functional.pad(values, (0, 1))[None, :]
    return module.joint_stationary_density_variance(row, column, eta, sigma, 3, 3)


def _without_pairs(module: ModuleType, y: Tensor, eta: float, sigma: float) -> Tensor:
    values = torch.linalg.svdvals(y)
    return values + eta * sigma**2 * module.joint_stationary_density_value_shift(values, 3, 4, 2)


@pytest.mark.parametrize("mechanism", SIZES)
def test_two_step_sizes_decide_nothing(mechanism: str) -> None:
    assert judged(mechanism, done(mechanism).runs[:2]).verdict == "inconclusive"


@pytest.mark.parametrize("mechanism", SIZES)
def test_another_charge_decides_nothing(mechanism: str) -> None:
    run = done(mechanism).runs[0]
    final = {"G": 1.2 * run.final["G"], "H": run.final["H"] / 1.2}
    verdict = judged(mechanism, [replace(run, final=final), *done(mechanism).runs[1:]])
    assert verdict.verdict == "inconclusive"
    assert "charge is not settled" in verdict.details["reason"]


@pytest.mark.parametrize("mechanism", SIZES)
def test_snapshots_that_still_drift_decide_nothing(mechanism: str) -> None:
    run = done(mechanism).runs[0]
    w = run.observables["predictor"].clone()
    w[: len(w) // 2] *= 0.8
    verdict = judged(mechanism, [replace(run, observables={"predictor": w}), *done(mechanism).runs[1:]])
    assert verdict.verdict == "inconclusive"
    assert "still drifts" in verdict.details["reason"]


def test_a_target_that_the_law_is_not_about_is_an_error() -> None:
    law = prediction(ONE, "product", **vars(formulas(ONE)))
    with pytest.raises(CheckError, match="target zero"):
        numeric.check(law, done(JOINT).runs, done(JOINT).data)
    law = prediction(JOINT, "product", **vars(formulas(JOINT)))
    with pytest.raises(CheckError, match="target has rank 0"):
        numeric.check(law, done(ONE).runs, done(ONE).data)


def test_no_start_without_a_law() -> None:
    module = st.generate(product("G @ H.T", 4, 4, 2)).load()
    with pytest.raises(CheckError, match="no finite mass"):
        stationary_singular_values.run(module, formulas(ONE))
