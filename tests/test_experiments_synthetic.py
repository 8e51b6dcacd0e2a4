"""Synthetic data are what a teacher says, with noise, and starts are scaled by what a layer may sum over."""

from __future__ import annotations

import math
from types import SimpleNamespace

import array_cases
import pytest
import torch
from check_problems import DEPTH_THREE, HADAMARD

import numeric
import symtheory as st
from numeric.errors import CheckError, SizeError
from numeric.experiments.start import acts_on_coefficients
from numeric.experiments.synthetic import scaled_start, synthetic
from numeric.training.model import as_model
from symtheory import catalog

SETTINGS = {"samples": 2_000, "noise": 0.5, "deviation": 0.5, "seed": 3}


def test_a_network_gets_inputs_and_noisy_targets() -> None:
    model = as_model(array_cases.module("lora"))
    problem, clean = synthetic(model, **SETTINGS), synthetic(model, **{**SETTINGS, "noise": 0.0})
    assert {name: tuple(leaf.shape) for name, leaf in problem.data.items()} == {"x": (2_000, 3), "y": (2_000, 4)}
    assert tuple(problem.constants["W0"].shape) == (4, 3)
    assert torch.equal(problem.data["x"], clean.data["x"])
    # 6,000 and 8,000 normal numbers: standard errors of 0.013 and 0.0056, of a deviation 0.009 and 0.004.
    assert abs(float(problem.data["x"].mean())) < 0.06 and abs(float(problem.data["x"].std()) - 1) < 0.05
    noise = problem.data["y"] - clean.data["y"]
    assert abs(float(noise.mean())) < 0.03 and abs(float(noise.std()) - 0.5) < 0.02
    # Without noise the targets are linear in the inputs, as the teacher is.
    x, y = clean.data["x"], clean.data["y"]
    assert float((x @ torch.linalg.lstsq(x, y).solution - y).abs().max()) < 1e-13
    assert problem.loss is numeric.losses.squared_error


def test_samples_without_inputs_differ_by_their_noise() -> None:
    problem = synthetic(as_model(array_cases.module("low_rank")), **SETTINGS)
    y = problem.data["y"]
    assert tuple(y.shape) == (2_000, 4, 3) and set(problem.data) == {"y"}
    assert abs(float((y - y.mean(0)).std()) - 0.5) < 0.02
    assert float(y.mean(0).abs().max()) > 0.05
    assert problem.loss is numeric.losses.coefficient_error


def test_a_seed_gives_the_same_problem_and_another_seed_another() -> None:
    model = as_model(array_cases.module("deep_relu"))
    one, same, other = (synthetic(model, **{**SETTINGS, "seed": seed}).data["y"] for seed in (3, 3, 4))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_starts_are_scaled_by_the_longest_sum() -> None:
    shapes = {"matrix": (40, 90), "tensor": (7, 30, 5), "vector": (900,), "number": ()}
    model = as_model(SimpleNamespace(PARAMETERS=shapes, INPUTS={}, predictor=None))
    leaves = scaled_start(model, 2.0)(torch.Generator().manual_seed(0))
    assert {name: tuple(leaf.shape) for name, leaf in leaves.items()} == shapes
    for name, terms in (("matrix", 90), ("tensor", 210), ("vector", 900)):
        assert float(leaves[name].std()) * math.sqrt(terms) == pytest.approx(2.0, rel=0.1)


def test_what_cannot_be_drawn_is_said_in_one_line() -> None:
    free = as_model(st.generate(catalog.load("shallow_relu")))
    with pytest.raises(SizeError, match=r"input 'x' of shallow_relu has the unbound size 'd': bind it with P\.bind\(d"):
        synthetic(free, **SETTINGS)
    with pytest.raises(SizeError, match=r"parameter 'V' of shallow_relu has the unbound size 'k'"):
        scaled_start(free, 1.0)(torch.Generator())
    y = st.input("y", 3)
    named = st.Parametrization(st.param("V", 2, 4) @ st.relu(st.param("W", 4, 3) @ y), name="named")
    with pytest.raises(CheckError, match="named has an input 'y', which is what losses call the target: rename it"):
        synthetic(as_model(st.generate(named)), **SETTINGS)
    alone = catalog.load("layer_norm").bind(d=2, h=1, k=1)  # one entry, divided by its deviation, which is zero
    with pytest.raises(CheckError, match="layer_norm is not finite"):
        synthetic(as_model(st.generate(alone)), **SETTINGS)


def test_coefficients_are_told_from_what_mixes_them() -> None:
    d = st.dims("d")
    u, v = st.param("u", d), st.param("v", d)
    mixed = {
        "sums": st.cumsum(u * v),
        "outer product": u.reshape(d, 1) * v.reshape(1, d),
        "scaled": st.constant("c", d) * u * v,
        "network": u * v * st.input("x", d),
        "softmax": st.softmax(u) * v,
    }
    assert acts_on_coefficients(as_model(HADAMARD)) and acts_on_coefficients(as_model(DEPTH_THREE))
    assert acts_on_coefficients(as_model(st.generate(catalog.load("squared_difference").bind(d=5))))
    for node in mixed.values():
        assert not acts_on_coefficients(as_model(st.generate(st.Parametrization(node, name="mixed"))))
    assert not acts_on_coefficients(as_model(array_cases.module("low_rank")))
