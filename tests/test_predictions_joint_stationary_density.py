"""Joint stationary density: moments against real steps, zero flux by numbers, and the three cases told apart."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from prediction_cases import CASES, PHI, declared, gradient, predictions
from scipy.integrate import quad

NAME = "joint_stationary_density"
CLOSED = ["hadamard", "squared_difference", "negative_product"]
T = 0.3
"""ησ²."""

GRAM = np.array([[1.3, 0.4, -0.2], [0.4, 0.9, 0.3], [-0.2, 0.3, 1.1]])
TARGETS = np.array([1.1, 0.7, 1.6])


@cache
def functions(case: str) -> ModuleType:
    return predictions(case)[NAME].load()


def call(case: str, name: str, *arguments: object) -> np.ndarray:
    """A generated function at arrays."""
    tensors = [torch.as_tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]
    return np.asarray(getattr(functions(case), f"{NAME}_{name}" if name else NAME)(*tensors))


def balanced(case: str, w: np.ndarray) -> np.ndarray:
    """The balanced point over w, (k, d)."""
    point = functions(case).joint_stationary_density_gauge(torch.as_tensor(w))
    return np.stack([leaf.numpy() for leaf in point.values()])


def moments(case: str, theta: np.ndarray, x: np.ndarray, eta: float) -> tuple[np.ndarray, np.ndarray]:
    """E Δw/η and E ΔwΔwᵀ/η of one step on a row of x, all rows alike, label noise σ = √(T/η) by Gauss and Hermite."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    weights = weights / weights.sum() / len(x)
    w, slope = PHI[case](*theta), gradient(case, theta)
    first, second = np.zeros(3), np.zeros((3, 3))
    for row in x:
        for node, weight in zip(nodes, weights, strict=True):
            residual = row @ (w - TARGETS) - np.sqrt(T / eta) * node
            change = PHI[case](*(theta - eta * residual * row * slope)) - w
            first += weight * change / eta
            second += weight * np.outer(change, change) / eta
    return first, second


def limits(case: str, theta: np.ndarray, x: np.ndarray) -> NDArray[np.float64]:
    """[a | b], (3, 4), at η → 0 by Richardson extrapolation over halved steps."""
    table = [np.column_stack(moments(case, theta, x, 1e-3 / 2**level)) for level in range(5)]
    for order in range(1, 5):
        table = [(2**order * fine - coarse) / (2**order - 1) for coarse, fine in pairwise(table)]
    return np.asarray(table[0])


@pytest.mark.parametrize("case", CASES)
def test_drift_and_diffusion_are_the_moments_of_one_step(case: str) -> None:
    x = np.sqrt(3) * np.linalg.cholesky(GRAM).T
    w = np.array([0.8, 1.2, 1.5])
    expected = limits(case, balanced(case, w), x)
    derived = [
        call(case, "drift", w, TARGETS, GRAM, 0.1, np.sqrt(T / 0.1)),
        call(case, "diffusion", w, GRAM, 0.1, np.sqrt(T / 0.1)),
    ]
    np.testing.assert_allclose(np.column_stack(derived), expected, rtol=1e-6, atol=1e-7)


def slopes(case: str, w: torch.Tensor) -> torch.Tensor:
    """b⁻¹(2a − div b) with derivatives by automatic differentiation of the generated diffusion."""
    module, gram, target = functions(case), torch.as_tensor(GRAM), torch.as_tensor(TARGETS)
    settings = (gram, 0.1, float(np.sqrt(T / 0.1)))
    drift = module.joint_stationary_density_drift(w, target, *settings)
    jacobian = torch.func.jacrev(lambda v: module.joint_stationary_density_diffusion(v, *settings))(w)
    divergence = torch.einsum("jll->j", jacobian)
    return torch.linalg.solve(module.joint_stationary_density_diffusion(w, *settings), 2 * drift - divergence)


@pytest.mark.parametrize("case", CASES)
def test_the_case_is_that_of_the_curl(case: str) -> None:
    w = torch.tensor([0.8, 1.2, 1.5], dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda v: slopes(case, v))(w)
    curl = float((jacobian - jacobian.T).abs().max())
    assert (curl < 1e-10) == (case in CLOSED) == (NAME in predictions(case)[NAME].formulas)
    assert curl < 1e-10 or curl > 1e-2
    assert (predictions(case)[NAME].measure is None) == (case not in CLOSED)


@pytest.mark.parametrize("case", CLOSED)
def test_the_density_carries_no_flux(case: str) -> None:
    w = torch.tensor([0.8, 1.2, 1.5], dtype=torch.float64)
    log_density = functions(case).joint_stationary_density
    settings = (torch.as_tensor(TARGETS), torch.as_tensor(GRAM), 0.1, float(np.sqrt(T / 0.1)))
    slope = torch.func.grad(lambda v: log_density(v, *settings))(w)
    torch.testing.assert_close(slope, slopes(case, w), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", CLOSED)
def test_uncorrelated_features_drop_out(case: str) -> None:
    w, sigma = np.array([[0.4, 1.0, 2.0], [1.5, 0.6, 0.9]]), np.sqrt(T / 0.1)
    joint = call(case, "marginals", w, TARGETS, np.diag([0.5, 1.0, 3.0]), 0.1, sigma)
    single = declared(case).predictions()["stationary_density"].load().stationary_density
    alone = single(torch.as_tensor(w), torch.as_tensor(TARGETS), 0.1, sigma).numpy()
    np.testing.assert_allclose(joint[0] - joint[1], alone[0] - alone[1], rtol=1e-12)


def test_correlated_features_give_independent_gamma_laws() -> None:
    """w = uv: shape y/T − ρ/2, scale T, ρ = X⁻¹ diag(X); so for two features of correlation r, ρ = 1/(1 + r)."""
    leverages = call("hadamard", "leverages", np.array([[2.0, -0.8], [-0.8, 2.0]]))
    np.testing.assert_allclose(leverages, 1 / (1 - 0.4))
    sigma = np.sqrt(T / 0.1)
    leverages = call("hadamard", "leverages", GRAM)
    np.testing.assert_allclose(leverages, np.linalg.inv(GRAM) @ np.diag(GRAM))
    w = np.array([0.8, 1.2, 1.5])
    expected = (TARGETS / T - leverages / 2 - 1) * np.log(w) - w / T
    np.testing.assert_allclose(call("hadamard", "marginals", w, TARGETS, GRAM, 0.1, sigma), expected, rtol=1e-12)
    np.testing.assert_allclose(call("hadamard", "", w, TARGETS, GRAM, 0.1, sigma), expected.sum(), rtol=1e-12)


@pytest.mark.parametrize("case", CLOSED)
def test_mean_and_covariance_are_those_of_the_closed_density(case: str) -> None:
    eta, temperature = 1e-6, 0.01
    arguments = (TARGETS, GRAM, eta, np.sqrt(temperature / eta))
    mean, covariance = call(case, "mean", *arguments), call(case, "covariance", *arguments)
    for j in range(3):

        def density(w: float, power: int, j: int = j) -> float:
            points = np.where(np.arange(3) == j, w, TARGETS)
            peak = call(case, "marginals", TARGETS, *arguments)[j]
            return float((w - TARGETS[j]) ** power * np.exp(call(case, "marginals", points, *arguments)[j] - peak))

        total, first, second = (quad(density, 0.05, 3, args=(power,), points=[TARGETS[j]])[0] for power in range(3))
        assert first / total == pytest.approx(mean[j] - TARGETS[j], rel=1e-6)
        variance = second / total - (first / total) ** 2
        assert variance == pytest.approx(covariance[j, j], rel=0.03)  # the next order in T
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-7)


@pytest.mark.parametrize("case", ["hadamard", "depth_3"])
def test_covariance_is_that_of_the_parameters_at_a_finite_step(case: str) -> None:
    """J Σ Jᵀ with the covariance of θ at a finite step, H = JᵀXJ, C = σ²H, from the other mechanism's function."""
    eta, sigma = 0.05, 0.4
    theta = balanced(case, TARGETS)
    slope = gradient(case, theta)  # (k, d)
    jacobian = np.concatenate([np.diag(row) for row in slope], axis=1)
    hessian = torch.as_tensor(jacobian.T @ GRAM @ jacobian)
    law = predictions(case)["finite_step_covariance"].load()
    spread = law.finite_step_covariance(hessian, sigma**2 * hessian, eta).numpy()
    computed = call(case, "covariance", TARGETS, GRAM, eta, sigma)
    np.testing.assert_allclose(computed, jacobian @ spread @ jacobian.T, rtol=1e-8, atol=1e-10)
    assert abs(computed[0, 1]) > 1e-4  # correlated features correlate the coefficients at a finite step
