"""Closed-form gradients against automatic ones, step by step, and the derivatives of the losses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import numeric
import symtheory as st
from symtheory import catalog

# The same products and sums of a few dozen float64 numbers in another order, over at most 60 stable steps.
ROUNDING = 1e-11


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def without_pullback(module: Any) -> SimpleNamespace:
    names = ("NAME", "PARAMETERS", "INPUTS", "CONSTANTS", "predictor")
    return SimpleNamespace(**{name: getattr(module, name) for name in names})


NETWORK = st.generate(catalog.load("shallow_relu").bind(d=3, h=5, k=2)).load()
PRODUCT = st.generate(catalog.load("hadamard").bind(d=4)).load()
HEAD = st.generate(catalog.load("attention").bind(n=3, d=4, h=2)).load()
CASES = {
    "network": (NETWORK, numeric.losses.squared_error, {"x": normal(9, 3), "y": normal(9, 2, seed=1)}),
    "product": (PRODUCT, numeric.losses.linear_regression, {"x": normal(9, 4), "y": normal(9, seed=1)}),
    "target": (PRODUCT, numeric.losses.coefficient_error, {"y": normal(9, 4)}),
    "head": (HEAD, numeric.losses.squared_error, {"X": normal(9, 3, 4), "y": normal(9, 3, 4, seed=1)}),
}
OPTIMIZERS = [
    numeric.GradientDescent(lr=0.05, momentum=0.5, weight_decay=0.1),
    numeric.SGD(lr=lambda step: 0.05 / (1 + step), batch_size=3, label_noise=0.3, weight_decay=0.1),
    numeric.Langevin(lr=0.02, temperature=0.1),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("case", CASES)
def test_training_follows_autograd_at_every_step(case: str, optimizer: numeric.Optimizer) -> None:
    module, loss, data = CASES[case]

    def points(module: Any, loss: Any) -> dict[str, Tensor]:
        watched = {
            "point": lambda step: step.point,
            "gradient": lambda step: step.gradient,
            "next": lambda step: step.next_point,
            "loss": numeric.observables.loss,
        }
        return numeric.train(
            module, loss, data, optimizer=optimizer, steps=60, replicas=3, observables=watched, record_every=1
        ).observables

    expected = points(without_pullback(module), loss)
    plain = lambda prediction, batch: loss(prediction, batch)  # noqa: E731 (a loss whose derivative is not known)
    for found in (points(module, loss), points(module, plain)):
        assert set(found) == set(expected)
        for name, values in expected.items():
            torch.testing.assert_close(found[name], values, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize(
    ("loss", "prediction", "batch"),
    [
        (numeric.losses.linear_regression, normal(3, 4), {"x": normal(3, 5, 4), "y": normal(3, 5)}),
        (numeric.losses.linear_regression, normal(3, 4), {"x": normal(1, 5, 4), "y": normal(3, 5)}),
        (numeric.losses.linear_regression, normal(3, 4), {"x": normal(1, 5, 4).expand(3, 5, 4), "y": normal(1, 5)}),
        (numeric.losses.coefficient_error, normal(3, 4), {"y": normal(3, 5, 4)}),
        (numeric.losses.coefficient_error, normal(3), {"y": normal(1, 5)}),
        (numeric.losses.coefficient_error, normal(3, 4, 2), {"y": normal(1, 5, 4, 2)}),
        (numeric.losses.squared_error, normal(3, 5), {"y": normal(3, 5)}),
        (numeric.losses.squared_error, normal(3, 5, 2, 4), {"y": normal(1, 5, 2, 4)}),
    ],
)
def test_derivatives_of_losses(loss: Any, prediction: Tensor, batch: dict[str, Tensor]) -> None:
    leaf = prediction.clone().requires_grad_()
    losses = loss(leaf, batch)
    (expected,) = torch.autograd.grad(losses.mean(-1).sum(), leaf)
    found, derivative = loss.value_and_derivative(prediction, batch)
    torch.testing.assert_close(found, losses.detach(), rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(derivative, expected, rtol=ROUNDING, atol=ROUNDING)
