"""The check of mirror flow where its scale moves (SGD, weight decay) and where coordinates are read out linearly."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from check_problems import HADAMARD, prediction, wide_regression

import numeric
from numeric.errors import CheckError
from numeric.experiments import Experiment, label_noise, mirror, weight_decay

PLAN = mirror.Plan(slopes=(), sgd_lrs=(0.02, 0.01, 0.005), sgd_time=25.0, replicas=8, decay_time=10.0, decay=0.08)
RIGHT: dict[str, Any] = {
    "mirror_inverse": lambda tau, alpha: alpha**2 * torch.sinh(2 * tau) / 2,
    "mirror_slope": lambda tau, alpha: alpha**2 * torch.cosh(2 * tau),
    "mirror_start": lambda alpha: {"u": alpha, "v": torch.zeros_like(alpha)},
    "mirror_scale": lambda point: (point["u"] ** 2 - point["v"] ** 2).abs().sqrt(),
    "mirror_shrinkage": lambda g, eta: (1 - eta**2 * g**2).abs(),
    "mirror_decayed_scale": lambda alpha, decay, t: alpha * torch.exp(torch.as_tensor(-decay * t)),
}
START = 1.0
WRONG = {
    "the scale of the start": {"mirror_scale": lambda point: torch.full_like(point["u"], START)},
    "half the shrinkage": {"mirror_scale": lambda point: (RIGHT["mirror_scale"](point) * START).sqrt()},
    "twice the shrinkage": {"mirror_scale": lambda point: RIGHT["mirror_scale"](point) ** 2 / START},
    "no decay": {"mirror_decayed_scale": lambda alpha, decay, t: alpha},
    "twice the decay": {
        "mirror_decayed_scale": lambda alpha, decay, t: alpha * torch.exp(torch.tensor(-2 * decay * t))
    },
    "the opposite sign": {"mirror_decayed_scale": lambda alpha, decay, t: alpha * torch.exp(torch.tensor(decay * t))},
}


@pytest.fixture(scope="module")
def done() -> Experiment:
    return mirror.run(HADAMARD, SimpleNamespace(**RIGHT), wide_regression(), PLAN, seed=3)


def test_sgd_and_decay_end_at_the_scales_that_are_stated(done: Experiment) -> None:
    verdict = numeric.check(prediction("mirror", **RIGHT), done.runs, done.data)
    assert verdict.verdict == "confirmed"
    assert {part["verdict"] for part in verdict.details["parts"].values()} == {"confirmed"}
    for kind in ("sgd", "decay"):
        last, first = verdict.details[kind]["deviation"].values()
        assert last[-1] < 0.2 * first[-1]


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_another_scale_is_refuted(done: Experiment, wrong: dict[str, object]) -> None:
    verdict = numeric.check(prediction("mirror", **{**RIGHT, **wrong}), done.runs, done.data)
    assert verdict.verdict == "refuted"


def test_a_scale_that_does_not_move_cannot_beat_that_of_the_start(done: Experiment) -> None:
    for name, kind in (("the scale of the start", "sgd"), ("no decay", "decay")):
        verdict = numeric.check(prediction("mirror", **{**RIGHT, **WRONG[name]}), done.runs, done.data)
        assert verdict.details["parts"][f"{kind}, against the first scale"]["verdict"] == "refuted"


def test_sgd_that_has_not_reached_the_fit_decides_nothing() -> None:
    short = replace(PLAN, sgd_time=1.0, lrs=())
    found = mirror.run(HADAMARD, SimpleNamespace(**RIGHT), wide_regression(), short, seed=3)
    verdict = numeric.check(prediction("mirror", **RIGHT), found.runs, found.data)
    assert verdict.verdict == "inconclusive" and "has not reached Xw = y" in verdict.details["reason"]


def test_minibatches_with_decay_are_no_law_of_the_prediction() -> None:
    data = wide_regression()
    run = numeric.train(
        HADAMARD,
        numeric.losses.linear_regression,
        data,
        optimizer=numeric.SGD(lr=0.01, batch_size=1, weight_decay=0.1),
        steps=5,
        initial={"u": torch.ones(6), "v": torch.zeros(6)},
    )
    with pytest.raises(CheckError, match="weight_decay = 0"):
        numeric.check(prediction("mirror", **RIGHT), run, data)


READ_OUT = SimpleNamespace(
    NAME="read_out",
    PARAMETERS={"u": ("d",), "v": ("d",)},
    INPUTS={},
    CONSTANTS={"M": ("n", "d")},
    DECLARATION_HASH="5" * 16,
    predictor=lambda point, M: point["u"] * point["v"] @ M.mT,
)
LINEAR = {
    mechanism: {
        f"{mechanism}_coordinates": lambda point: point["u"] * point["v"],
        f"{mechanism}_readout": lambda point, M: point["coordinates"] @ M.mT,
    }
    for mechanism in ("mirror", "label_noise", "weight_decay")
}
COORDINATES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "mirror": (
        mirror,
        mirror.Plan(slopes=(1.0,), lrs=(0.04, 0.02, 0.01), time=25.0),
        {key: RIGHT[key] for key in ("mirror_inverse", "mirror_slope", "mirror_start")},
    ),
    "label_noise": (
        label_noise,
        label_noise.Plan(steps=6_000, replicas=6, records=12, descent_steps=2_000),
        {
            "label_noise": lambda w: 2 * w.abs(),
            "label_noise_kernel": lambda point: point["u"] ** 2 + point["v"] ** 2,
        },
    ),
    "weight_decay": (
        weight_decay,
        weight_decay.Plan(steps=4_000),
        {
            "weight_decay": lambda w: 2 * w.abs(),
            "weight_decay_slope": lambda w: 2 * w.sign(),
            "weight_decay_norm": lambda point: point["u"] ** 2 + point["v"] ** 2,
        },
    ),
}


@pytest.mark.parametrize("mechanism", COORDINATES)
def test_the_coordinates_below_a_readout_are_judged(mechanism: str) -> None:
    """The honest prediction is confirmed; one that reads the same runs with the transposed map is not."""
    experiment, plan, formulas = COORDINATES[mechanism]
    honest = {**formulas, **LINEAR[mechanism]}
    done = experiment.run(READ_OUT, SimpleNamespace(**honest), wide_regression(), plan, seed=4)
    data = {**done.data, **done.constants}
    assert numeric.check(prediction(mechanism, "read_out", **honest), done.runs, data).verdict == "confirmed"
    turned = {**honest, f"{mechanism}_readout": lambda point, M: point["coordinates"] @ M}
    assert numeric.check(prediction(mechanism, "read_out", **turned), done.runs, data).verdict != "confirmed"
    with pytest.raises(CheckError, match="needs data\\['M'\\]"):
        numeric.check(prediction(mechanism, "read_out", **honest), done.runs, done.data)
    moved = {**data, "M": 2 * data["M"]}
    with pytest.raises(CheckError, match="not what the runs were trained on"):
        numeric.check(prediction(mechanism, "read_out", **honest), done.runs, moved)
