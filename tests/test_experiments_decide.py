"""decide trains, checks and saves; what cannot be trained is inconclusive, with the reason."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from check_problems import HADAMARD, prediction, wide_regression
from safetensors.torch import load_file

import numeric
from numeric.errors import CheckError
from numeric.experiments import decide

DECAY = {
    "weight_decay": lambda w: 2 * w.abs(),
    "weight_decay_slope": lambda w: 2 * w.sign(),
    "weight_decay_norm": lambda point: point["u"] ** 2 + point["v"] ** 2,
}


def test_the_saved_runs_give_the_same_verdict(tmp_path: Path) -> None:
    right = prediction("weight_decay", **DECAY)
    decision = decide(right, HADAMARD, wide_regression(), folder=tmp_path, seed=2)
    assert decision.verdict.verdict == "confirmed"
    again = numeric.Runs.load(tmp_path / "run_1", HADAMARD)
    verdict = numeric.check(right, again, load_file(tmp_path / "data.safetensors"))
    assert verdict.to_json() == decision.verdict.to_json()


def test_a_diverging_run_is_inconclusive() -> None:
    steep = {key: 100 * leaf for key, leaf in wide_regression().items()}
    decision = decide(prediction("weight_decay", **DECAY), HADAMARD, steep)
    assert decision.experiment is None
    assert decision.verdict.verdict == "inconclusive"
    assert "diverged at step" in decision.verdict.details["reason"]


def test_a_model_without_a_start_is_inconclusive() -> None:
    square = SimpleNamespace(
        NAME="square", PARAMETERS={"u": ("d",)}, INPUTS={}, predictor=lambda point: point["u"] ** 2
    )
    noise = prediction("label_noise", "square", label_noise=lambda w: 4 * w)
    verdict = decide(noise, square, wide_regression()).verdict
    assert verdict.verdict == "inconclusive"
    assert "no start" in verdict.details["reason"]


def test_data_that_cannot_be_fitted_are_inconclusive() -> None:
    tall = {"x": torch.ones(4, 1, dtype=torch.float64), "y": torch.arange(4.0, dtype=torch.float64)}
    verdict = decide(prediction("mirror"), HADAMARD, tall).verdict
    assert verdict.verdict == "inconclusive"
    assert "no w solves" in verdict.details["reason"]


def test_a_mechanism_without_an_experiment() -> None:
    with pytest.raises(CheckError, match="no experiment for 'tides'"):
        decide(prediction("tides"), HADAMARD, wide_regression())
