"""Label noise and weight decay: minima over fibres by brute force, and the drift by autodiff and by real steps."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
import torch
from prediction_cases import CASES, PHI, declared, gradient, names, predictions
from scipy.optimize import minimize

import symtheory as st
from symtheory.errors import DerivationError
from symtheory.predictions.fibre_minimum import POSITIVE, fibre_minimum
from symtheory.predictions.symbols import ETA, LAMBDA, PREDICTOR, SIGMA

SOLVER = 1e-6
"""SLSQP leaves the constraint and the value accurate to about the square root of its tolerance."""

POINTS = (0.3, 1.7, -0.3, -1.7)


def objective(case: str, mechanism: str, theta: np.ndarray) -> float:
    """‖θ‖² for weight decay, JJᵀ for label noise, without the derivation."""
    field = theta if mechanism == "weight_decay" else gradient(case, theta)
    return float((field**2).sum())


def brute_force(case: str, mechanism: str, w: float) -> float:
    """Smallest objective on the fibre over φ = w, over many random starts in all orthants."""
    generator = np.random.default_rng(1)
    best = np.inf
    for _ in range(6):
        found = minimize(
            lambda theta: objective(case, mechanism, theta),
            generator.normal(size=len(names(case))) * 1.5,
            constraints={
                "type": "eq",
                "fun": lambda theta: PHI[case](*theta) - w,
                "jac": lambda theta: gradient(case, theta),
            },
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 300},
        )
        if abs(PHI[case](*found.x) - w) < 1e-9:
            best = min(best, found.fun)
    return best


@pytest.mark.parametrize("w", POINTS)
@pytest.mark.parametrize("mechanism", ["label_noise", "weight_decay"])
@pytest.mark.parametrize("case", CASES)
def test_penalty_is_the_minimum_over_the_fibre(case: str, mechanism: str, w: float) -> None:
    formulas = predictions(case)[mechanism].formulas
    penalty = formulas[mechanism].results
    assert float(penalty.subs(PREDICTOR, w)) == pytest.approx(brute_force(case, mechanism, w), rel=SOLVER)
    difference = (float(penalty.subs(PREDICTOR, w + 1e-5)) - float(penalty.subs(PREDICTOR, w - 1e-5))) / 2e-5
    slope = float(formulas[f"{mechanism}_slope"].results.subs(PREDICTOR, w))
    assert slope == pytest.approx(difference, rel=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_minimiser_lies_on_the_fibre_and_has_the_value(case: str) -> None:
    model = declared(case).model
    minimum = fibre_minimum(model, sp.Add(*(symbol**2 for symbol in model.coordinates)))
    theta = [float(minimum.point[sp.Symbol(name, real=True)].subs(POSITIVE, 0.83)) for name in names(case)]
    assert PHI[case](*theta) == pytest.approx(0.83, rel=1e-12)
    assert sum(x * x for x in theta) == pytest.approx(float(minimum.value.subs(POSITIVE, 0.83)), rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_weight_decay_is_stationary_for_the_derived_penalty(case: str) -> None:
    """Gradient descent with decay on ½(w − 2)² per coordinate ends where L' + λ/2 R' = 0, with norm R(w)."""
    decay, theta = 0.1, np.linspace(1.0, 1.4, len(names(case)))
    if PHI[case](*theta) < 0:
        theta[-1] *= -1
    for _ in range(6000):
        theta = theta - 0.02 * ((PHI[case](*theta) - 2) * gradient(case, theta) + decay * theta)
    w = PHI[case](*theta)
    formulas = predictions(case)["weight_decay"].formulas
    assert w > 0.5
    balance = predictions(case)["weight_decay"].relations[1].lhs
    derivatives = {
        sp.Derivative(sp.Function("L")(PREDICTOR), PREDICTOR): w - 2,
        sp.Derivative(sp.Function("R")(PREDICTOR), PREDICTOR): formulas["weight_decay_slope"].results.subs(
            PREDICTOR, w
        ),
    }
    assert float(balance.subs(derivatives).subs(LAMBDA, decay)) == pytest.approx(0, abs=1e-9)
    assert float(formulas["weight_decay"].results.subs(PREDICTOR, w)) == pytest.approx(float(theta @ theta), rel=1e-9)


def drift(case: str, theta: torch.Tensor, kappa: torch.Tensor, eta: float, sigma: float) -> torch.Tensor:
    """The drift of the statement: theta (k, d), kappa (d,) → (k, d)."""
    relations = {str(relation.lhs): relation.rhs for relation in predictions(case)["label_noise"].relations}
    symbols = [sp.Symbol(name, real=True) for name in names(case)]
    arguments = [*symbols, sp.Symbol("kappa", positive=True), ETA, SIGMA]
    rows = []
    for name in names(case):
        function = sp.lambdify(arguments, relations[f"drift_{name}"], modules="math")
        entries = zip(theta.T.tolist(), kappa.tolist(), strict=True)
        rows.append([function(*coordinate, weight, eta, sigma) for coordinate, weight in entries])
    return torch.tensor(rows, dtype=torch.float64)


def zero_loss(case: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features (3, 4), a point theta (k, 4), and the targets (3,) it fits."""
    generator = torch.Generator().manual_seed(11)
    features = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    theta = torch.randn(len(names(case)), 4, generator=generator, dtype=torch.float64)
    return features, theta, features @ PHI[case](*theta)


@pytest.mark.parametrize("case", CASES)
def test_drift_is_the_gradient_of_the_trace_of_the_hessian(case: str) -> None:
    """−(η²σ²/4) ∇ tr ∇²L by torch.func, in the directions tangent to the zero-loss set."""
    features, theta, targets = zero_loss(case)

    def loss(flat: torch.Tensor) -> torch.Tensor:
        return ((features @ PHI[case](*flat.reshape(theta.shape)) - targets) ** 2).mean() / 2

    def trace(flat: torch.Tensor) -> torch.Tensor:
        return torch.func.jacrev(torch.func.jacrev(loss))(flat).trace()

    eta, sigma = 0.05, 0.7
    oracle = -(eta**2) * sigma**2 / 4 * torch.func.grad(trace)(theta.ravel())
    stated = drift(case, theta, (features**2).mean(0), eta, sigma).ravel()
    jacobian = torch.func.jacrev(lambda flat: features @ PHI[case](*flat.reshape(theta.shape)))(theta.ravel())
    tangent = torch.eye(theta.numel(), dtype=torch.float64) - torch.linalg.pinv(jacobian) @ jacobian
    torch.testing.assert_close(tangent @ stated, tangent @ oracle, rtol=1e-10, atol=1e-14)
    assert float((tangent @ stated).norm()) > 1e-5


@pytest.mark.parametrize("case", CASES)
def test_drift_of_the_charges_equals_that_of_real_steps(case: str) -> None:
    """Mean change of every charge over one step from zero loss, over all samples and label noise ±σ, exactly."""
    features, theta, targets = zero_loss(case)
    eta, sigma = 0.05, 0.7
    charges = [
        sp.lambdify([sp.Symbol(name, real=True) for name in names(case)], charge)
        for charge in declared(case).conserved().values()
    ]
    changes = []
    for row, target in zip(features, targets, strict=True):
        for noise in (sigma, -sigma):
            leaf = theta.clone().requires_grad_()
            loss = (row @ PHI[case](*leaf) - target - noise) ** 2 / 2
            moved = theta - eta * torch.autograd.grad(loss, leaf)[0]
            changes.append(torch.stack([charge(*moved) - charge(*theta) for charge in charges]))
    leaf = theta.clone().requires_grad_()
    rates = drift(case, theta, (features**2).mean(0), eta, sigma)
    predicted = []
    for charge in charges:
        (slope,) = torch.autograd.grad(charge(*leaf).sum(), leaf)
        predicted.append((slope * rates).sum(0))
    torch.testing.assert_close(torch.stack(predicted), torch.stack(changes).mean(0), rtol=1e-9, atol=1e-12)


def test_a_predictor_of_one_sign_is_stated_for_that_sign() -> None:
    u = st.param("u", 3)
    statement = st.Parametrization(u * u, name="square").predictions()["label_noise"]
    assert statement.formulas["label_noise"].results == 4 * PREDICTOR
    assert any("w > 0" in note for note in statement.notes)
    with pytest.raises(DerivationError, match="never positive"):
        st.Parametrization(-u * u, name="negative").predictions()["weight_decay"]
