"""Covariance at a finite step: against dense Lyapunov equations of the whole linear recursion."""

from __future__ import annotations

from functools import cache
from types import ModuleType

import numpy as np
import pytest
import scipy.linalg
import sympy as sp
import torch
from prediction_cases import declared

import symtheory as st
from symtheory import catalog
from symtheory.matrix_calculus.evaluate import evaluate
from symtheory.matrix_calculus.polynomial import polynomial
from symtheory.predictions.finite_step_covariance import is_affine
from symtheory.predictions.stationary_second_moments import (
    COVARIANCE,
    CURVATURE,
    HESSIAN,
    MOMENTUM,
    NOISE,
    OTHER,
    largest_curvature,
    matrix_relation,
    moment_factor,
)
from symtheory.predictions.symbols import ETA

ROUNDING = 1e-10


@cache
def functions() -> ModuleType:
    return declared("hadamard").predictions()["finite_step_covariance"].load()


def positive(seed: int, size: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return root @ root.T / size + 0.1 * torch.eye(size, dtype=torch.float64)


def recursion(hessian: torch.Tensor, noise: torch.Tensor, eta: float, decay: float, momentum: float) -> np.ndarray:
    """Σ of (δ, m) from m' = μm + (H + λ)δ + ξ, δ' = δ − ηm', as one discrete Lyapunov equation of twice the size."""
    size = len(hessian)
    one = np.eye(size)
    decayed = hessian.numpy() + decay * one
    step = np.block([[one - eta * decayed, -eta * momentum * one], [decayed, momentum * one]])
    push = np.vstack([-eta * one, one])
    return scipy.linalg.solve_discrete_lyapunov(step, push @ noise.numpy() @ push.T)[:size, :size]


@pytest.mark.parametrize(("decay", "momentum"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.7), (0.2, 0.4)])
@pytest.mark.parametrize("steepness", [0.1, 1.0, 1.9])
def test_covariance_solves_the_recursion(decay: float, momentum: float, steepness: float) -> None:
    hessian, noise = positive(1), positive(2)  # they do not commute
    eta = steepness / (float(torch.linalg.eigvalsh(hessian)[-1]) + decay)
    computed = functions().finite_step_covariance(hessian, noise, eta, decay, momentum)
    expected = recursion(hessian, noise, eta, decay, momentum)
    np.testing.assert_allclose(computed, expected, rtol=ROUNDING, atol=ROUNDING * np.abs(expected).max())


def test_matrix_relation_holds_without_commuting() -> None:
    hessian, noise, eta = positive(3), positive(4), 0.6
    values = {HESSIAN: hessian.numpy(), NOISE: noise.numpy(), ETA: eta}
    values[COVARIANCE] = recursion(hessian, noise, eta, 0.0, 0.0)
    left, right = (evaluate(polynomial(side), values) for side in matrix_relation().args)
    np.testing.assert_allclose(left, right, rtol=ROUNDING, atol=ROUNDING)
    assert np.abs(left - left.T).max() < ROUNDING
    values[COVARIANCE] = scipy.linalg.solve_continuous_lyapunov(hessian.numpy(), eta * noise.numpy())
    assert np.abs(evaluate(polynomial(matrix_relation().lhs), values) - right).max() > 0.05


def test_continuous_time_is_the_lyapunov_equation_and_the_limit_of_small_steps() -> None:
    hessian, noise, eta = positive(5), positive(6), 0.4
    continuous = functions().finite_step_covariance_continuous(hessian, noise, eta)
    expected = scipy.linalg.solve_continuous_lyapunov(hessian.numpy(), eta * noise.numpy())
    np.testing.assert_allclose(continuous, expected, rtol=ROUNDING)
    for momentum in (0.0, 0.6):
        pair = (
            getattr(functions(), name)(hessian, noise, 1e-7, 0.0, momentum)
            for name in ("finite_step_covariance", "finite_step_covariance_continuous")
        )
        torch.testing.assert_close(*pair, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_label_noise_is_diagonal_where_the_hessian_is(momentum: float) -> None:
    hessian, eta, sigma, batch = positive(7), 0.5, 0.3, 4
    curvatures, vectors = torch.linalg.eigh(hessian)
    computed = functions().finite_step_covariance(hessian, sigma**2 / batch * hessian, eta, 0.0, momentum)
    variances = functions().finite_step_covariance_label_noise(curvatures, eta, sigma, batch, momentum)
    torch.testing.assert_close(computed, vectors * variances @ vectors.T, rtol=ROUNDING, atol=ROUNDING)


def test_flat_directions_are_left_out_and_differentiable() -> None:
    root = torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 0.0]], dtype=torch.float64)
    hessian = (root.T @ root).expand(2, 3, 3).clone().requires_grad_()
    computed = functions().finite_step_covariance(hessian, 0.1 * hessian.detach(), 0.2)
    assert computed.shape == (2, 3, 3)
    assert bool((computed[..., 2, :] == 0).all())
    inner = functions().finite_step_covariance(hessian[0, :2, :2], 0.1 * hessian[0, :2, :2], 0.2)
    torch.testing.assert_close(computed[1, :2, :2], inner, rtol=ROUNDING, atol=ROUNDING)
    with_decay = functions().finite_step_covariance(hessian[0], torch.eye(3, dtype=torch.float64), 0.2, 0.1)
    assert with_decay[2, 2].item() == pytest.approx(0.2 / (0.2 - 0.2 * 0.01))  # η/(2λ − ηλ²)


def test_the_factor_diverges_at_the_largest_stable_step() -> None:
    inverse = sp.cancel(1 / moment_factor().subs({OTHER: CURVATURE, MOMENTUM: sp.Rational(1, 2)}))
    bound = largest_curvature().subs(MOMENTUM, sp.Rational(1, 2))
    assert bound == 3
    assert sp.simplify(inverse.subs(CURVATURE, bound / ETA)) == 0
    assert float(inverse.subs({CURVATURE: 2.9, ETA: 1})) > 0 > float(inverse.subs({CURVATURE: 3.1, ETA: 1}))


def test_affine_graphs_are_told_from_others() -> None:
    d, k = st.dims("d k")
    x, W, b, u, v = st.input("x", d), st.param("W", k, d), st.param("b", k), st.param("u", d), st.param("v", d)
    affine = {"layer": W @ x + b, "difference": u - 2 * v, "sum": st.cumsum(u), "features": u * st.relu(x)}
    curved = {"product": u * v, "square": u * u, "relu": st.relu(u), "net": st.relu(W @ x), "shared": (W @ x) * b}
    for node, expected in [*((n, True) for n in affine.values()), *((n, False) for n in curved.values())]:
        P = st.Parametrization(node, name="graph")
        assert is_affine(P) is expected
        order = P.predictions()["finite_step_covariance"].order
        assert order == "exact" if expected else order.startswith("leading order in C")


@pytest.mark.parametrize("name", ["low_rank", "deep_relu", "transformer"])
def test_orbits_are_named_as_flat(name: str) -> None:
    P = catalog.load(name)
    texts = [assumption.text for assumption in P.predictions()["finite_step_covariance"].assumptions]
    (flat,) = [text for text in texts if "directions along orbits are flat" in text]
    assert str(sum(factor.dimension for factor in P.symmetries())) in flat
